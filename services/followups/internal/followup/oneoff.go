package followup

import (
	"errors"
	"time"
)

// OneOffTask is one task of a one-off follow-up.
type OneOffTask struct {
	// Kind, Reason and Title are those of the task.
	Kind, Reason, Title string
	// Due is when it is to be done.
	Due time.Time
}

// OneOff is what a person set: tasks, and until when the sequences are held; zero when no date is known.
type OneOff struct {
	Tasks []OneOffTask
	Until time.Time
}

// Bounds of one-off follow-ups.
const (
	leastAhead      = time.Hour
	recontactBefore = 7 * 24 * time.Hour
	leastRecontact  = 5 * time.Minute
)

// ErrTooSoon is returned for a date that is not more than an hour ahead.
var ErrTooSoon = errors.New("must be more than an hour ahead")

// OneOffAt plans a follow-up at a date. Error: ErrTooSoon.
func OneOffAt(at, now time.Time) (OneOff, error) {
	if !at.After(now.Add(leastAhead)) {
		return OneOff{}, ErrTooSoon
	}
	return OneOff{Until: at, Tasks: []OneOffTask{{Kind: "scheduled", Reason: "date_set", Title: "Follow up on the agreed date", Due: at}}}, nil
}

// OneOffWindow plans a follow-up for a time that begins in the future: tell the lead now, and write again a week before,
// on a business day. Error: ErrTooSoon.
func OneOffWindow(start, now time.Time, hours Hours, zone *time.Location) (OneOff, error) {
	if !start.After(now.Add(leastAhead)) {
		return OneOff{}, ErrTooSoon
	}
	again := hours.previousDay(start.Add(-recontactBefore), zone)
	if earliest := now.Add(leastRecontact); again.Before(earliest) {
		again = earliest
	}
	return OneOff{Until: again, Tasks: []OneOffTask{
		{Kind: "window_notice", Reason: "window_set", Title: "Tell the lead that you will write again nearer the time", Due: now},
		{Kind: "recontact", Reason: "window_set", Title: "Write again: the time that the lead named is near", Due: again},
	}}, nil
}

// OneOffUnclear plans to ask the lead for a date.
func OneOffUnclear(now time.Time) OneOff {
	return OneOff{Tasks: []OneOffTask{{Kind: "clarification", Reason: "date_unclear", Title: "Ask the lead when to write again", Due: now}}}
}

// previousDay moves back to the latest day, that of t or one before, on which business hours open.
func (h Hours) previousDay(t time.Time, zone *time.Location) time.Time {
	for back := range 7 {
		w := wallOf(t.In(orUTC(zone)))
		w.day -= back
		day := w.in(orUTC(zone))
		for _, open := range h.Days {
			if day.In(orUTC(zone)).Weekday() == open {
				return day.UTC()
			}
		}
	}
	return t
}
