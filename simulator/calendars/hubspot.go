package calendars

import (
	"net/http"
	"strconv"
	"time"
)

// HubSpotSlug is the one meeting link of the simulated HubSpot.
const HubSpotSlug = "jane/intro"

func (w *World) routeHubSpot(mux *http.ServeMux) {
	mux.HandleFunc("GET /scheduler/v3/meetings/meeting-links/book/availability-page/{slug}", func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			hubspotError(rw, 401, "INVALID_AUTHENTICATION")
			return
		}
		w.month(rw, r, r.PathValue("slug"))
	})
	mux.HandleFunc("GET /meetings-public/v3/book/availability-page", func(rw http.ResponseWriter, r *http.Request) {
		w.month(rw, r, r.URL.Query().Get("slug"))
	})
}

func hubspotError(rw http.ResponseWriter, status int, category string) {
	answer(rw, status, object{
		"status": "error", "category": category, "message": "refused", "correlationId": "00000000-0000-4000-8000-000000000000",
	})
}

// month answers one calendar month in the asked zone.
func (w *World) month(rw http.ResponseWriter, r *http.Request, slug string) {
	zone, err := time.LoadLocation(r.URL.Query().Get("timezone"))
	offset, errOffset := strconv.Atoi(r.URL.Query().Get("monthOffset"))
	if err != nil || errOffset != nil || offset < 0 {
		hubspotError(rw, 400, "VALIDATION_ERROR")
		return
	}
	if slug != HubSpotSlug || w.plan().Gone {
		hubspotError(rw, 404, "OBJECT_NOT_FOUND")
		return
	}
	zone = w.told(zone)
	now := w.now().In(zone)
	from := time.Date(now.Year(), now.Month()+time.Month(offset), 1, 0, 0, 0, 0, zone)
	to := from.AddDate(0, 1, 0)
	length := w.plan().Length
	free := []any{}
	for _, start := range w.between(from, to) {
		free = append(free, object{"startMillisUtc": start.UnixMilli(), "endMillisUtc": start.Add(length).UnixMilli()})
	}
	more := false
	for _, start := range w.plan().Free {
		more = more || !start.Before(to)
	}
	key := strconv.FormatInt(length.Milliseconds(), 10)
	answer(rw, 200, object{
		"allUsersBusyTimes": []any{},
		"linkAvailability": object{"hasMore": more, "linkAvailabilityByDuration": object{
			key: object{"meetingDurationMillis": length.Milliseconds(), "availabilities": free},
		}},
	})
}
