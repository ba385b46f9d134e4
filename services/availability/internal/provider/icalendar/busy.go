package icalendar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"
	"github.com/teambition/rrule-go"

	"github.com/relance/relance/services/availability/internal/slots"
)

// Bounds of what one feed may cost.
const (
	maxEvents      = 20_000
	maxOccurrences = 200_000
	// maxDaily is how many times of one day a rule may name: the library makes all of a rule's year before it gives the first.
	maxDaily = 96
)

// errTooMuch says that a feed is larger than any person's calendar.
var errTooMuch = errors.New("the feed holds more events than a calendar can")

// Window is the time that matters of a feed.
type Window struct {
	// Zone is that of times without one (floating) and of whole days.
	Zone *time.Location
	// From and To bound the starts of what is busy.
	From, To time.Time
}

// Busy gives the times in which a feed says that somebody is busy: events that are not cancelled and not transparent,
// with their repetitions, exceptions and moved instances, and published free/busy times. It refuses a feed that it cannot
// read whole, since a meeting that is overlooked is a time offered wrongly. It ends with ctx: a rule that meets no date is
// searched for the next one to the end of the library's calendar.
func Busy(ctx context.Context, feed []byte, w Window) ([]slots.Span, error) {
	if err := affordable(feed); err != nil {
		return nil, err
	}
	calendar, err := ics.ParseCalendar(bytes.NewReader(feed))
	// A feed cut short parses too; what is missing of it would be offered.
	if err != nil || !bytes.HasSuffix(bytes.ToUpper(bytes.TrimSpace(feed)), []byte("END:VCALENDAR")) {
		return nil, errors.New("the feed is not iCalendar")
	}
	r := &reader{window: w, zones: map[string]*time.Location{}, moved: map[string]bool{}}
	r.knowZones(calendar)
	events := calendar.Events()
	if len(events) > maxEvents {
		return nil, errTooMuch
	}
	for _, event := range events {
		if err := r.noteMoved(event); err != nil {
			return nil, err
		}
	}
	for _, event := range events {
		if err := r.event(ctx, event); err != nil {
			return nil, err
		}
	}
	for _, published := range calendar.Busys() {
		if err := r.freeBusy(published); err != nil {
			return nil, err
		}
	}
	return r.busy, nil
}

// reader collects what is busy.
type reader struct {
	window Window
	zones  map[string]*time.Location
	// moved are instances of repeated events that another event replaces: uid and original start.
	moved map[string]bool
	busy  []slots.Span
	count int
}

func instance(uid string, start time.Time) string {
	return uid + "\x00" + start.UTC().Format(time.RFC3339)
}

func value(event *ics.VEvent, property ics.ComponentProperty) string {
	if p := event.GetProperty(property); p != nil {
		return p.Value
	}
	return ""
}

func (r *reader) noteMoved(event *ics.VEvent) error {
	p := event.GetProperty(ics.ComponentPropertyRecurrenceId)
	if p == nil {
		return nil
	}
	at, _, err := r.when(p.BaseProperty)
	r.moved[instance(value(event, ics.ComponentPropertyUniqueId), at)] = true
	return err
}

func (r *reader) event(ctx context.Context, event *ics.VEvent) error {
	free := strings.EqualFold(value(event, ics.ComponentPropertyStatus), "CANCELLED") ||
		strings.EqualFold(value(event, ics.ComponentPropertyTransp), "TRANSPARENT")
	if free {
		return nil
	}
	started := event.GetProperty(ics.ComponentPropertyDtStart)
	if started == nil {
		return errors.New("an event has no start")
	}
	start, day, err := r.when(started.BaseProperty)
	if err != nil {
		return err
	}
	length, err := r.length(event, start, day)
	if err != nil {
		return err
	}
	if event.GetProperty(ics.ComponentPropertyRrule) == nil && event.GetProperty(ics.ComponentPropertyRdate) == nil {
		r.add(start, length)
		return nil
	}
	return r.repeat(ctx, event, start, length)
}

// length is how long an event lasts; days are whole days of the zone, whatever the clocks do.
type length struct {
	days int
	time.Duration
}

func (l length) end(start time.Time) time.Time { return start.AddDate(0, 0, l.days).Add(l.Duration) }

func (r *reader) length(event *ics.VEvent, start time.Time, day bool) (length, error) {
	if ended := event.GetProperty(ics.ComponentPropertyDtEnd); ended != nil {
		end, _, err := r.when(ended.BaseProperty)
		if err != nil {
			return length{}, err
		}
		if day {
			return length{days: max(1, int(end.Sub(start).Hours()+12)/24)}, nil
		}
		return length{Duration: end.Sub(start)}, nil
	}
	if text := value(event, ics.ComponentPropertyDuration); text != "" {
		d, err := period(text)
		return length{Duration: d}, err
	}
	if day {
		return length{days: 1}, nil
	}
	return length{}, nil
}

func (r *reader) add(start time.Time, l length) {
	end := l.end(start)
	if start.Before(r.window.To) && end.After(r.window.From) && end.After(start) {
		r.busy = append(r.busy, slots.Span{Start: start, End: end})
	}
}

func (r *reader) repeat(ctx context.Context, event *ics.VEvent, start time.Time, l length) error {
	// The library ends a rule 292 years after its start, the longest time.Duration.
	if start.Year() < 1900 {
		return errors.New("a repetition began before 1900")
	}
	first := &rrule.Set{}
	first.DTStart(start)
	// Without a rule, the start is one of the dates.
	first.RDate(start)
	if err := r.dates(event, ics.ComponentPropertyRdate, first.RDate); err != nil {
		return err
	}
	sets := []*rrule.Set{first}
	for i, p := range event.GetProperties(ics.ComponentPropertyRrule) {
		rule, err := readRule(p.Value, start)
		if err != nil {
			return err
		}
		if i > 0 { // a set holds one rule, and would drop the one before
			sets = append(sets, &rrule.Set{})
		}
		sets[i].RRule(rule)
	}
	uid := value(event, ics.ComponentPropertyUniqueId)
	for _, set := range sets {
		if err := r.dates(event, ics.ComponentPropertyExdate, set.ExDate); err != nil {
			return err
		}
		if err := r.occur(ctx, uid, set.Iterator(), l); err != nil {
			return err
		}
	}
	return nil
}

// occur adds the occurrences that no other event replaces.
func (r *reader) occur(ctx context.Context, uid string, next rrule.Next, l length) error {
	for {
		if err := ctx.Err(); err != nil {
			return errors.New("the feed's repetitions take too long to work out")
		}
		at, ok := next()
		if !ok || !at.Before(r.window.To) {
			return nil
		}
		if r.count++; r.count > maxOccurrences {
			return errTooMuch
		}
		if !r.moved[instance(uid, at)] {
			r.add(at, l)
		}
	}
}

// readRule reads a repetition rule of an event that begins at start.
func readRule(text string, start time.Time) (*rrule.RRule, error) {
	bad := errors.New("a repetition rule cannot be read")
	option, err := rrule.StrToROptionInLocation(text, start.Location())
	if err != nil || option.Freq > rrule.DAILY {
		return nil, bad
	}
	if max(1, len(option.Byhour))*max(1, len(option.Byminute))*max(1, len(option.Bysecond)) > maxDaily {
		return nil, errTooMuch
	}
	if untilDay.MatchString(text) {
		option.Until = option.Until.AddDate(0, 0, 1).Add(-time.Second) // the day is the last one with a meeting
	}
	option.Dtstart = start
	rule, err := rrule.NewRRule(*option)
	if err != nil {
		return nil, bad
	}
	return rule, nil
}

// untilDay finds an end without a time of day, which many programs write for meetings that have one.
var untilDay = regexp.MustCompile(`(?i)(?:^|;)UNTIL=[0-9]{8}(?:;|$)`)

func (r *reader) dates(event *ics.VEvent, property ics.ComponentProperty, put func(time.Time)) error {
	for _, p := range event.GetProperties(property) {
		for text := range strings.SplitSeq(p.Value, ",") {
			one := p.BaseProperty
			one.Value, _, _ = strings.Cut(text, "/")
			at, _, err := r.when(one)
			if err != nil {
				return err
			}
			put(at)
		}
	}
	return nil
}

// freeBusy reads FREEBUSY periods: start/end or start/duration, comma separated.
func (r *reader) freeBusy(published *ics.VBusy) error {
	for _, p := range published.GetProperties(ics.ComponentProperty(ics.PropertyFreebusy)) {
		if kinds := p.ICalParameters["FBTYPE"]; len(kinds) == 1 && strings.EqualFold(kinds[0], "FREE") {
			continue
		}
		for text := range strings.SplitSeq(p.Value, ",") {
			first, second, ok := strings.Cut(text, "/")
			if !ok {
				return errors.New("a busy period has no end")
			}
			start, err := time.Parse(utcForm, first)
			if err != nil {
				return errors.New("a busy period's start is not in UTC")
			}
			end, err := time.Parse(utcForm, second)
			if err != nil {
				d, err := period(second)
				if err != nil {
					return err
				}
				end = start.Add(d)
			}
			if r.count++; r.count > maxOccurrences {
				return errTooMuch
			}
			r.add(start, length{Duration: end.Sub(start)})
		}
	}
	return nil
}

const (
	utcForm   = "20060102T150405Z"
	localForm = "20060102T150405"
	dayForm   = "20060102"
)

// when reads a time: UTC, in a named zone, floating, or a whole day.
func (r *reader) when(p ics.BaseProperty) (at time.Time, day bool, err error) {
	zone := r.window.Zone
	if names := p.ICalParameters["TZID"]; len(names) == 1 {
		if zone, err = r.zone(names[0]); err != nil {
			return time.Time{}, false, err
		}
	}
	if at, err = time.Parse(utcForm, p.Value); err == nil {
		return at, false, nil
	}
	if at, err = time.ParseInLocation(localForm, p.Value, zone); err == nil {
		return at, false, nil
	}
	if at, err = time.ParseInLocation(dayForm, p.Value, zone); err == nil {
		return at, true, nil
	}
	return time.Time{}, false, errors.New("a time cannot be read")
}

// period reads an RFC 5545 duration such as PT1H30M, P1D or P2W. A negative one is not a length.
func period(text string) (time.Duration, error) {
	bad := fmt.Errorf("a duration cannot be read")
	rest, ok := strings.CutPrefix(strings.TrimPrefix(text, "+"), "P")
	if !ok || rest == "" {
		return 0, bad
	}
	units := map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour}
	total, number := time.Duration(0), time.Duration(-1)
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= '0' && c <= '9' && number < 1_000_000:
			number = max(number, 0)*10 + time.Duration(c-'0')
		case c == 'T' && number < 0:
			units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
		case units[c] != 0 && number >= 0:
			total, number = total+number*units[c], -1
		default:
			return 0, bad
		}
	}
	if number >= 0 || total < 0 || total > 366*24*time.Hour {
		return 0, bad
	}
	return total, nil
}
