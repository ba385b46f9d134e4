package calendars

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// GHLCalendar is the calendar on the simulated GHL booking page, at /widget/bookings/team-intro.
const GHLCalendar = "ocQHyuzHvysMo5N5VsXc"

func (w *World) routePages(mux *http.ServeMux) {
	mux.HandleFunc("GET /widget/bookings/{page}", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		if w.plan().Gone {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprintf(rw, `<!doctype html><html><head><title>Book</title></head><body><div id="__nuxt"></div>
<script type="application/json" data-nuxt-data="nuxt-app" id="__NUXT_DATA__">[["Reactive",1],{"data":2},{"calendar":3,"b":4},{%q:5},"x"]</script></body></html>`, GHLCalendar)
	})
	mux.HandleFunc("GET /calendars/{id}/free-slots", func(rw http.ResponseWriter, r *http.Request) {
		from, errFrom := strconv.ParseInt(r.URL.Query().Get("startDate"), 10, 64)
		to, errTo := strconv.ParseInt(r.URL.Query().Get("endDate"), 10, 64)
		zone, errZone := time.LoadLocation(r.URL.Query().Get("timezone"))
		if errFrom != nil || errTo != nil || errZone != nil || r.PathValue("id") != GHLCalendar {
			answer(rw, 400, object{"statusCode": 400, "message": "invalid"})
			return
		}
		if w.plan().Gone {
			answer(rw, 404, object{"statusCode": 404, "message": "Calendar not found"})
			return
		}
		days := object{"traceId": "trace-1"}
		for i, start := range w.between(time.UnixMilli(from), time.UnixMilli(to)) {
			local := start.In(w.told(zone))
			date := local.Format(time.DateOnly)
			day, _ := days[date].(map[string][]any)
			if day == nil {
				day = map[string][]any{}
				days[date] = day
			}
			// Both shapes have been seen.
			if i%2 == 0 {
				day["slots"] = append(day["slots"], local.Format(time.RFC3339))
			} else {
				day["slots"] = append(day["slots"], object{"startTime": local.Format(time.RFC3339)})
			}
		}
		answer(rw, 200, days)
	})
	mux.HandleFunc("GET "+FeedPath, func(rw http.ResponseWriter, _ *http.Request) {
		if w.plan().Gone {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		rw.Header().Set("Content-Type", "text/calendar; charset=utf-8")
		_, _ = rw.Write([]byte(strings.ReplaceAll(w.zonedFeed(), "\n", "\r\n")))
	})
}

// FeedPath is the path of the iCalendar feed, whose last directory is its secret.
const FeedPath = "/feeds/private-0123456789/basic.ics"

const feedForm = "20060102T150405Z"

var feedTime = regexp.MustCompile(`(DTSTART|DTEND):(\d{8}T\d{6}Z)`)

// zonedFeed is the feed with its times told in the plan's zone.
func (w *World) zonedFeed() string {
	p := w.plan()
	if p.Zone == "" {
		return p.Feed
	}
	return feedTime.ReplaceAllStringFunc(p.Feed, func(line string) string {
		name, stamp, _ := strings.Cut(line, ":")
		at, err := time.Parse(feedForm, stamp)
		if err != nil {
			return line
		}
		return name + ";TZID=" + p.Zone + ":" + strings.TrimSuffix(at.In(w.told(time.UTC)).Format(feedForm), "Z")
	})
}

// FeedBusyExcept is a feed that is busy all day but for half an hour at each of the free starts, on the days from..to of
// a zone: what a provider with these free starts looks like from outside.
func FeedBusyExcept(free []time.Time, length time.Duration, from, to time.Time) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//simulator//calendars//EN\n")
	busy := func(a, z time.Time) {
		if z.After(a) {
			_, _ = fmt.Fprintf(&b, "BEGIN:VEVENT\nUID:%d@simulator\nDTSTAMP:20260101T000000Z\nDTSTART:%s\nDTEND:%s\nSUMMARY:Busy\nEND:VEVENT\n",
				a.Unix(), a.UTC().Format(feedForm), z.UTC().Format(feedForm))
		}
	}
	at := from
	for _, start := range free {
		busy(at, start)
		at = start.Add(length)
	}
	busy(at, to)
	b.WriteString("END:VCALENDAR\n")
	return b.String()
}
