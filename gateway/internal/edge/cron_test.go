package edge

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
)

func TestCronAnswersKeepTheirNames(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/api/cron/followups": `{"success":true,"runId":"r1",
			"results":{"processed":15,"succeeded":1,"failed":2,"skipped":3,"deferred":4,"unknown":5,"errors":["Enrollment e: POISONED"]},
			"reasons":[{"outcome":"skipped","reason":"DND_ACTIVE","count":3}],
			"workspaces":[{"workspace":"workspaces/w","results":{"processed":15,"succeeded":0,"failed":0,"skipped":0,"deferred":0,"unknown":0}}],
			"snoozed":{"checked":0,"resumed":0,"errors":[]},"resumed":{"checked":0,"resumed":0,"errors":[]},
			"enrichmentResumed":{"checked":0,"resumed":0,"errors":[]},
			"backfill":{"enabled":true,"workspacesChecked":2,"leadsChecked":5,"leadsEnrolled":3,"instancesStarted":3,"reasons":{"already_running":2},"errors":[]},
			"finished":true,"timestamp":"2026-01-07T15:00:00.250Z"}`,
		"/api/cron/availability": `{"success":true,"checked":15,"attempted":6,"directBook":0,"refreshed":1,"skippedNoDefault":2,"skippedUnsupportedDuration":3,
			"skippedBackoff":4,"errors":5,"errorDetails":[{"workspace":"workspaces/w","reason":"CALENDAR_UNREACHABLE"}],
			"finishedWithinBudget":true,"timestamp":"2026-01-07T15:00:00.250Z","runId":"r3","mode":"due","metrics":{"totalCaches":20,
			"dueCaches":2,"erroringCaches":5,"oldestSuccessfulRangeStartAgeMinutes":10,"oldestSuccessfulClientId":"o"}}`,
		"/api/cron/sync": `{"success":true,"runId":"r2","checked":10,"proven":1,"unproven":2,"deferred":3,"failed":4,"imported":5,"healed":6,
			"finishedWithinBudget":true,"timestamp":"2026-01-07T15:00:00.250Z"}`,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				for _, header := range []map[string]string{
					{"Authorization": "Bearer " + cronSecret}, {"X-Cron-Secret": cronSecret}, {"authorization": "bearer " + cronSecret2},
				} {
					w := h.do(t, method, path, header, untouchable{t})
					requireStatus(t, w, http.StatusOK, "")
					expected := map[string]any{}
					if err := json.Unmarshal([]byte(want), &expected); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(expected, object(t, w)); diff != "" {
						t.Fatal(diff)
					}
				}
			}
			saw := map[string]*seen{
				"/api/cron/followups": &h.followups.seen, "/api/cron/availability": &h.availability.seen, "/api/cron/sync": &h.sync.seen,
			}[path]
			who, _, calls := saw.get()
			if who != (principal.Principal{Kind: principal.KindCron}) || calls != 6 {
				t.Errorf("principal %v, %d calls", who, calls)
			}
		})
	}
}

func TestCronErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{apierr.New(codes.Unavailable, "followups.relance.dev", "", "the database is away"), http.StatusServiceUnavailable},
		{apierr.New(codes.DeadlineExceeded, "followups.relance.dev", "", "late"), http.StatusServiceUnavailable},
		{apierr.Internal(nil), http.StatusInternalServerError},
	} {
		h := newHarness(t)
		h.followups.fail = c.err
		w := h.do(t, http.MethodPost, "/api/cron/followups", map[string]string{"X-Cron-Secret": cronSecret}, nil)
		requireStatus(t, w, c.want, "")
	}
}

// mode and Idempotency-Key reach the service: the same key as the same request id, whatever text it is.
func TestCronAvailabilityTakesModeAndKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ask := func(path, key string, status int) *availabilityv1.RefreshDueAvailabilityRequest {
		t.Helper()
		header := map[string]string{"X-Cron-Secret": cronSecret}
		if key != "" {
			header["Idempotency-Key"] = key
		}
		requireStatus(t, h.do(t, http.MethodPost, path, header, nil), status, "")
		got, _ := h.availability.req.(*availabilityv1.RefreshDueAvailabilityRequest)
		return got
	}
	plain := ask("/api/cron/availability", "", http.StatusOK)
	if plain.GetMode() != availabilityv1.RefreshMode_REFRESH_MODE_DUE || plain.GetRequestId() != "" {
		t.Errorf("%v", plain)
	}
	first := ask("/api/cron/availability?mode=all", "tick 7", http.StatusOK)
	again := ask("/api/cron/availability?mode=all", "tick 7", http.StatusOK)
	other := ask("/api/cron/availability?mode=all", "tick 8", http.StatusOK)
	if first.GetMode() != availabilityv1.RefreshMode_REFRESH_MODE_ALL || first.GetRequestId() == "" ||
		first.GetRequestId() != again.GetRequestId() || first.GetRequestId() == other.GetRequestId() {
		t.Errorf("%v, %v, %v", first, again, other)
	}
	ask("/api/cron/availability?mode=some", "", http.StatusBadRequest)
}
