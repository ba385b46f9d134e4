package simulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

// history adds n inbound and outbound SMS, one a minute, the newest last.
func (r *rig) history(n int) (ids []string) {
	r.t.Helper()
	for i := range n {
		direction := simulator.Outbound
		if i%2 == 1 {
			direction = simulator.Inbound
		}
		id, err := r.AddHistory(acme, lead, simulator.HistoryMessage{
			Direction: direction, Body: fmt.Sprint("message ", i), At: r.clock.Now().Add(time.Duration(i-n) * time.Minute),
		})
		must(r.t, err)
		ids = append(ids, id)
	}
	return ids
}

func rowIDs(rows any) (ids []string) {
	list, _ := rows.([]any)
	for _, row := range list {
		message, _ := row.(map[string]any)
		id, _ := message["id"].(string)
		ids = append(ids, id)
	}
	return ids
}

func TestExportWalksNewestFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	want := r.history(25)
	slices.Reverse(want)
	var got []string
	query := url.Values{"locationId": {acme}, "contactId": {lead}, "channel": {"SMS"}, "limit": {"10"}}
	for page := range 3 {
		answer := r.get("/conversations/messages/export?" + query.Encode())
		equal(t, "status", answer.status, http.StatusOK)
		checkSchema(t, "ExportMessagesResponseDto", answer.body)
		equal(t, "total", answer.body["total"], any(float64(25)))
		got = append(got, rowIDs(answer.body["messages"])...)
		cursor := answer.text("nextCursor")
		equal(t, "has cursor", cursor != "", page < 2)
		query.Set("cursor", cursor)
	}
	if !slices.Equal(got, want) {
		t.Errorf("export gave %d rows in another order", len(got))
	}
}

func TestExportFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	r.history(6)
	_, err := r.AddHistory(acme, lead, simulator.HistoryMessage{Channel: simulator.Email, Body: "<p>x</p>"})
	must(t, err)
	count := func(query string) int {
		t.Helper()
		answer := r.get("/conversations/messages/export?locationId=" + acme + query)
		equal(t, query, answer.status, http.StatusOK)
		return len(rowIDs(answer.body["messages"]))
	}
	equal(t, "no channel leaves e-mail out", count(""), 6)
	equal(t, "e-mail", count("&channel=Email"), 1)
	equal(t, "nobody", count("&contactId=nobody"), 0)
	stamp := func(d time.Duration) string { return url.QueryEscape(r.clock.Now().Add(d).Format(time.RFC3339)) }
	equal(t, "since", count("&startDate="+stamp(-150*time.Second)), 2)
	equal(t, "until", count("&endDate="+stamp(-150*time.Second)), 4)
	for query, status := range map[string]int{
		"&limit=9": 422, "&limit=501": 422, "&limit=x": 422, "&channel=Pigeon": 422, "&cursor=%21": 400, "&startDate=1772460000000": 400,
	} {
		equal(t, query, r.get("/conversations/messages/export?locationId="+acme+query).status, status)
	}
	equal(t, "no location", r.get("/conversations/messages/export").status, 422)
	equal(t, "other location", r.get("/conversations/messages/export?locationId="+other).status, 403)
}

func TestConversationMessages(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	want := r.history(25)
	slices.Reverse(want)
	found := r.get("/conversations/search?locationId=" + acme + "&contactId=" + lead)
	checkSchema(t, "SendConversationResponseDto", found.body)
	conversations := rowIDs(found.body["conversations"])
	equal(t, "conversations", len(conversations), 1)
	path := "/conversations/" + conversations[0]
	equal(t, "numeric type", r.get(path).body["type"], any(float64(1)))
	var got []string
	last := ""
	for {
		answer := r.get(path + "/messages?limit=10&type=TYPE_SMS,TYPE_CALL&lastMessageId=" + last)
		checkSchema(t, "ConversationMessages", answer.body)
		page, _ := answer.body["messages"].(map[string]any)
		got = append(got, rowIDs(page["messages"])...)
		last, _ = page["lastMessageId"].(string)
		if page["nextPage"] != true {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows in another order", len(got))
	}
	equal(t, "unknown conversation", r.get("/conversations/nope/messages").text("message"), "Conversation with id nope not found")
	equal(t, "search without location", r.get("/conversations/search").status, 422)
}

func TestMessageByIDAndStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	id := r.do(r.sms(lead, "x")).text("messageId")
	for wait, want := range []string{"pending", "sent", "delivered"} {
		got := r.get("/conversations/messages/" + id)
		checkSchema(t, "GetMessageResponseDto", got.body)
		equal(t, fmt.Sprint("status ", wait), got.text("status"), want)
		r.clock.Advance(5 * time.Second)
	}
	must(t, r.SetMessageStatus(id, "failed"))
	equal(t, "fixed", r.get("/conversations/messages/"+id).text("status"), "failed")
	got := r.get("/conversations/messages/nope")
	equal(t, "unknown is 400", got.status, http.StatusBadRequest)
	equal(t, "unknown", got.text("message"), "Message does not exist with id nope")
}

func TestEmailBodyNeedsASecondCall(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	sent := r.do(r.email(lead, "<p>hi</p>"))
	got := r.get("/conversations/messages/" + sent.text("messageId"))
	if _, has := got.body["body"]; has {
		t.Error("the list shows an e-mail body")
	}
	got = r.get("/conversations/messages/email/" + sent.text("emailMessageId"))
	checkSchema(t, "GetEmailMessageResponseDto", got.body)
	equal(t, "body", got.text("body"), "<p>hi</p>")
}

func TestLaggingListAndRewrittenBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	r.AddScript(simulator.SendsTo(lead), simulator.Fault{Kind: simulator.LaggingList, Delay: time.Minute},
		simulator.Fault{Kind: simulator.BodyRewritten, Body: " Reply STOP"})
	hidden := r.do(r.sms(lead, "one")).text("messageId")
	export := func() int {
		return len(rowIDs(r.get("/conversations/messages/export?channel=SMS&locationId=" + acme).body["messages"]))
	}
	equal(t, "hidden", export(), 0)
	equal(t, "hidden by id", r.get("/conversations/messages/"+hidden).status, http.StatusBadRequest)
	r.clock.Advance(time.Minute)
	equal(t, "shown", export(), 1)
	id := r.do(r.sms(lead, "two")).text("messageId")
	r.AddFault(simulator.Fault{Match: simulator.SendsTo(lead), Kind: simulator.LaggingList, Variant: simulator.ExportList, Delay: time.Minute})
	disagree := r.do(r.sms(lead, "three"))
	equal(t, "not in the export", export(), 2)
	page, _ := r.get("/conversations/" + disagree.text("conversationId") + "/messages").body["messages"].(map[string]any)
	equal(t, "in the conversation", len(rowIDs(page["messages"])), 3)
	equal(t, "rewritten", r.get("/conversations/messages/"+id).text("body"), "two Reply STOP")
}

func TestReplacedMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	old := r.do(r.sms(lead, "x")).text("messageId")
	fresh, err := r.ReplaceMessage(old)
	must(t, err)
	equal(t, "old id", r.get("/conversations/messages/"+old).status, http.StatusBadRequest)
	equal(t, "new id", r.get("/conversations/messages/"+fresh).text("body"), "x")
	equal(t, "one message", len(r.Messages(acme, lead)), 1)
}

func TestSpoiltPages(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	r.history(3)
	page := func(variant string) response {
		r.ClearFaults()
		r.AddFault(simulator.Fault{Match: simulator.Match{Path: "/conversations/messages/export"}, Kind: simulator.MalformedBody, Variant: variant})
		return r.get("/conversations/messages/export?locationId=" + acme)
	}
	if page(simulator.CursorLoop).text("nextCursor") == "" {
		t.Error("no cursor")
	}
	equal(t, "duplicates", len(rowIDs(page(simulator.DuplicateRows).body["messages"])), 6)
	equal(t, "total", page(simulator.WrongTotal).body["total"], any(float64(10)))
}

func TestFreeSlots(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	now := r.clock.Now() // Monday 09:00 in New York
	must(t, r.AddCalendar(acme, simulator.Calendar{
		ID: calendar, SlotDuration: time.Hour, Open: 9 * time.Hour, Close: 12 * time.Hour,
		Busy: []simulator.Interval{{Start: now.Add(time.Hour), End: now.Add(90 * time.Minute)}},
	}))
	path := func(from, to time.Time, zone string) string {
		return fmt.Sprintf("/calendars/%s/free-slots?startDate=%d&endDate=%d&timezone=%s", calendar, from.UnixMilli(), to.UnixMilli(), zone)
	}
	got := r.get(path(now, now.AddDate(0, 0, 7), "America/New_York"))
	equal(t, "status", got.status, http.StatusOK)
	if got.text("traceId") == "" {
		t.Error("no traceId beside the dates")
	}
	equal(t, "days", len(got.body), 7) // Monday to Friday, the first slot of the next Monday (summer time by then), traceId
	checkSchema(t, "SlotsSchema", got.body["2026-03-02"])
	equal(t, "Monday", fmt.Sprint(got.body["2026-03-02"]), "map[slots:[2026-03-02T09:00:00-05:00 2026-03-02T11:00:00-05:00]]")
	utc := r.get(path(now, now.Add(4*time.Hour), "UTC"))
	equal(t, "UTC", fmt.Sprint(utc.body["2026-03-02"]), "map[slots:[2026-03-02T14:00:00+00:00 2026-03-02T16:00:00+00:00]]")
	_, err := r.Book(calendar, lead, now)
	must(t, err)
	equal(t, "booked", fmt.Sprint(r.get(path(now, now.Add(4*time.Hour), "UTC")).body["2026-03-02"]), "map[slots:[2026-03-02T16:00:00+00:00]]")
	seconds := fmt.Sprintf("/calendars/%s/free-slots?startDate=%d&endDate=%d", calendar, now.Unix(), now.Add(time.Hour).Unix())
	equal(t, "seconds are 1970", len(r.get(seconds).body), 1)
	dst := r.get(path(time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC), "America/New_York"))
	equal(t, "summer time", fmt.Sprint(dst.body["2026-03-09"]), "map[slots:[2026-03-09T09:00:00-04:00 2026-03-09T10:00:00-04:00 2026-03-09T11:00:00-04:00]]")
	equal(t, "32 days", r.get(path(now, now.AddDate(0, 0, 32), "UTC")).status, http.StatusBadRequest)
	equal(t, "zone", r.get(path(now, now, "Mars/Base")).status, http.StatusBadRequest)
	equal(t, "no range", r.get("/calendars/"+calendar+"/free-slots").status, 422)
	equal(t, "unknown", r.get("/calendars/nope/free-slots").status, http.StatusBadRequest)
	must(t, r.AddCalendar(acme, simulator.Calendar{ID: calendar, Inactive: true}))
	equal(t, "inactive", r.get(path(now, now.AddDate(0, 0, 1), "UTC")).text("message"), "Calendar is inactive")
}

func TestBookAppointment(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	body := map[string]any{"calendarId": calendar, "locationId": acme, "contactId": lead, "startTime": "2026-03-02T10:00:00-05:00"}
	got := r.post("/calendars/events/appointments", body)
	equal(t, "booked", got.status, http.StatusCreated)
	checkSchema(t, "AppointmentSchemaResponse", got.body)
	got = r.post("/calendars/events/appointments", body)
	equal(t, "taken", got.text("message"), "The slot you have selected is no longer available.")
	delete(body, "locationId")
	equal(t, "location", r.post("/calendars/events/appointments", body).text("message"), "Location ID is required.")
}

func TestCalendarsAndLocation(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	got := r.get("/calendars/?locationId=" + acme)
	checkSchema(t, "CalendarsGetSuccessfulResponseDTO", got.body)
	equal(t, "calendars", len(rowIDs(got.body["calendars"])), 1)
	checkSchema(t, "CalendarByIdSuccessfulResponseDTO", r.get("/calendars/"+calendar).body)
	got = r.get("/locations/" + acme)
	checkSchema(t, "GetLocationByIdSuccessfulResponseDto", got.body)
	location, _ := got.body["location"].(map[string]any)
	equal(t, "zone", location["timezone"], any("America/New_York"))
	equal(t, "other", r.get("/locations/"+other).status, http.StatusForbidden)
}
