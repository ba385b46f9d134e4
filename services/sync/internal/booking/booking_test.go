package booking_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/sending"
)

func at(hours int) time.Time { return time.Date(2026, 1, 7, 15+hours, 0, 0, 0, time.UTC) }

func TestPrimary(t *testing.T) {
	t.Parallel()
	a := func(s booking.Status, hours int) booking.Appointment {
		return booking.Appointment{Status: s, Start: at(hours)}
	}
	unknown := booking.Appointment{Status: booking.Held}
	for name, c := range map[string]struct {
		all  []booking.Appointment
		want int
	}{
		"none":                              {nil, -1},
		"only moved":                        {[]booking.Appointment{a(booking.Moved, 5)}, -1},
		"the earliest ahead":                {[]booking.Appointment{a(booking.Held, 48), a(booking.Held, 24), a(booking.Held, -24)}, 1},
		"ahead before the one that was":     {[]booking.Appointment{a(booking.Showed, -1), a(booking.Held, 99)}, 1},
		"the latest that stood":             {[]booking.Appointment{a(booking.Showed, -48), a(booking.NoShow, -24), a(booking.Cancelled, 24)}, 1},
		"a confirmed one that is over":      {[]booking.Appointment{a(booking.Cancelled, 24), a(booking.Held, -1)}, 1},
		"cancelled ahead of an older held":  {[]booking.Appointment{a(booking.Cancelled, 1), a(booking.Held, 2)}, 1},
		"the latest cancelled":              {[]booking.Appointment{a(booking.Cancelled, 1), a(booking.Cancelled, 9), a(booking.Cancelled, -9)}, 1},
		"rescheduled: the new one":          {[]booking.Appointment{a(booking.Moved, 1), a(booking.Held, 3)}, 1},
		"rescheduled and cancelled":         {[]booking.Appointment{a(booking.Moved, 9), a(booking.Cancelled, 3)}, 1},
		"no start counts as ahead":          {[]booking.Appointment{a(booking.Showed, -1), unknown}, 1},
		"a start that is known comes first": {[]booking.Appointment{unknown, a(booking.Held, 500)}, 1},
		"begins now is not ahead":           {[]booking.Appointment{a(booking.Held, 0), a(booking.Held, 1)}, 1},
		"equals: the first":                 {[]booking.Appointment{a(booking.Held, 2), a(booking.Held, 2)}, 0},
	} {
		if got := booking.Primary(c.all, at(0)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		evidence    classify.Evidence
		class       booking.Class
		reason      sending.Reason
		appointment string
	}{
		"bare":                {classify.Evidence{Status: 201, Body: []byte(`{"id":"abc"}`)}, booking.Made, "", "abc"},
		"wrapped":             {classify.Evidence{Status: 200, Body: []byte(`{"appointment":{"id":"abc"}}`)}, booking.Made, "", "abc"},
		"as specified":        {classify.Evidence{Status: 200, Body: []byte(`{"event":{"id":"abc"}}`)}, booking.Made, "", "abc"},
		"calendly":            {classify.Evidence{Provider: "calendly", Status: 201, Body: []byte(`{"resource":{"uri":"https://x/y"}}`)}, booking.Made, "", "https://x/y"},
		"no id":               {classify.Evidence{Status: 201, Body: []byte(`{}`)}, booking.Unclear, "", ""},
		"an id with a space":  {classify.Evidence{Status: 201, Body: []byte(`{"id":"a b"}`)}, booking.Unclear, "", ""},
		"garbage":             {classify.Evidence{Status: 201, Body: []byte(`<html>`)}, booking.Unclear, "", ""},
		"not sent":            {classify.Evidence{NotSent: true}, booking.NotNow, sending.ProviderUnavailable, ""},
		"broken":              {classify.Evidence{Failed: true, Status: 201, Body: []byte(`{"id":"abc"}`)}, booking.Unclear, "", ""},
		"408":                 {classify.Evidence{Status: 408}, booking.Unclear, "", ""},
		"302":                 {classify.Evidence{Status: 302}, booking.Unclear, "", ""},
		"500":                 {classify.Evidence{Status: 500, Body: []byte(`{"message":"The slot you have selected is no longer available."}`)}, booking.Unclear, "", ""},
		"taken":               {classify.Evidence{Status: 400, Body: []byte(`{"message":"The slot you have selected is no longer available."}`)}, booking.Taken, booking.SlotTaken, ""},
		"taken, 422, list":    {classify.Evidence{Status: 422, Body: []byte(`{"message":["The slot you have selected is no longer available."]}`)}, booking.Taken, booking.SlotTaken, ""},
		"conflict":            {classify.Evidence{Status: 409}, booking.Taken, booking.SlotTaken, ""},
		"calendly details":    {classify.Evidence{Provider: "calendly", Status: 400, Body: []byte(`{"title":"Invalid Argument","message":"bad","details":[{"message":"event is already booked"}]}`)}, booking.Taken, booking.SlotTaken, ""},
		"off":                 {classify.Evidence{Status: 400, Body: []byte(`{"message":"Calendar is inactive"}`)}, booking.No, booking.CalendarInactive, ""},
		"no contact":          {classify.Evidence{Status: 400, Body: []byte(`{"message":"Contact not found for id:x"}`)}, booking.No, sending.ContactNotFound, ""},
		"unknown":             {classify.Evidence{Status: 400, Body: []byte(`{"message":"?"}`)}, booking.No, sending.RefusedUnclassified, ""},
		"scope":               {classify.Evidence{Status: 401, Body: []byte(`{"message":"The token is not authorized for this scope."}`)}, booking.NotNow, sending.ProviderAuthRevoked, ""},
		"429 with headers":    {classify.Evidence{Status: 429, RateLimited: true}, booking.NotNow, sending.ProviderRateLimited, ""},
		"429 without":         {classify.Evidence{Status: 429}, booking.Unclear, "", ""},
		"calendly plan":       {classify.Evidence{Provider: "calendly", Status: 403}, booking.No, booking.Unsupported, ""},
		"calendly question":   {classify.Evidence{Provider: "calendly", Status: 400, Body: []byte(`{"message":"questions_and_answers is missing"}`)}, booking.No, booking.Unsupported, ""},
		"calendly token":      {classify.Evidence{Provider: "calendly", Status: 401}, booking.NotNow, sending.ProviderAuthRevoked, ""},
		"calendly rate limit": {classify.Evidence{Provider: "calendly", Status: 429}, booking.NotNow, sending.ProviderRateLimited, ""},
		"calendly gone":       {classify.Evidence{Provider: "calendly", Status: 404}, booking.No, booking.CalendarInactive, ""},
	} {
		v := booking.Judge(c.evidence)
		if v.Class != c.class || v.Refusal.Reason != c.reason || v.Appointment != c.appointment {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// FuzzJudge: nothing that may have reached the provider is taken for a call that can be made again.
func FuzzJudge(f *testing.F) {
	f.Add(400, []byte(`{"message":["x"]}`), "", false)
	f.Add(201, []byte(`{"id":"x"}`), "calendly", true)
	f.Fuzz(func(t *testing.T, status int, body []byte, name string, failed bool) {
		v := booking.Judge(classify.Evidence{Status: status, Body: body, Provider: name, Failed: failed})
		proven := status == 401 || status == 403 || status == 429 || status == 400
		if v.Class == booking.NotNow && (failed || !proven) {
			t.Errorf("status %d: %+v", status, v)
		}
		if (v.Class == booking.Made) != (v.Appointment != "") {
			t.Errorf("an id without a booking, or a booking without an id: %+v", v)
		}
	})
}

func TestSettle(t *testing.T) {
	t.Parallel()
	timing := sending.Timing{
		Write: 5 * time.Second, Pause: time.Minute, Call: 15 * time.Second, Delay: 2 * time.Minute, Visible: 10 * time.Minute, Settle: 15 * time.Minute,
	}
	seen, gone, blind := booking.Sighting{Complete: true, Appointment: "x"}, booking.Sighting{Complete: true}, booking.Sighting{}
	for name, c := range map[string]struct {
		open booking.Open
		look booking.Sighting
		rule booking.Rule
		wait time.Duration
	}{
		"found at once":          {booking.Open{}, seen, booking.B7, 0},
		"found half read":        {booking.Open{}, booking.Sighting{Appointment: "x"}, booking.B7, 0},
		"absent, too early":      {booking.Open{Age: time.Minute, Looks: 9}, gone, "", time.Minute},
		"absent, too few looks":  {booking.Open{Age: 20 * time.Minute, Looks: 1}, gone, "", 30 * time.Second},
		"absent":                 {booking.Open{Age: 15 * time.Minute, Looks: 2}, gone, booking.B8, 0},
		"blind":                  {booking.Open{Age: 20 * time.Minute, Looks: 9, Failed: 9}, blind, "", 30 * time.Second},
		"blind for long":         {booking.Open{Age: 25 * time.Minute, Failed: 2}, blind, booking.B9, 0},
		"blind for long, twice":  {booking.Open{Age: 25 * time.Minute, Failed: 1}, blind, "", 30 * time.Second},
		"first look of a minute": {booking.Open{Age: 10 * time.Second}, gone, "", 20 * time.Second},
	} {
		got := booking.Settle(timing, c.open, c.look)
		if got.Rule != c.rule || got.Wait != c.wait || (got.Rule != "" && !booking.CanMove(booking.Unknown, "", got.To)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	for _, end := range []booking.State{booking.Booked} {
		for _, to := range booking.States() {
			if booking.CanMove(end, "", to) {
				t.Errorf("%s is not the end: %s", end, to)
			}
		}
	}
	if booking.CanMove(booking.Refused, booking.SlotTaken, booking.Booked) || !booking.CanMove(booking.Refused, booking.Absent, booking.Booked) {
		t.Error("only absence is corrected by evidence")
	}
	if got := booking.Sources(booking.Booked, booking.B2); !slices.Equal(got, []string{"CALLING", "UNKNOWN"}) {
		t.Errorf("sources of B2: %v", got)
	}
}

func TestDiffer(t *testing.T) {
	t.Parallel()
	a := booking.Wish{Lead: uuid.New(), Start: at(0), Link: "x"}
	b := booking.Wish{Lead: uuid.New(), Start: at(1), Link: ""}
	if got := booking.Differ(a, a); got != nil {
		t.Errorf("the same: %v", got)
	}
	if got := booking.Differ(a, b); !slices.Equal(got, []string{"lead", "start_time", "calendar_link"}) {
		t.Errorf("all differ: %v", got)
	}
}
