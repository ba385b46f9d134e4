package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/simulator"
)

// TestBookThroughTheGateway books over the real sockets of `relance serve all`: one appointment however often it is asked for, on the
// calendar that direct bookings have, and a refusal that names free times.
func TestBookThroughTheGateway(t *testing.T) {
	t.Parallel()
	db, w := database(t), newWorld(t)
	p := w.serve(t, keyset(t), append(secrets(), "RELANCE_DATABASE_URL="+db.DSN("relance"))...)
	c := newClient(p.gateway(t), adminSecret, cronSecret)
	c.ready(t, p)
	workspace := c.provision(t, "Ash", w.locations[0], w.tokens[0])
	contact := ghlID("BookContact")
	w.contact(t, w.locations[0], contact, "+12025550144")
	lead := c.api(t, http.MethodPost, "/v1/"+workspace+"/leads", object{"ghlContactId": contact, "phone": "+12025550144"}).object("lead").text("name")
	links := map[string]string{}
	for _, name := range []string{"calendarDefault00001", "calendarDirect000001"} {
		if err := w.AddCalendar(w.locations[0], simulator.Calendar{ID: name, Timezone: "America/New_York"}); err != nil {
			t.Fatal(err)
		}
		links[name] = c.api(t, http.MethodPost, "/v1/"+workspace+"/calendarLinks", object{
			"displayName": name, "provider": "CALENDAR_PROVIDER_GHL", "externalId": name, "publicUrl": "https://book.example.com/" + name,
		}).object("calendarLink").text("name")
	}
	c.api(t, http.MethodPost, "/v1/"+workspace+"/calendarLinks:setDirectBook", object{"calendarLink": links["calendarDirect000001"]})
	free := c.api(t, http.MethodGet, "/v1/"+workspace+"/slots?sourceKind=SOURCE_KIND_DIRECT_BOOK", nil)
	if free.text("calendarLink") != links["calendarDirect000001"] || len(free.list("slots")) == 0 {
		t.Fatalf("slots for direct bookings: %v", free)
	}
	ask := object{"startTime": free.list("slots")[0].text("startTime"), "requestId": uuid.NewString(), "sourceKind": "SOURCE_KIND_DIRECT_BOOK"}
	first := c.api(t, http.MethodPost, "/v1/"+lead+":bookSlot", ask).object("booking")
	again := c.api(t, http.MethodPost, "/v1/"+lead+":bookSlot", ask).object("booking")
	if first.text("state") != "BOOKING_STATE_BOOKED" || again.text("name") != first.text("name") || first.text("appointment") == "" {
		t.Errorf("booked %v, again %v", first, again)
	}
	held := w.Appointments(w.locations[0])
	if len(held) != 1 || held[0].Calendar != "calendarDirect000001" || held[0].Contact != contact || held[0].ID != first.text("appointment") {
		t.Errorf("the provider holds %+v", held)
	}
	if b := c.api(t, http.MethodGet, "/v1/"+first.text("name"), nil).object("booking"); b.text("state") != "BOOKING_STATE_BOOKED" || b.text("calendarLink") != "directBook" {
		t.Errorf("read back: %v", b)
	}
	past := object{"startTime": stamp(time.Now().Add(-time.Hour).Truncate(time.Minute)), "requestId": uuid.NewString()}
	c.post(t, "/v1/"+lead+":bookSlot", past).want(t, "a time that is over", http.StatusBadRequest, "SLOT_UNAVAILABLE")
	if n := len(w.Bookings(simulator.Filter{Location: w.locations[0]})); n != 1 {
		t.Errorf("%d calls that book, want 1", n)
	}
}
