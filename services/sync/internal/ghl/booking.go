package ghl

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
)

// Calendars books and reads GoHighLevel's appointments.
type Calendars struct{ *Client }

var _ provider.Calendar = Calendars{}

// Budget is the location's.
func (c Calendars) Budget(who Account) budget.Key { return who.Budget() }

// Prepare reads who attends the calendar: GoHighLevel wants a member named where there are several, which is then the first
// who is free. Errors: ErrID, ReadError.
func (c Calendars) Prepare(ctx context.Context, who Account, a provider.Appointment) (provider.Appointment, error) {
	if !lead.ValidID(a.Calendar) || !lead.ValidID(a.Contact) {
		return a, ErrID
	}
	var answer struct {
		Calendar struct {
			Members []struct {
				UserID string `json:"userId"`
			} `json:"teamMembers"`
		} `json:"calendar"`
	}
	if err := c.get(ctx, call{path: "/calendars/" + a.Calendar, version: versionConversations, who: who}, &answer); err != nil {
		return a, err
	}
	a.Known = []string{a.Calendar}
	members := answer.Calendar.Members
	if len(members) > maxMembers {
		members = members[:maxMembers]
	}
	for i, m := range members {
		if !lead.ValidID(m.UserID) {
			continue
		}
		if len(members) == 1 || i == len(members)-1 {
			a.Member = m.UserID
			break
		}
		free, err := c.FreeSlots(ctx, who, SlotQuery{Calendar: a.Calendar, User: m.UserID, Start: a.Start, End: a.Start.Add(time.Minute)})
		if err != nil {
			return a, err
		}
		if slices.ContainsFunc(free, a.Start.Equal) {
			a.Member = m.UserID
			break
		}
	}
	return a, nil
}

// maxMembers bounds the reads of one booking.
const maxMembers = 10

// Book makes one call that books. It never fails: whatever happens is evidence. The caller holds a permit of the budget.
func (c Calendars) Book(ctx context.Context, who Account, a provider.Appointment) Result {
	raw, err := json.Marshal(struct {
		Calendar string `json:"calendarId"`
		Location string `json:"locationId"`
		Contact  string `json:"contactId"`
		Start    string `json:"startTime"`
		End      string `json:"endTime"`
		Status   string `json:"appointmentStatus"`
		Member   string `json:"assignedUserId,omitempty"`
	}{
		a.Calendar, who.Location, a.Contact, a.Start.UTC().Format(time.RFC3339), a.End.UTC().Format(time.RFC3339), "confirmed", a.Member,
	})
	if err != nil || !lead.ValidID(a.Calendar) || !lead.ValidID(a.Contact) {
		return Result{Evidence: classify.Evidence{NotSent: true}}
	}
	return c.do(ctx, call{method: http.MethodPost, path: "/calendars/events/appointments", version: versionConversations, who: who, body: raw})
}

// Find looks for the contact's appointment at a time on a calendar: in the contact's appointments, then in the calendar's,
// which is another list. It gives its id, empty when both lists are without it. Errors: ErrID, ReadError.
func (c Calendars) Find(ctx context.Context, who Account, a provider.Appointment) (string, error) {
	if !lead.ValidID(a.Calendar) || !lead.ValidID(a.Contact) || !lead.ValidID(who.Location) {
		return "", ErrID
	}
	id, err := c.ofContact(ctx, who, a)
	if err != nil || id != "" {
		return id, err
	}
	list, err := c.Events(ctx, who, EventQuery{Calendar: a.Calendar, Start: a.Start.Add(-time.Minute), End: a.Start.Add(time.Minute)})
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.Contact == a.Contact && e.Start.Equal(a.Start) && e.stands() {
			return e.ID, nil
		}
	}
	return "", nil
}

// ofContact reads the contact's appointments. Their times are without a zone, so that each that may be the one is read
// again by its id.
func (c Calendars) ofContact(ctx context.Context, who Account, a provider.Appointment) (string, error) {
	var answer struct {
		Events *[]event `json:"events"`
	}
	in := call{path: "/contacts/" + a.Contact + "/appointments", version: versionContacts, who: who}
	if err := c.get(ctx, in, &answer); err != nil {
		return "", err
	}
	if answer.Events == nil {
		return "", garbled()
	}
	for _, row := range *answer.Events {
		e := row.read()
		if e.Calendar != a.Calendar || !e.stands() || !lead.ValidID(e.ID) {
			continue
		}
		if e.vague {
			if e.Start.Sub(a.Start).Abs() > widestZone {
				continue
			}
			var err error
			if e, err = c.Event(ctx, who, e.ID); err != nil {
				return "", err
			}
		}
		if e.Start.Equal(a.Start) && e.stands() {
			return e.ID, nil
		}
	}
	return "", nil
}

// widestZone is how far a local time can be from UTC.
const widestZone = 15 * time.Hour

// Event is an appointment as the calendar's lists show it.
type Event struct {
	ID, Calendar, Contact, Status string
	Start, End                    time.Time
	// Updated is the provider's time of the newest change, zero when it did not say.
	Updated time.Time
	// Deleted says that it was removed.
	Deleted bool
	// vague says that Start has no zone: it was read as if it were UTC.
	vague bool
}

func (e Event) stands() bool {
	return !e.Deleted && !slices.Contains([]string{"cancelled", "canceled", "invalid"}, strings.ToLower(e.Status))
}

type event struct {
	ID          string `json:"id"`
	Calendar    string `json:"calendarId"`
	Contact     string `json:"contactId"`
	Status      string `json:"appointmentStatus"`
	StartTime   string `json:"startTime"`
	EndTime     string `json:"endTime"`
	DateAdded   string `json:"dateAdded"`
	DateUpdated string `json:"dateUpdated"`
	Deleted     bool   `json:"deleted"`
}

func (r event) read() Event {
	e := Event{ID: r.ID, Calendar: r.Calendar, Contact: r.Contact, Status: r.Status, Deleted: r.Deleted}
	var zoned bool
	if e.Start, zoned = eventTime(r.StartTime); !zoned {
		e.vague = true
	}
	e.End, _ = eventTime(r.EndTime)
	for _, text := range []string{r.DateUpdated, r.DateAdded} {
		if at, ok := eventTime(text); ok && e.Updated.IsZero() {
			e.Updated = at
		}
	}
	return e
}

// eventTime reads a time, and reports whether it has a zone.
func eventTime(text string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC(), true
	}
	for _, form := range []string{time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, false
		}
	}
	return time.Time{}, false
}

// Event reads one appointment. Errors: ErrID, ReadError.
func (c Calendars) Event(ctx context.Context, who Account, id string) (Event, error) {
	if !lead.ValidID(id) {
		return Event{}, ErrID
	}
	// The specification wraps it in "event", the service in "appointment"; some answers are bare.
	var answer struct {
		event
		Event       event `json:"event"`
		Appointment event `json:"appointment"`
	}
	in := call{path: "/calendars/events/appointments/" + id, version: versionConversations, who: who}
	if err := c.get(ctx, in, &answer); err != nil {
		return Event{}, err
	}
	for _, row := range []event{answer.Appointment, answer.Event, answer.event} {
		if e := row.read(); e.ID == id && !e.vague {
			return e, nil
		}
	}
	return Event{}, garbled()
}

// EventQuery asks for the appointments of a calendar that begin in a range.
type EventQuery struct {
	Calendar   string
	Start, End time.Time
}

// Events lists a calendar's appointments. Those without an id or a zoned start are left out. Errors: ErrID, ReadError.
func (c Calendars) Events(ctx context.Context, who Account, q EventQuery) ([]Event, error) {
	if !lead.ValidID(q.Calendar) || !lead.ValidID(who.Location) {
		return nil, ErrID
	}
	query := url.Values{
		"locationId": {who.Location}, "calendarId": {q.Calendar},
		"startTime": {strconv.FormatInt(q.Start.UnixMilli(), 10)}, "endTime": {strconv.FormatInt(q.End.UnixMilli(), 10)},
	}
	var answer struct {
		Events *[]event `json:"events"`
	}
	if err := c.get(ctx, call{path: "/calendars/events", version: versionConversations, query: query, who: who}, &answer); err != nil {
		return nil, err
	}
	if answer.Events == nil {
		return nil, garbled()
	}
	var out []Event
	for _, row := range *answer.Events {
		if e := row.read(); lead.ValidID(e.ID) && !e.vague {
			out = append(out, e)
		}
	}
	return out, nil
}

// List gives the ids of a location's calendars, sorted. Errors: ErrID, ReadError.
func (c Calendars) List(ctx context.Context, who Account) ([]string, error) {
	if !lead.ValidID(who.Location) {
		return nil, ErrID
	}
	var answer struct {
		Calendars *[]struct {
			ID string `json:"id"`
		} `json:"calendars"`
	}
	in := call{path: "/calendars/", version: versionConversations, query: url.Values{"locationId": {who.Location}}, who: who}
	if err := c.get(ctx, in, &answer); err != nil {
		return nil, err
	}
	if answer.Calendars == nil {
		return nil, garbled()
	}
	var out []string
	for _, calendar := range *answer.Calendars {
		if lead.ValidID(calendar.ID) {
			out = append(out, calendar.ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
