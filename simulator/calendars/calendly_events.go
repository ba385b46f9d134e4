package calendars

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Booking is an event that was scheduled at the simulated Calendly, with its one invitee.
type Booking struct {
	// UUID identifies the event and its invitee.
	UUID, Email, Name string
	Start             time.Time
	// Status is active or canceled; Updated is when it last changed.
	Status  string
	Updated time.Time
	// NoShow says that the invitee did not come.
	NoShow bool
}

// Event and Invitee are the URIs of the booking's resources.
func (b Booking) Event() string { return "https://api.calendly.com/scheduled_events/" + b.UUID }

// Invitee is the URI of who takes part.
func (b Booking) Invitee() string { return b.Event() + "/invitees/I" + b.UUID }

// Bookings lists what was scheduled, in order.
func (w *World) Bookings() []Booking {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Booking
	for _, b := range w.booked {
		out = append(out, *b)
	}
	return out
}

// Book schedules as a visitor of the page does, whether or not the time is free.
func (w *World) Book(email string, start time.Time) Booking {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.book(email, "Visitor", start)
}

// ChangeBooking changes a booking, as its host would.
func (w *World) ChangeBooking(uuid string, change func(*Booking)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.booked {
		if b.UUID == uuid {
			change(b)
			b.Updated = w.now()
		}
	}
}

func (w *World) book(email, name string, start time.Time) *Booking {
	b := &Booking{
		UUID: fmt.Sprintf("EVENT%011d", len(w.booked)+1), Email: email, Name: name, Start: start.UTC(), Status: "active", Updated: w.now(),
	}
	w.booked = append(w.booked, b)
	return b
}

// bookInvitee is POST /invitees: of several requests for a time one wins.
func (w *World) bookInvitee(rw http.ResponseWriter, r *http.Request) {
	var body struct {
		Type    string `json:"event_type"`
		Start   string `json:"start_time"`
		Invitee struct {
			Name  string `json:"name"`
			Email string `json:"email"`
			Zone  string `json:"timezone"`
		} `json:"invitee"`
	}
	start, err := time.Time{}, json.NewDecoder(r.Body).Decode(&body)
	if err == nil {
		start, err = time.Parse(time.RFC3339, body.Start)
	}
	if err != nil || body.Type != calendlyType || body.Invitee.Email == "" || body.Invitee.Name == "" || body.Invitee.Zone == "" {
		calendlyError(rw, 400, "Invalid Argument", "The supplied parameters are invalid.")
		return
	}
	w.mu.Lock()
	free := slices.ContainsFunc(w.free, start.Equal) && !slices.ContainsFunc(w.booked, func(b *Booking) bool {
		return b.Status == "active" && b.Start.Equal(start)
	})
	if !free {
		w.mu.Unlock()
		calendlyError(rw, 400, "Invalid Argument", "The requested time is no longer available.")
		return
	}
	b := *w.book(body.Invitee.Email, body.Invitee.Name, start)
	w.mu.Unlock()
	answer(rw, 201, object{"resource": b.invitee()})
}

func (b Booking) invitee() object {
	var missed any
	if b.NoShow {
		missed = object{"uri": b.Invitee() + "/no_show"}
	}
	return object{
		"uri": b.Invitee(), "event": b.Event(), "email": b.Email, "name": b.Name, "status": b.Status, "rescheduled": false, "no_show": missed,
		"timezone": "America/New_York", "updated_at": stamp(b.Updated),
	}
}

// scheduledEvents is GET /scheduled_events: exactly one of user and organization, and filters.
func (w *World) scheduledEvents(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if (q.Get("user") == "") == (q.Get("organization") == "") {
		calendlyError(rw, 400, "Invalid Argument", "Exactly one of user, organization and group is needed.")
		return
	}
	from, _ := time.Parse(time.RFC3339, q.Get("min_start_time"))
	to, err := time.Parse(time.RFC3339, q.Get("max_start_time"))
	list := []any{}
	length := w.plan().Length
	for _, b := range w.Bookings() {
		mine := q.Get("invitee_email") == "" || strings.EqualFold(q.Get("invitee_email"), b.Email)
		if mine && (q.Get("status") == "" || q.Get("status") == b.Status) && !b.Start.Before(from) && (err != nil || b.Start.Before(to)) {
			list = append(list, object{
				"uri": b.Event(), "name": "Intro", "status": b.Status, "start_time": stamp(b.Start), "end_time": stamp(b.Start.Add(length)),
				"event_type": calendlyType, "updated_at": stamp(b.Updated), "created_at": stamp(b.Updated),
			})
		}
	}
	answer(rw, 200, object{"collection": list, "pagination": object{"count": len(list), "next_page_token": nil}})
}

// invitees is GET /scheduled_events/{uuid}/invitees.
func (w *World) invitees(rw http.ResponseWriter, r *http.Request) {
	list := []any{}
	for _, b := range w.Bookings() {
		if b.UUID == r.PathValue("uuid") {
			list = append(list, b.invitee())
		}
	}
	if len(list) == 0 {
		calendlyError(rw, 404, "Resource Not Found", "The requested resource was not found.")
		return
	}
	answer(rw, 200, object{"collection": list, "pagination": object{"count": len(list)}})
}
