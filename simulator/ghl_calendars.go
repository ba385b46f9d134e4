package simulator

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxSlotRange is the longest range free-slots takes.
const maxSlotRange = 31 * 24 * time.Hour

// freeSlots is GET /calendars/{id}/free-slots. Slots are start times only, keyed by the
// local date in the zone asked for; traceId stands beside the dates.
func (s *Simulator) freeSlots(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	calendar, bad := s.calendarForCall(c, c.params["id"])
	if bad != nil {
		return *bad
	}
	start, err := numberIn(c.query.Get("startDate"), bounds{most: maxMillis, fallback: -1})
	if err != nil || start < 0 {
		return invalid("startDate must be a number conforming to the specified constraints")
	}
	end, err := numberIn(c.query.Get("endDate"), bounds{most: maxMillis, fallback: -1})
	if err != nil || end < 0 {
		return invalid("endDate must be a number conforming to the specified constraints")
	}
	from, to := time.UnixMilli(int64(start)), time.UnixMilli(int64(end))
	if to.Sub(from) > maxSlotRange || to.Before(from) {
		return refuse(http.StatusBadRequest, "Date range should be between 0 and 31 days")
	}
	zone, err := time.LoadLocation(firstOf(c.query.Get("timezone"), calendar.Timezone))
	if err != nil {
		return refuse(http.StatusBadRequest, "Invalid timezone")
	}
	if calendar.Inactive {
		return refuse(http.StatusBadRequest, "Calendar is inactive")
	}
	days := object{}
	for _, slot := range calendar.slots(s.now(), Interval{Start: from, End: to}, c.query.Get("userId")) {
		local := slot.In(zone)
		key := local.Format(time.DateOnly)
		day, ok := days[key].(map[string][]string)
		if !ok {
			day = map[string][]string{}
			days[key] = day
		}
		day["slots"] = append(day["slots"], local.Format("2006-01-02T15:04:05-07:00"))
	}
	return reply(http.StatusOK, days)
}

// calendarForCall finds a calendar of the token's location. Unknown is 400, not 404.
func (s *Simulator) calendarForCall(c *call, id string) (*storedCalendar, *answer) {
	calendar := s.world.calendars[id]
	if calendar == nil {
		bad := refuse(http.StatusBadRequest, "Calendar not found for id: "+id)
		return nil, &bad
	}
	if calendar.location != c.location {
		bad := refuseForeign()
		return nil, &bad
	}
	return calendar, nil
}

// slots are the free starts within a range, in order: inside working hours, in the
// future, clear of what is busy or booked, of one member or, with "", of any.
func (c *storedCalendar) slots(now time.Time, span Interval, member string) []time.Time {
	zone, err := time.LoadLocation(c.Timezone)
	if err != nil { // AddCalendar checked it
		return nil
	}
	earliest := now.Add(c.MinNotice)
	if span.Start.After(earliest) {
		earliest = span.Start
	}
	var out []time.Time
	day := earliest.In(zone)
	for !day.After(span.End.In(zone).AddDate(0, 0, 1)) {
		if slices.Contains(c.Days, day.Weekday()) {
			for at := c.Open; at+c.SlotDuration <= c.Close; at += c.SlotInterval {
				// time.Date, not midnight plus at: a day with a clock change is not 24 h long.
				start := time.Date(day.Year(), day.Month(), day.Day(), 0, int(at/time.Minute), 0, 0, zone)
				if !start.Before(earliest) && start.Before(span.End) && c.free(start, member) {
					out = append(out, start)
				}
			}
		}
		day = time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, zone)
	}
	return out
}

func (c *storedCalendar) object() object {
	members := []any{}
	for _, m := range c.Members {
		members = append(members, object{"userId": m, "priority": 0.5, "isPrimary": false})
	}
	return object{
		"id": c.ID, "locationId": c.location, "name": c.Name, "slug": strings.ToLower(c.ID), "isActive": !c.Inactive,
		"calendarType": "round_robin", "slotDuration": int(c.SlotDuration / time.Minute), "slotDurationUnit": "mins",
		"slotInterval": int(c.SlotInterval / time.Minute), "slotIntervalUnit": "mins", "teamMembers": members,
	}
}

// getCalendar is GET /calendars/{id}.
func (s *Simulator) getCalendar(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	calendar, bad := s.calendarForCall(c, c.params["id"])
	if bad != nil {
		return *bad
	}
	return reply(http.StatusOK, object{"calendar": calendar.object()})
}

// listCalendars is GET /calendars/?locationId=.
func (s *Simulator) listCalendars(c *call) answer {
	if c.query.Get("locationId") == "" {
		return invalid("locationId can't be undefined", "locationId must be a string")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := []object{}
	for _, calendar := range s.world.calendars {
		if calendar.location == c.location {
			rows = append(rows, calendar.object())
		}
	}
	slices.SortFunc(rows, func(a, b object) int { return strings.Compare(text(a, "id"), text(b, "id")) })
	return reply(http.StatusOK, object{"calendars": rows})
}

// getLocation is GET /locations/{id}.
func (s *Simulator) getLocation(c *call) answer {
	if c.params["id"] != c.location {
		return refuseForeign()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.world.locations[c.location]
	return reply(http.StatusOK, object{"location": object{
		"id": l.ID, "companyId": l.CompanyID, "name": l.Name, "timezone": l.Timezone, "country": "US",
		"settings": object{"allowDuplicateContact": l.AllowDuplicates},
	}})
}

func firstOf(value, fallback string) string {
	if value != "" {
		return value
	}
	return fallback
}
