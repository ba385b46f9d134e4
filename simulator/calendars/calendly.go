package calendars

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// The one event type of the simulated Calendly.
const (
	CalendlyProfile, CalendlyEvent = "acme", "intro"
	CalendlyUUID                   = "6f6d1a3a-1111-4222-8333-444455556666"
	calendlyUser                   = "https://api.calendly.com/users/AAAA"
	calendlyOrganization           = "https://api.calendly.com/organizations/OOOO"
	calendlyType                   = "https://api.calendly.com/event_types/" + CalendlyUUID
)

func calendlyError(rw http.ResponseWriter, status int, title, message string) {
	answer(rw, status, object{"title": title, "message": message})
}

func (w *World) routeCalendly(mux *http.ServeMux) {
	for path, serve := range map[string]http.HandlerFunc{
		"GET /users/me": func(rw http.ResponseWriter, _ *http.Request) {
			answer(rw, 200, object{"resource": object{
				"uri": calendlyUser, "timezone": "America/New_York", "current_organization": calendlyOrganization,
			}})
		},
		"GET /event_types": func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("user") != calendlyUser {
				calendlyError(rw, 403, "Permission Denied", "You do not have permission to access this resource.")
				return
			}
			answer(rw, 200, object{"collection": []any{
				object{"uri": calendlyType + "0", "duration": 15, "active": true, "scheduling_url": "https://calendly.com/acme/short"},
				w.eventType(),
			}, "pagination": object{"count": 2}})
		},
		"GET /event_types/{uuid}": func(rw http.ResponseWriter, r *http.Request) {
			if r.PathValue("uuid") != CalendlyUUID || w.plan().Gone {
				calendlyError(rw, 404, "Resource Not Found", "The requested resource was not found.")
				return
			}
			answer(rw, 200, object{"resource": w.eventType()})
		},
		"GET /event_type_available_times":       w.availableTimes,
		"POST /invitees":                        w.bookInvitee,
		"GET /scheduled_events":                 w.scheduledEvents,
		"GET /scheduled_events/{uuid}/invitees": w.invitees,
	} {
		mux.HandleFunc(path, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+Token {
				calendlyError(rw, 401, "Unauthenticated", "The access token is invalid")
				return
			}
			if limit := w.plan().Limit; limit > 0 {
				rw.Header().Set("X-RateLimit-Limit", strconv.Itoa(limit))
				rw.Header().Set("X-RateLimit-Remaining", strconv.Itoa(limit-1))
				rw.Header().Set("X-RateLimit-Reset", "60")
			}
			serve(rw, r)
		})
	}
	mux.HandleFunc("GET /api/booking/event_types/lookup", func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		byName := q.Get("profile_slug") == CalendlyProfile && q.Get("event_type_slug") == CalendlyEvent
		if w.plan().Gone || (!byName && q.Get("share_uuid") != "share-1") {
			answer(rw, 404, object{"message": "not found"})
			return
		}
		answer(rw, 200, object{
			"uuid": CalendlyUUID, "availability_timezone": cmp.Or(w.plan().Zone, "America/New_York"), "duration": int(w.plan().Length / time.Minute),
		})
	})
	mux.HandleFunc("GET /api/booking/scheduling_links/{slug}", func(rw http.ResponseWriter, r *http.Request) {
		if r.PathValue("slug") != "shared-1" {
			answer(rw, 404, object{"message": "not found"})
			return
		}
		answer(rw, 200, object{"owner_uuid": "share-1"})
	})
	mux.HandleFunc("GET /api/booking/profiles/{slug}/event_types", func(rw http.ResponseWriter, r *http.Request) {
		if r.PathValue("slug") != CalendlyProfile {
			answer(rw, 404, object{"message": "not found"})
			return
		}
		answer(rw, 200, []any{object{"uuid": CalendlyUUID}, object{"uuid": "other"}})
	})
	mux.HandleFunc("GET /api/booking/event_types/{uuid}/calendar/range", w.calendarRange)
}

func (w *World) eventType() object {
	p := w.plan()
	return object{
		"uri": calendlyType, "name": "Intro", "slug": CalendlyEvent, "duration": int(p.Length / time.Minute), "active": !p.Gone,
		"kind": "solo", "scheduling_url": "https://calendly.com/" + CalendlyProfile + "/" + CalendlyEvent,
	}
}

func (w *World) availableTimes(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, errFrom := time.Parse(time.RFC3339, q.Get("start_time"))
	to, errTo := time.Parse(time.RFC3339, q.Get("end_time"))
	invalid := func(message string) { calendlyError(rw, 400, "Invalid Argument", message) }
	switch {
	case q.Get("event_type") != calendlyType:
		invalid("The supplied parameters are invalid.")
		return
	case errFrom != nil || errTo != nil || !to.After(from):
		invalid("start_time must be before end_time")
		return
	case !from.After(w.now()):
		invalid("start_time must be in the future")
		return
	case to.Sub(from) > w.plan().Window:
		invalid("date range can be no greater than 1 week (7 days)")
		return
	}
	list := []any{
		// Not offers, though they are in the list.
		object{"status": "unavailable", "invitees_remaining": 1, "start_time": stamp(from.Add(time.Minute))},
		object{"status": "available", "invitees_remaining": 0, "start_time": stamp(from.Add(2 * time.Minute))},
	}
	for _, start := range w.between(from, to) {
		list = append(list, object{"status": "available", "invitees_remaining": 1, "start_time": stamp(start)})
	}
	answer(rw, 200, object{"collection": list})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func (w *World) calendarRange(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	zone, errZone := time.LoadLocation(q.Get("timezone"))
	from, errFrom := time.ParseInLocation(time.DateOnly, q.Get("range_start"), time.UTC)
	to, errTo := time.ParseInLocation(time.DateOnly, q.Get("range_end"), time.UTC)
	if errZone != nil || errFrom != nil || errTo != nil || r.PathValue("uuid") != CalendlyUUID {
		answer(rw, 400, object{"message": "invalid"})
		return
	}
	days := map[string][]any{}
	for _, start := range w.between(from, to.AddDate(0, 0, 1)) {
		local := start.In(w.told(zone))
		date := local.Format(time.DateOnly)
		days[date] = append(days[date], object{"status": "available", "start_time": local.Format(time.RFC3339)})
	}
	list := []any{}
	for date, spots := range days {
		list = append(list, object{"date": date, "status": "available", "spots": spots})
	}
	answer(rw, 200, object{"days": list, "today": w.now().UTC().Format(time.DateOnly)})
}
