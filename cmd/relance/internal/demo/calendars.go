package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/simulator/calendars"
)

// WorkingTimes are free times on the working days of the 30 days from now, for simulated calendars.
func WorkingTimes(now time.Time) []time.Time {
	var free []time.Time
	today := now.UTC().Truncate(24 * time.Hour)
	for day := range 30 {
		date := today.AddDate(0, 0, day+1)
		if date.Weekday() == time.Saturday || date.Weekday() == time.Sunday {
			continue
		}
		for _, hour := range []int{14, 15, 18, 20} {
			free = append(free, date.Add(time.Duration(hour)*time.Hour))
		}
	}
	return free
}

// SeedCalendars gives a sandbox a workspace for each kind of calendar that is read without GoHighLevel's API, and answers
// their resource names by kind.
func SeedCalendars(ctx context.Context, access Access) (map[string]string, error) {
	c := &client{base: access.Gateway, admin: access.AdminSecret, http: &http.Client{Timeout: time.Minute}}
	out := map[string]string{}
	for kind, link := range map[string]object{
		"calendly":      {"displayName": "Intro", "publicUrl": "https://calendly.com/acme/intro"},
		"calendlyToken": {"displayName": "Intro", "publicUrl": "https://calendly.com/acme/intro", "apiToken": calendars.Token},
		"hubspot":       {"displayName": "Intro", "publicUrl": "https://meetings.hubspot.com/" + calendars.HubSpotSlug},
		"ghlPage":       {"displayName": "Intro", "publicUrl": "https://api.leadconnectorhq.com/widget/booking/" + calendars.GHLCalendar},
		"iCalendar": {
			"displayName": "Intro", "publicUrl": "https://acme.example.com/book", "sourceUrl": "https://" + calendars.FeedHost + calendars.FeedPath,
			"workingHours": object{"timeZone": "UTC", "start": "09:00", "end": "21:00", "step": "1800s"},
		},
	} {
		made, err := c.api(ctx, http.MethodPost, "/v1/workspaces?requestId="+uuid.NewString(), object{
			"displayName": "Calendar: " + kind, "timeZone": "America/New_York",
		})
		if err != nil {
			return nil, fmt.Errorf("make workspace: %w", err)
		}
		out[kind] = made.object("workspace").text("name")
		if _, err := c.api(ctx, http.MethodPost, "/v1/"+out[kind]+"/calendarLinks", link); err != nil {
			return nil, fmt.Errorf("make calendar link of %s: %w", kind, err)
		}
	}
	return out, nil
}
