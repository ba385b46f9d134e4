package calendars

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Booking is an event that was scheduled at the simulated Calendly, with its invitee.
type Booking struct {
	// UUID identifies the event and its invitee.
	UUID, Email, Name string
	// Others are the addresses of those who take part beside the invitee, in an event for several.
	Others []string
	Start  time.Time
	// Status is active or canceled; Updated is when it last changed.
	Status  string
	Updated time.Time
	// NoShow says that the invitee did not come.
	NoShow bool
}

// Event and Invitee are the URIs of the booking's resources.
func (b Booking) Event() string { return "https://api.calendly.com/scheduled_events/" + b.UUID }

// Invitee is the URI of who takes part first.
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

// all are the invitees.
func (b Booking) all() []object {
	out := []object{b.invitee()}
	for n, email := range b.Others {
		other := b.invitee()
		other["uri"], other["email"] = fmt.Sprintf("%s-%d", b.Invitee(), n+1), email
		out = append(out, other)
	}
	return out
}

func (b Booking) event(length time.Duration) object {
	counted := object{"total": 1 + len(b.Others), "active": 0, "limit": 1 + len(b.Others)}
	if b.Status == "active" {
		counted["active"] = counted["total"]
	}
	return object{
		"uri": b.Event(), "name": "Intro", "status": b.Status, "start_time": stamp(b.Start), "end_time": stamp(b.Start.Add(length)),
		"event_type": calendlyType, "updated_at": stamp(b.Updated), "created_at": stamp(b.Updated), "invitees_counter": counted,
	}
}

// scheduledEvents is GET /scheduled_events: exactly one of user and organization, and filters; by start, earliest first.
func (w *World) scheduledEvents(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if (q.Get("user") == "") == (q.Get("organization") == "") {
		calendlyError(rw, 400, "Invalid Argument", "Exactly one of user, organization and group is needed.")
		return
	}
	from, _ := time.Parse(time.RFC3339, q.Get("min_start_time"))
	to, err := time.Parse(time.RFC3339, q.Get("max_start_time"))
	list := []object{}
	length := w.plan().Length
	all := w.Bookings()
	slices.SortStableFunc(all, func(a, b Booking) int { return a.Start.Compare(b.Start) })
	for _, b := range all {
		mine := q.Get("invitee_email") == "" || slices.ContainsFunc(b.all(), func(i object) bool {
			return strings.EqualFold(q.Get("invitee_email"), fmt.Sprint(i["email"]))
		})
		if mine && (q.Get("status") == "" || q.Get("status") == b.Status) && !b.Start.Before(from) && (err != nil || b.Start.Before(to)) {
			list = append(list, b.event(length))
		}
	}
	w.paged(rw, r, list)
}

// invitees is GET /scheduled_events/{uuid}/invitees.
func (w *World) invitees(rw http.ResponseWriter, r *http.Request) {
	for _, b := range w.Bookings() {
		if b.UUID == r.PathValue("uuid") {
			w.paged(rw, r, b.all())
			return
		}
	}
	calendlyError(rw, 404, "Resource Not Found", "The requested resource was not found.")
}

// paged answers a part of a list as Calendly does: count is 1 to 100, 20 when not said, and a page_token is one that it gave.
func (w *World) paged(rw http.ResponseWriter, r *http.Request, list []object) {
	const usual, most = 20, 100
	q := r.URL.Query()
	count, first, err := usual, 0, error(nil)
	if text := q.Get("count"); text != "" {
		count, err = strconv.Atoi(text)
	}
	if text := q.Get("page_token"); text != "" && err == nil {
		if first, err = strconv.Atoi(strings.TrimPrefix(text, "page-")); first < 1 || first >= len(list) {
			err = strconv.ErrRange
		}
	}
	if err != nil || count < 1 || count > most {
		calendlyError(rw, 400, "Invalid Argument", "The supplied parameters are invalid.")
		return
	}
	if size := w.plan().Page; size > 0 {
		count = min(count, size)
	}
	end, next := min(first+count, len(list)), any(nil)
	if end < len(list) {
		next = fmt.Sprintf("page-%d", end)
	}
	answer(rw, 200, object{"collection": list[first:end], "pagination": object{"count": end - first, "next_page_token": next}})
}
