package followup

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // zones must not depend on the machine
)

// ErrUnknownZone is returned for a zone that is empty or not in the IANA database. Nothing is guessed in its place.
var ErrUnknownZone = errors.New("unknown time zone")

// Zone loads an IANA zone. "" and "Local", which time.LoadLocation would take, are unknown here.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, ErrUnknownZone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownZone, name)
	}
	return zone, nil
}

// wall is a local date and time of day.
type wall struct {
	year           int
	month          time.Month
	day            int
	hour, min, sec int
	nsec           int
}

func wallOf(t time.Time) wall {
	y, m, d := t.Date()
	h, mi, s := t.Clock()
	return wall{y, m, d, h, mi, s, t.Nanosecond()}
}

// in gives the instant of a local time in zone. A time inside a gap becomes the first instant after it: time.Date would
// move it backwards in some zones, to before the asked time and even to the day before. Of a time that comes twice it
// is the first.
func (w wall) in(zone *time.Location) time.Time {
	asked := time.Date(w.year, w.month, w.day, w.hour, w.min, w.sec, w.nsec, time.UTC)
	got := time.Date(w.year, w.month, w.day, w.hour, w.min, w.sec, w.nsec, zone)
	switch shown := localAsUTC(got); {
	case shown.Before(asked): // moved backwards over the gap that follows got
		_, end := got.ZoneBounds()
		return end
	case shown.After(asked): // moved forwards; the gap is where got's rule begins
		start, _ := got.ZoneBounds()
		return start
	}
	start, _ := got.ZoneBounds()
	if start.IsZero() {
		return got
	}
	_, before := start.Add(-time.Nanosecond).In(zone).Zone()
	earlier := asked.Add(-time.Duration(before) * time.Second)
	if earlier.Before(got) && localAsUTC(earlier.In(zone)).Equal(asked) {
		return earlier.In(zone)
	}
	return got
}

// localAsUTC is the clock face of t as if it were UTC, so that two faces can be compared.
func localAsUTC(t time.Time) time.Time {
	w := wallOf(t)
	return time.Date(w.year, w.month, w.day, w.hour, w.min, w.sec, w.nsec, time.UTC)
}

// Anchors are what delays count from.
type Anchors struct {
	// Start is when the enrollment started.
	Start time.Time
	// Previous is when the step before was done; the start for the first step.
	Previous time.Time
}

// Due is when a step is due: the days after its anchor by the calendar of zone, keeping the time of day, then the minutes.
// It is never before the step before was done, so that steps keep their order; and a step anchored to the one before
// counts from when that was really done, so that a late step does not bring the next one closer.
func Due(from Anchors, step Step, zone *time.Location) time.Time {
	anchor := from.Previous
	if step.Anchor == FromStart {
		anchor = from.Start
	}
	due := anchor
	if step.DelayDays > 0 {
		w := wallOf(anchor.In(zone))
		w.day += step.DelayDays
		due = w.in(zone)
	}
	due = due.Add(time.Duration(step.DelayMinutes) * time.Minute)
	if due.Before(from.Previous) {
		due = from.Previous
	}
	return due.UTC()
}

// NeedsZone reports whether the wait of a step cannot be counted without a zone.
func (s Step) NeedsZone() bool { return s.DelayDays > 0 }
