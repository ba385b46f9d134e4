package doctor_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/cmd/relance/internal/doctor"
)

func examine(t *testing.T, answers map[string]string) string {
	t.Helper()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for prefix, body := range answers {
			if strings.HasPrefix(r.URL.RequestURI(), prefix) {
				_, _ = w.Write([]byte(body))
				return
			}
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer gateway.Close()
	var out bytes.Buffer
	_ = doctor.Print(&out, doctor.Examine(t.Context(), doctor.Options{
		Gateway: gateway.URL, AdminSecret: "secret", Now: func() time.Time { return time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC) },
	}))
	return out.String()
}

func TestAvailabilityIsExamined(t *testing.T) {
	t.Parallel()
	const run = `{"refreshRuns":[{"startTime":"2026-01-07T14:59:59Z"},{"endTime":"%","finishedWithinBudget":true,
		"receipt":{"metrics":{"totalCaches":12,"dueCaches":0,"erroringCaches":1}}}]}`
	well := examine(t, map[string]string{"/v1/refreshRuns": strings.ReplaceAll(run, "%", "2026-01-07T14:59:00Z")})
	for _, want := range []string{"ok    calendars: last refresh", "12 workspaces, 0 still due, 1 unreachable", "ok    calendars that cannot be read  none"} {
		if !strings.Contains(squeeze(well), squeeze(want)) {
			t.Errorf("%q is not in:\n%s", want, well)
		}
	}
	ill := examine(t, map[string]string{
		"/v1/refreshRuns": strings.ReplaceAll(run, "%", "2026-01-07T14:50:00Z"),
		"/v1/availabilityHealth?pageSize=500&states=AVAILABILITY_STATE_UNREACHABLE": `{"health":[{"workspace":"workspaces/a","lastError":"PROVIDER_AUTH_REVOKED"}]}`,
		"/v1/availabilityHealth?pageSize=500&states=AVAILABILITY_STATE_OK":          `{"health":[{"workspace":"workspaces/b","slotsNextWeek":3}],"nextPageToken":"x"}`,
	})
	for _, want := range []string{
		"FAIL calendars: last refresh", "warn calendars that cannot be read 1: workspaces/a (PROVIDER_AUTH_REVOKED)",
		"warn calendars with few free times 1 or more: workspaces/b (3 in the next 7 days)",
	} {
		if !strings.Contains(squeeze(ill), squeeze(want)) {
			t.Errorf("%q is not in:\n%s", want, ill)
		}
	}
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
