package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// runAlarm is how old the newest refresh may be: the schedule runs each minute.
	runAlarm = 5 * time.Minute
	// shown bounds the workspaces that are named.
	shown = 5
	// fewFree is what counts as few free times in the next 7 days here, whatever a workspace wants to be told of.
	fewFree = 10
)

type refreshRuns struct {
	Runs []struct {
		EndTime  *time.Time `json:"endTime"`
		Finished bool       `json:"finishedWithinBudget"`
		Receipt  struct {
			Metrics struct {
				Total    int `json:"totalCaches"`
				Due      int `json:"dueCaches"`
				Erroring int `json:"erroringCaches"`
			} `json:"metrics"`
		} `json:"receipt"`
	} `json:"refreshRuns"`
}

type healthPage struct {
	Health []struct {
		Workspace string `json:"workspace"`
		Reason    string `json:"reason"`
		LastError string `json:"lastError"`
		NextWeek  int    `json:"slotsNextWeek"`
	} `json:"health"`
	NextPageToken string `json:"nextPageToken"`
}

// availability looks at the calendars of all workspaces: when they were last refreshed, which cannot be read, and which
// have few free times.
func (e *examination) availability(ctx context.Context) {
	e.refreshed(ctx)
	const unreachable = "/v1/availabilityHealth?pageSize=500&states=AVAILABILITY_STATE_UNREACHABLE"
	e.calendars(ctx, "calendars that cannot be read", unreachable, "it is tried again by itself; PROVIDER_AUTH_REVOKED wants a new token, "+
		"PROVIDER_CIRCUIT_OPEN means that the provider is away: see its status page")
	few := fmt.Sprintf("/v1/availabilityHealth?pageSize=500&states=AVAILABILITY_STATE_OK&states=AVAILABILITY_STATE_EMPTY&fewerThan=%d", fewFree)
	e.calendars(ctx, "calendars with few free times", few, "open times at the provider; GET /v1/<workspace>/availability:explain tells what took times away")
}

func (e *examination) refreshed(ctx context.Context) {
	const check, remedy = "calendars: last refresh", "see the log of availability, and whether its schedule or your cron runs"
	var runs refreshRuns
	status, reason, err := e.get(ctx, "/v1/refreshRuns?pageSize=20", &runs)
	if err != nil || status != http.StatusOK {
		e.add("FAIL", check, fmt.Sprintf("cannot be listed: %d %s", status, reason), remedy)
		return
	}
	for _, run := range runs.Runs {
		if run.EndTime == nil {
			continue
		}
		m := run.Receipt.Metrics
		detail := fmt.Sprintf("ended %s, %d workspaces, %d still due, %d unreachable", run.EndTime.Format(time.RFC3339), m.Total, m.Due, m.Erroring)
		switch {
		case e.opts.Now().Sub(*run.EndTime) > runAlarm:
			e.add("FAIL", check, detail, remedy)
		case !run.Finished:
			e.add("warn", check, detail, "its budget ended it; raise RELANCE_AVAILABILITY_CONCURRENCY")
		default:
			e.add("ok", check, detail, "")
		}
		return
	}
	e.add("warn", check, "none has ended yet", remedy)
}

func (e *examination) calendars(ctx context.Context, check, path, remedy string) {
	var page healthPage
	status, reason, err := e.get(ctx, path, &page)
	switch {
	case err != nil || status != http.StatusOK:
		e.add("FAIL", check, fmt.Sprintf("cannot be listed: %d %s", status, reason), "see the log of availability")
		return
	case len(page.Health) == 0:
		e.add("ok", check, "none", "")
		return
	}
	var names []string
	for _, h := range page.Health[:min(shown, len(page.Health))] {
		why := h.LastError
		if why == "" {
			why = fmt.Sprintf("%d in the next 7 days", h.NextWeek)
		}
		names = append(names, h.Workspace+" ("+why+")")
	}
	count := fmt.Sprint(len(page.Health))
	if page.NextPageToken != "" {
		count += " or more"
	}
	if len(page.Health) > shown {
		names = append(names, "…")
	}
	e.add("warn", check, count+": "+strings.Join(names, ", "), remedy)
}
