package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/simulator"
)

// crowd is how many leads are due at once; killAt how many messages are taken before the kill.
const (
	crowd  = 30
	killAt = 8
)

// TestKilledRunIsFinishedExactlyOnce kills relance in the middle of a run, while the provider has taken messages whose
// answers have not come back, and starts it again: every lead gets its message exactly once.
func TestKilledRunIsFinishedExactlyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := database(t)
	keys, env := keyset(t), append(append(secrets(), "RELANCE_DATABASE_URL="+db.DSN("relance")), shortTiming().Env()...)
	p := w.serve(t, keys, env...)
	c := newClient(p.gateway(t), adminSecret, cronSecret)
	c.ready(t, p)
	workspace := c.provision(t, "Ash", w.locations[0], w.tokens[0])
	enrollCrowd(t, w, c, workspace)

	sends := simulator.Filter{Location: w.locations[0]}
	slow := w.AddFault(simulator.Fault{
		Kind: simulator.AcceptThenHang, Delay: time.Second,
		Match: simulator.Match{Method: http.MethodPost, Path: "/conversations/messages"},
	})
	cut := make(chan struct{})
	go func(c *client) {
		defer close(cut)
		// The run is cut off, and its answer with it.
		_, _ = c.try(t, request{method: http.MethodPost, path: "/api/cron/followups", header: bearer(cronSecret)})
	}(c)
	p.eventually(t, "some messages to be taken", func() bool { return len(w.Accepted(sends)) >= killAt })
	p.kill(t)
	<-cut
	slow.Remove()
	if n := len(w.Accepted(sends)); n >= crowd {
		t.Fatalf("all %d messages had left before the kill; the test shows nothing", n)
	}

	expireLeases(t, db.DSN("relance"))
	p = w.serve(t, keys, env...)
	c = newClient(p.gateway(t), adminSecret, cronSecret)
	c.ready(t, p)
	if unanswered(t, c, workspace) == 0 {
		t.Error("no message was on its way at the kill; the test shows too little")
	}
	p.eventually(t, "every lead's message", func() bool {
		tick := c.tick(t, "followups")
		tick.want(t, "tick after the kill", http.StatusOK, "")
		addsUp(t, tick.json(t))
		return len(w.Accepted(sends)) >= crowd
	})
	// One more, which finds nothing to do.
	c.tick(t, "followups").want(t, "last tick", http.StatusOK, "")
	byContact := map[string]int{}
	for _, entry := range w.Sends(sends) {
		byContact[entry.Contact]++
	}
	for n := range crowd {
		if got := byContact[crowdContact(n)]; got != 1 {
			t.Errorf("%s: %d POSTs, want 1", crowdContact(n), got)
		}
	}
}

// shortTiming makes what waits for the settle time wait seconds: at the default of 15 minutes no test does.
func shortTiming() lab.Timing {
	return lab.Timing{
		Write: 5 * time.Second, Pause: 2 * time.Second, Call: 5 * time.Second,
		Delay: 2 * time.Second, Visible: 2 * time.Second, Settle: 17 * time.Second,
	}
}

// unanswered is how many messages left without an answer that relance could store.
func unanswered(t *testing.T, c *client, workspace string) int {
	t.Helper()
	n := 0
	for _, message := range c.api(t, http.MethodGet, "/v1/"+workspace+"/messages?pageSize=500", nil).list("messages") {
		if state := message.text("state"); state == "MESSAGE_STATE_SENDING" || state == "MESSAGE_STATE_UNKNOWN" {
			n++
		}
	}
	return n
}

// expireLeases stands for the two minutes after which a claim of a dead process may be taken over; the database's clock
// cannot be moved.
func expireLeases(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	done, err := conn.Exec(t.Context(), `UPDATE followups.enrollment SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL`)
	if err != nil {
		t.Fatal(err)
	}
	if done.RowsAffected() == 0 {
		t.Fatal("nothing was claimed at the kill; the test shows nothing")
	}
}

func crowdContact(n int) string { return ghlID(fmt.Sprintf("CrowdContact%02d", n)) }

// enrollCrowd makes leads and enrolls each in a sequence of one SMS that is due at once.
func enrollCrowd(t *testing.T, w *world, c *client, workspace string) {
	t.Helper()
	c.atAllHours(t, workspace)
	sequence := c.api(t, http.MethodPost, "/v1/"+workspace+"/sequences", object{
		"displayName": "One text", "active": true, "trigger": "TRIGGER_MANUAL",
		"steps": []object{{"channel": "STEP_CHANNEL_SMS", "bodyTemplate": "Hi {firstName}"}},
	}).object("sequence").text("name")
	for n := range crowd {
		phone := fmt.Sprintf("+120255501%02d", n)
		w.contact(t, w.locations[0], crowdContact(n), phone)
		lead := c.api(t, http.MethodPost, "/v1/"+workspace+"/leads", object{
			"ghlContactId": crowdContact(n), "firstName": "Sam", "phone": phone, "timeZone": noonZone(),
		}).object("lead").text("name")
		c.api(t, http.MethodPost, "/v1/"+workspace+"/enrollments", object{"lead": lead, "sequence": sequence})
	}
}

// atAllHours lets sequences of a workspace go on at any hour of any day.
func (c *client) atAllHours(t *testing.T, workspace string) {
	t.Helper()
	c.api(t, http.MethodPatch, "/v1/"+workspace+"/followUpSettings", object{
		"workStart": "00:00", "workEnd": "23:59", "workDays": []string{
			"WEEKDAY_MONDAY", "WEEKDAY_TUESDAY", "WEEKDAY_WEDNESDAY", "WEEKDAY_THURSDAY", "WEEKDAY_FRIDAY", "WEEKDAY_SATURDAY",
			"WEEKDAY_SUNDAY",
		},
	})
}

// noonZone is a zone in which it is noon now: the law lets texts leave there at any hour of the test.
func noonZone() string {
	west := time.Now().UTC().Hour() - 12
	if west == 0 {
		return "Etc/GMT"
	}
	return fmt.Sprintf("Etc/GMT%+d", west)
}
