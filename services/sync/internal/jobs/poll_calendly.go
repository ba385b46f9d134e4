package jobs

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/provider/calendly"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

const (
	// scheduledPages and inviteePages bound the reads of one poll of Calendly, in pages of at most 100; the next poll goes on.
	scheduledPages, inviteePages = 10, 25
)

// errCrowded says that more events begin in one second than a poll lists: what is beyond was left out.
var errCrowded = errors.New("more events begin in one second than are listed")

// spot is how far Calendly's events have been compared, in the order of their starts and names: up to and with an event, or, with a
// token, up to that page of the event's invitees. Its form is the connection's cursor.
type spot struct {
	start        time.Time
	token, event string
}

func spotOf(cursor string) spot {
	parts := strings.SplitN(cursor, " ", 3)
	if len(parts) != 3 {
		return spot{} // the beginning, as with a cursor of an earlier release
	}
	start, err := time.Parse(time.RFC3339Nano, parts[0])
	if err != nil {
		return spot{}
	}
	return spot{start: start, token: parts[1], event: parts[2]}
}

func (s spot) String() string {
	return s.start.UTC().Format(time.RFC3339Nano) + " " + s.token + " " + s.event
}

// passed reports whether an event has been compared.
func (s spot) passed(e calendly.Scheduled) bool {
	at := cmp.Or(e.Start.Compare(s.start), cmp.Compare(e.URI, s.event))
	return at < 0 || at == 0 && s.token == ""
}

// scheduled is one poll of Calendly.
type scheduled struct {
	*comparing
	from  spot
	reads int
}

// calendly reads what is scheduled, earliest first, from the cursor on, and the invitees of what is not known as it is. Events that
// begin together are compared together, since a list orders them by their starts only.
func (c *comparing) calendly(ctx context.Context) error {
	s := &scheduled{comparing: c, from: spotOf(c.cursor)}
	first := c.now.Add(-appointmentsPast)
	if s.from.start.After(first) {
		first = s.from.start
	} else {
		s.from = spot{}
	}
	var held []calendly.Scheduled
	listed, left := 0, false
	for page, err := range c.Calendly.Events(ctx, c.account, first, c.now.Add(appointmentsAhead)) {
		if err != nil {
			return err
		}
		if listed == scheduledPages {
			left = true
			break
		}
		listed++
		var ready []calendly.Scheduled
		ready, held = together(append(held, page...))
		if done, err := s.take(ctx, ready); err != nil || !done {
			return err
		}
	}
	if left && len(held) > 0 && held[0].Start.After(first) {
		c.cursor = spot{start: held[0].Start}.String()
		return nil
	}
	if done, err := s.take(ctx, held); err != nil || !done {
		return err
	}
	if left {
		c.cursor = spot{start: first.Truncate(time.Second).Add(time.Second)}.String()
		c.failed++ // so that the round is not taken for a whole one
		return errCrowded
	}
	c.cursor = ""
	return nil
}

// together cuts off the events with the latest start: the next page may have more of them.
func together(listed []calendly.Scheduled) (ready, held []calendly.Scheduled) {
	cut := len(listed)
	for cut > 0 && listed[cut-1].Start.Equal(listed[len(listed)-1].Start) {
		cut--
	}
	return listed[:cut], listed[cut:]
}

// take compares events and moves the cursor with each. It reports false when this poll has read what one may.
func (s *scheduled) take(ctx context.Context, events []calendly.Scheduled) (bool, error) {
	if len(events) == 0 {
		return true, nil
	}
	slices.SortFunc(events, func(a, b calendly.Scheduled) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.URI, b.URI)) })
	stored, err := s.stored(ctx, db.KnownAppointmentsParams{First: events[0].Start, Last: events[len(events)-1].Start})
	if err != nil {
		return false, err
	}
	known := byEvent(stored)
	for _, e := range events {
		if s.from.passed(e) {
			continue
		}
		if asIs(known[e.URI], e) {
			s.known++
		} else if done, err := s.invitees(ctx, stored, e); err != nil || !done {
			return false, err
		}
		s.cursor = spot{start: e.Start, event: e.URI}.String()
	}
	return true, nil
}

// invitees compares who takes part in an event, from where an earlier poll had to leave it. It reports false, with the cursor at the
// next page, when this poll has read what one may.
func (s *scheduled) invitees(ctx context.Context, stored map[string]db.KnownAppointmentsRow, e calendly.Scheduled) (bool, error) {
	token := ""
	if e.URI == s.from.event {
		token = s.from.token
	}
	if s.reads >= inviteePages || s.failed >= pollFailures {
		return false, nil // the cursor says where to go on
	}
	for page, err := range s.Calendly.Invitees(ctx, s.account, e.URI, token) {
		s.reads++
		if err != nil && !s.pass(err) {
			return false, err
		}
		for _, i := range page.Invitees {
			body, err := foundInvitee(e, i).Body()
			if err != nil {
				return false, err
			}
			if err := s.compare(ctx, stored, webhook.Delivery{Source: webhook.Calendly, Body: body, Workspace: s.workspace.String()}); err != nil {
				return false, err
			}
		}
		if page.Next == "" {
			break
		}
		s.cursor = spot{start: e.Start, token: page.Next, event: e.URI}.String()
		if s.reads >= inviteePages {
			return false, nil
		}
	}
	return true, nil
}

// byEvent are the stored appointments of each event: an invitee's name begins with the event's.
func byEvent(stored map[string]db.KnownAppointmentsRow) map[string][]db.KnownAppointmentsRow {
	out := map[string][]db.KnownAppointmentsRow{}
	for id, row := range stored {
		if event, _, ok := strings.Cut(id, "/invitees/"); ok {
			out[event] = append(out[event], row)
		}
	}
	return out
}

// asIs reports whether an event is known as it is: its start, and as many invitees, and as many of them coming, as the list says; of a
// list that does not say, one is enough. What is known of a no-show is not asked again; a new one is found when its webhook is not lost.
func asIs(known []db.KnownAppointmentsRow, e calendly.Scheduled) bool {
	coming := 0
	for _, row := range known {
		if row.StartTime == nil || !row.StartTime.Equal(e.Start) {
			return false
		}
		if row.Status != string(booking.Cancelled) && row.Status != string(booking.Moved) {
			coming++
		}
	}
	active := e.Status == "active"
	if e.Invitees.Total == 0 || !active {
		return len(known) > 0 && len(known) >= e.Invitees.Total && active == (coming > 0)
	}
	return len(known) >= e.Invitees.Total && coming == e.Invitees.Active
}
