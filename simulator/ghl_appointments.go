package simulator

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"
)

const (
	bookPath              = "/calendars/events/appointments"
	eventAppointmentNew   = "AppointmentCreate"
	eventAppointmentOther = "AppointmentUpdate"
)

// ErrNoAppointment says that there is no such appointment.
var ErrNoAppointment = errors.New("simulator: no such appointment")

// booking is an appointment as the provider holds it.
type booking struct {
	id, contact, member, status string
	Interval
	added, updated time.Time
	// visible hides it from lists until then; hiddenIn narrows that to one of them.
	visible  time.Time
	hiddenIn string
}

// Lists of appointments, for Fault.Variant of LaggingList.
const (
	ContactAppointments = "contact_appointments"
	CalendarEvents      = "calendar_events"
)

func (b *booking) shows(now time.Time, list string) bool {
	return !b.visible.After(now) || (b.hiddenIn != "" && b.hiddenIn != list)
}

func (b *booking) stands() bool { return b.status != "cancelled" && b.status != "invalid" }

// Appointment is an appointment of a location.
type Appointment struct {
	ID, Calendar, Contact, Status string
	Start, End                    time.Time
}

// Appointments lists what a location holds, cancelled ones too, by start.
func (s *Simulator) Appointments(location string) []Appointment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Appointment
	for _, c := range s.world.calendars {
		if c.location != location {
			continue
		}
		for _, b := range c.booked {
			out = append(out, Appointment{ID: b.id, Calendar: c.ID, Contact: b.contact, Status: b.status, Start: b.Start, End: b.End})
		}
	}
	slices.SortFunc(out, func(a, b Appointment) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
	return out
}

// SetAppointment gives an appointment another status and, unless zero, another start, as a person in the app would. Its
// webhook is sent where webhooks are.
func (s *Simulator) SetAppointment(id, status string, start time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	calendar, b := s.appointment(id)
	if b == nil {
		return ErrNoAppointment
	}
	b.status, b.updated = status, s.now()
	if !start.IsZero() {
		b.Interval = Interval{Start: start, End: start.Add(calendar.SlotDuration)}
	}
	s.emit(eventAppointmentOther, s.appointmentPayload(eventAppointmentOther, calendar, b))
	return nil
}

// AppointmentWebhook builds the AppointmentCreate event of an appointment.
func (s *Simulator) AppointmentWebhook(id string) (Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calendar, b := s.appointment(id)
	if b == nil {
		return nil, ErrNoAppointment
	}
	return s.appointmentPayload(eventAppointmentNew, calendar, b), nil
}

func (s *Simulator) appointment(id string) (*storedCalendar, *booking) {
	for _, c := range s.world.calendars {
		for _, b := range c.booked {
			if b.id == id {
				return c, b
			}
		}
	}
	return nil, nil
}

func (s *Simulator) appointmentPayload(event string, c *storedCalendar, b *booking) Payload {
	p, err := readFixture(event)
	if err != nil { // every event has its fixture
		return nil
	}
	p = s.envelope(p, event, c.location)
	fields := b.object(c, time.UTC)
	if inner, ok := p["appointment"].(map[string]any); ok {
		for _, name := range []string{"id", "calendarId", "contactId", "appointmentStatus", "startTime", "endTime", "dateAdded", "dateUpdated"} {
			inner[name] = fields[name]
		}
	}
	return p
}

// object is the appointment with its times in a zone.
func (b *booking) object(c *storedCalendar, zone *time.Location) object {
	return object{
		"id": b.id, "calendarId": c.ID, "locationId": c.location, "contactId": b.contact, "assignedUserId": b.member,
		"appointmentStatus": b.status, "title": "Appointment", "startTime": b.Start.In(zone).Format(time.RFC3339),
		"endTime": b.End.In(zone).Format(time.RFC3339), "dateAdded": b.added.UTC().Format(time.RFC3339Nano),
		"dateUpdated": b.updated.UTC().Format(time.RFC3339Nano),
	}
}

// free reports that a slot starting then collides with nothing, for the member named or, with "", for one of them.
func (c *storedCalendar) free(start time.Time, member string) bool {
	end := start.Add(c.SlotDuration)
	collides := func(i Interval) bool { return start.Before(i.End) && i.Start.Before(end) }
	if slices.ContainsFunc(c.Busy, collides) {
		return false
	}
	members := c.Members
	switch {
	case member != "":
		members = []string{member}
	case len(members) == 0:
		members = []string{""}
	}
	return slices.ContainsFunc(members, func(m string) bool {
		return !slices.ContainsFunc(c.booked, func(b *booking) bool { return b.member == m && b.stands() && collides(b.Interval) })
	})
}

// Book takes a slot as a visitor of the booking page would, and returns the appointment's id.
func (s *Simulator) Book(calendarID, contact string, start time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calendar := s.world.calendars[calendarID]
	if calendar == nil {
		return "", ErrNoCalendar
	}
	member := ""
	if i := slices.IndexFunc(calendar.Members, func(m string) bool { return calendar.free(start, m) }); i >= 0 {
		member = calendar.Members[i]
	}
	b := s.book(calendar, booking{contact: contact, member: member, status: "confirmed", Interval: Interval{Start: start}})
	return b.id, nil
}

func (s *Simulator) book(c *storedCalendar, b booking) *booking {
	b.id, b.added, b.updated, b.End = newID(), s.now(), s.now(), b.Start.Add(c.SlotDuration)
	c.booked = append(c.booked, &b)
	s.emit(eventAppointmentNew, s.appointmentPayload(eventAppointmentNew, c, &b))
	return &b
}

// bookAppointment is POST /calendars/events/appointments: validated and serialised, so
// of several requests for a slot one wins. The answer is bare and has no dates of its own.
func (s *Simulator) bookAppointment(c *call) answer {
	body, bad := c.decode()
	if bad != nil {
		return *bad
	}
	switch named := text(body, "locationId"); {
	case named == "":
		return refuse(http.StatusBadRequest, "Location ID is required.")
	case named != c.location:
		return refuseForeign()
	}
	start, err := time.Parse(time.RFC3339, text(body, "startTime"))
	if err != nil {
		return invalid("startTime must be a valid ISO 8601 date string")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	calendar, bad := s.calendarForCall(c, text(body, "calendarId"))
	if bad != nil {
		return *bad
	}
	if s.contact(c.location, c.contact) == nil {
		return refuse(http.StatusBadRequest, "Contact not found for id:"+c.contact)
	}
	member := text(body, "assignedUserId")
	if member == "" && len(calendar.Members) > 0 {
		return invalid("A team member needs to be selected. assignedUserId is missing")
	}
	open := calendar.slots(s.now(), Interval{Start: start, End: start.Add(time.Second)}, member)
	if skip, _ := body["ignoreFreeSlotValidation"].(bool); !skip && len(open) == 0 {
		return refuse(http.StatusBadRequest, "The slot you have selected is no longer available.")
	}
	b := booking{contact: c.contact, member: member, status: firstOf(text(body, "appointmentStatus"), "confirmed"), Interval: Interval{Start: start}}
	if c.fault != nil && c.fault.Kind == LaggingList {
		b.visible, b.hiddenIn = s.now().Add(c.fault.Delay), c.fault.Variant
	}
	made := s.book(calendar, b)
	c.accepted, c.messageID = true, made.id
	return reply(http.StatusCreated, object{
		"id": made.id, "calendarId": calendar.ID, "locationId": c.location, "contactId": c.contact,
		"startTime": start.Format(time.RFC3339), "endTime": start.Add(calendar.SlotDuration).Format(time.RFC3339),
		"title": text(body, "title"), "appointmentStatus": made.status, "assignedUserId": member,
	})
}

// contactAppointments is GET /contacts/{id}/appointments: times are the location's, without a zone.
func (s *Simulator) contactAppointments(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contact(c.location, c.contact) == nil {
		return refuse(http.StatusBadRequest, "Contact not found for id:"+c.contact)
	}
	rows := []object{}
	for _, calendar := range s.world.calendars {
		zone, err := time.LoadLocation(calendar.Timezone)
		if calendar.location != c.location || err != nil {
			continue
		}
		for _, b := range calendar.booked {
			if b.contact != c.contact || !b.shows(s.now(), ContactAppointments) {
				continue
			}
			row := b.object(calendar, zone)
			row["startTime"], row["endTime"] = b.Start.In(zone).Format(time.DateTime), b.End.In(zone).Format(time.DateTime)
			rows = append(rows, row)
		}
	}
	return reply(http.StatusOK, object{"events": rows})
}

// getAppointment is GET /calendars/events/appointments/{id}. What really answers is wrapped in "appointment".
func (s *Simulator) getAppointment(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	calendar, b := s.appointment(c.params["id"])
	if b == nil {
		return refuse(http.StatusBadRequest, "Appointment not found for id: "+c.params["id"])
	}
	if calendar.location != c.location {
		return refuseForeign()
	}
	return reply(http.StatusOK, object{"appointment": b.object(calendar, time.UTC)})
}

// calendarEvents is GET /calendars/events: the appointments that begin in a range of epoch milliseconds, of one calendar or
// one member.
func (s *Simulator) calendarEvents(c *call) answer {
	start, errStart := numberIn(c.query.Get("startTime"), bounds{most: maxMillis, fallback: -1})
	end, errEnd := numberIn(c.query.Get("endTime"), bounds{most: maxMillis, fallback: -1})
	of, user := c.query.Get("calendarId"), c.query.Get("userId")
	switch {
	case c.query.Get("locationId") == "":
		return invalid("locationId can't be undefined")
	case c.query.Get("locationId") != c.location:
		return refuseForeign()
	case errStart != nil || errEnd != nil || start < 0 || end < 0:
		return invalid("startTime and endTime must be numbers")
	case of == "" && user == "":
		return invalid("Either of calendarId, userId or groupId is required")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, to := time.UnixMilli(int64(start)), time.UnixMilli(int64(end))
	rows := []object{}
	for _, calendar := range s.world.calendars {
		if calendar.location != c.location || (of != "" && of != calendar.ID) {
			continue
		}
		for _, b := range calendar.booked {
			if (user == "" || user == b.member) && !b.Start.Before(from) && b.Start.Before(to) && b.shows(s.now(), CalendarEvents) {
				rows = append(rows, b.object(calendar, time.UTC))
			}
		}
	}
	return reply(http.StatusOK, object{"events": rows})
}
