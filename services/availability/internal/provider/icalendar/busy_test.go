package icalendar_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/availability/internal/provider/icalendar"
	"github.com/relance/relance/services/availability/internal/slots"
)

func feed(lines ...string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCALENDAR\r\n")
}

func event(lines ...string) string {
	return "BEGIN:VEVENT\r\nUID:1@test\r\nDTSTAMP:20260101T000000Z\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VEVENT"
}

func window(t *testing.T) icalendar.Window {
	t.Helper()
	berlin, err := slots.Zone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return icalendar.Window{Zone: berlin, From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 4, 15, 0, 0, 0, 0, time.UTC)}
}

// text writes spans in UTC, in order.
func text(spans []slots.Span) string {
	var out []string
	for _, s := range spans {
		out = append(out, s.Start.UTC().Format("01-02T15:04")+"/"+s.End.UTC().Format("01-02T15:04"))
	}
	return strings.Join(out, " ")
}

func TestBusy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		feed []byte
		want string
	}{
		"nothing":     {feed(), ""},
		"utc":         {feed(event("DTSTART:20260302T100000Z", "DTEND:20260302T110000Z")), "03-02T10:00/03-02T11:00"},
		"zone":        {feed(event("DTSTART;TZID=America/New_York:20260302T100000", "DTEND;TZID=America/New_York:20260302T110000")), "03-02T15:00/03-02T16:00"},
		"outlook":     {feed(event("DTSTART;TZID=Eastern Standard Time:20260302T100000", "DURATION:PT90M")), "03-02T15:00/03-02T16:30"},
		"floating":    {feed(event("DTSTART:20260302T100000", "DURATION:PT1H")), "03-02T09:00/03-02T10:00"},
		"day":         {feed(event("DTSTART;VALUE=DATE:20260302")), "03-01T23:00/03-02T23:00"},
		"short day":   {feed(event("DTSTART;VALUE=DATE:20260329", "DTEND;VALUE=DATE:20260330")), "03-28T23:00/03-29T22:00"},
		"cancelled":   {feed(event("DTSTART:20260302T100000Z", "DTEND:20260302T110000Z", "STATUS:CANCELLED")), ""},
		"transparent": {feed(event("DTSTART:20260302T100000Z", "DTEND:20260302T110000Z", "TRANSP:TRANSPARENT")), ""},
		"before":      {feed(event("DTSTART:20250302T100000Z", "DTEND:20250302T110000Z")), ""},
		"weekly over the change of the clocks": {
			feed(event("DTSTART;TZID=Europe/Berlin:20260320T100000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=3")),
			"03-20T09:00/03-20T10:00 03-27T09:00/03-27T10:00 04-03T08:00/04-03T09:00",
		},
		"two rules": {
			feed(event("DTSTART:20260302T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2", "RRULE:FREQ=WEEKLY;COUNT=2", "EXDATE:20260309T100000Z")),
			"03-02T10:00/03-02T11:00 03-03T10:00/03-03T11:00 03-02T10:00/03-02T11:00",
		},
		"until a day": {
			feed(event("DTSTART;TZID=Europe/Berlin:20260302T100000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260303")),
			"03-02T09:00/03-02T10:00 03-03T09:00/03-03T10:00",
		},
		"until a day, in whole days": {
			feed(event("DTSTART;VALUE=DATE:20260302", "RRULE:FREQ=DAILY;UNTIL=20260303")),
			"03-01T23:00/03-02T23:00 03-02T23:00/03-03T23:00",
		},
		"except and moved": {
			feed(event("DTSTART:20260302T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260305T100000Z", "EXDATE:20260303T100000Z"),
				event("RECURRENCE-ID:20260304T100000Z", "DTSTART:20260304T150000Z", "DURATION:PT1H")),
			"03-02T10:00/03-02T11:00 03-05T10:00/03-05T11:00 03-04T15:00/03-04T16:00",
		},
		"dates": {
			feed(event("DTSTART:20260302T100000Z", "DURATION:PT1H", "RDATE:20260309T100000Z,20260310T100000Z")),
			"03-02T10:00/03-02T11:00 03-09T10:00/03-09T11:00 03-10T10:00/03-10T11:00",
		},
		"published": {
			feed("BEGIN:VFREEBUSY\r\nUID:2@test\r\nDTSTAMP:20260101T000000Z\r\nFREEBUSY:20260302T100000Z/20260302T110000Z,20260303T100000Z/PT2H\r\n" +
				"FREEBUSY;FBTYPE=FREE:20260304T100000Z/PT2H\r\nEND:VFREEBUSY"),
			"03-02T10:00/03-02T11:00 03-03T10:00/03-03T12:00",
		},
		"own zone": {
			feed("BEGIN:VTIMEZONE\r\nTZID:Custom\r\nX-LIC-LOCATION:Asia/Tokyo\r\nEND:VTIMEZONE", event("DTSTART;TZID=Custom:20260302T100000", "DURATION:PT1H")),
			"03-02T01:00/03-02T02:00",
		},
	} {
		got, err := icalendar.Busy(t.Context(), c.feed, window(t))
		if err != nil || text(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, text(got), err, c.want)
		}
	}
}

// What cannot be read whole is refused: a meeting that is overlooked would be a time offered wrongly.
func TestFeedsThatAreRefused(t *testing.T) {
	t.Parallel()
	whole := feed(event("DTSTART:20260302T100000Z", "DTEND:20260302T110000Z"))
	many := make([]string, 20_001)
	for i := range many {
		many[i] = event("DTSTART:20260302T100000Z", "DTEND:20260302T110000Z")
	}
	for name, body := range map[string][]byte{
		"empty": {}, "html": []byte("<html>sign in</html>"), "cut": whole[:len(whole)-20], "cut at a line": bytes.TrimSuffix(whole, []byte("END:VCALENDAR\r\n")),
		"unknown zone": feed(event("DTSTART;TZID=Mars/Olympus:20260302T100000", "DURATION:PT1H")), "no start": feed(event("SUMMARY:x")),
		"bad time": feed(event("DTSTART:yesterday", "DURATION:PT1H")), "bad rule": feed(event("DTSTART:20260302T100000Z", "RRULE:FREQ=NEVER")),
		"rule by the second": feed(event("DTSTART:20000302T100000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY")),
		"bad duration":       feed(event("DTSTART:20260302T100000Z", "DURATION:1H")), "too many": feed(many...),
		"older than its rules": feed(event("DTSTART:17000302T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY")),
	} {
		if got, err := icalendar.Busy(t.Context(), body, window(t)); err == nil {
			t.Errorf("%s: taken as %q", name, text(got))
		}
	}
}

// TestBusyIsBounded: whoever names the address of a feed chooses what reading it costs. Each of these kept a processor busy for
// hours, or took all memory, and the refresh of every workspace waited for it.
func TestBusyIsBounded(t *testing.T) {
	t.Parallel()
	const size = 2 << 20 // the largest feed that is fetched
	fill := func(line string) []byte { return feed(strings.Repeat(line+"\r\n", size/len(line))) }
	list := func(to int) string {
		out := "0"
		for i := 1; i < to; i++ {
			out += fmt.Sprint(",", i)
		}
		return out
	}
	for name, body := range map[string][]byte{
		"nested":         fill("BEGIN:VEVENT"),
		"nested, folded": fill("BEG\r\n IN:VEVENT"),
		"parameters":     feed("X" + strings.Repeat(";A=B", size/4) + ":1"),
		"values":         feed("X;A=B" + strings.Repeat(",B", size/2) + ":1"),
		"escaped":        feed(`X;A=\"` + strings.Repeat(";A=B", size/4) + ":1"),
		"each second": feed(event("DTSTART:20260101T000000Z", "DURATION:PT1S",
			"RRULE:FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR="+list(24)+";BYMINUTE="+list(60)+";BYSECOND="+list(60))),
	} {
		if got, err := icalendar.Busy(t.Context(), body, window(t)); err == nil {
			t.Errorf("%s: taken as %q", name, text(got))
		}
	}
	// A rule that meets no date is searched for a second; many of them, until the look ends.
	const never = "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
	one := event("DTSTART:20260302T100000Z", "DURATION:PT1H", never)
	if got, err := icalendar.Busy(t.Context(), feed(one), window(t)); err != nil || len(got) != 1 {
		t.Errorf("a rule without dates: %q, %v", text(got), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := icalendar.Busy(ended, fill(one), window(t)); err == nil {
		t.Errorf("not ended: %q", text(got))
	}
	// The control: a large feed of an ordinary program.
	ordinary := event("DTSTART;TZID=Europe/Berlin:20260302T100000", "DURATION:PT1H",
		`ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;CN="A, B; C";X-NUM-GUESTS=0:mailto:a@example.com`,
		"DESCRIPTION:"+strings.Repeat(`one\, two\; `, 200))
	if got, err := icalendar.Busy(t.Context(), feed(strings.Repeat(ordinary+"\r\n", size/len(ordinary)-1)), window(t)); err != nil || len(got) < 500 {
		t.Errorf("an ordinary feed: %d spans, %v", len(got), err)
	}
}

func FuzzBusy(f *testing.F) {
	f.Add(feed(event("DTSTART:20260302T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260303T100000Z")))
	f.Add(feed(event("DTSTART;TZID=Europe/Berlin:20260329T023000", "DTEND;VALUE=DATE:20260330")))
	f.Add(feed("BEGIN:VFREEBUSY\r\nFREEBUSY:20260302T100000Z/PT1H\r\nEND:VFREEBUSY"))
	w := icalendar.Window{Zone: time.UTC, From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}
	f.Fuzz(func(t *testing.T, body []byte) {
		spans, err := icalendar.Busy(t.Context(), body, w)
		if err != nil && strings.Contains(fmt.Sprint(err), "SUMMARY") {
			t.Error("the error quotes the feed")
		}
		for _, span := range spans {
			if !span.End.After(span.Start) || !span.Start.Before(w.To) || !span.End.After(w.From) {
				t.Errorf("span %v", span)
			}
		}
	})
}
