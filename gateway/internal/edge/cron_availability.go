package edge

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
)

type refreshError struct {
	Workspace string `json:"workspace"`
	Reason    string `json:"reason"`
}

type availabilityAnswer struct {
	Success                    bool           `json:"success"`
	RunID                      string         `json:"runId"`
	Mode                       string         `json:"mode"`
	Checked                    int32          `json:"checked"`
	Attempted                  int32          `json:"attempted"`
	DirectBook                 int32          `json:"directBook"`
	Refreshed                  int32          `json:"refreshed"`
	SkippedNoDefault           int32          `json:"skippedNoDefault"`
	SkippedUnsupportedDuration int32          `json:"skippedUnsupportedDuration"`
	SkippedBackoff             int32          `json:"skippedBackoff"`
	Errors                     int32          `json:"errors"`
	ErrorDetails               []refreshError `json:"errorDetails"`
	FinishedWithinBudget       bool           `json:"finishedWithinBudget"`
	Metrics                    refreshMetrics `json:"metrics"`
	Timestamp                  string         `json:"timestamp"`
}

// refreshMetrics are how the known slots stood when the run ended, in the words of the original.
type refreshMetrics struct {
	TotalCaches    int32 `json:"totalCaches"`
	DueCaches      int32 `json:"dueCaches"`
	ErroringCaches int32 `json:"erroringCaches"`
	// The age is null when no calendar was ever read well.
	OldestSuccessfulRangeStartAgeMinutes *int64 `json:"oldestSuccessfulRangeStartAgeMinutes"`
	OldestSuccessfulClientID             string `json:"oldestSuccessfulClientId,omitempty"`
}

// cronAvailability refreshes the slots that are due, or with mode=all every calendar. A caller that sends an Idempotency-Key
// gets the same receipt for the same key.
func (e *Edge) cronAvailability(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := e.cronCall(w, r)
	defer cancel()
	mode, label := availabilityv1.RefreshMode_REFRESH_MODE_DUE, r.URL.Query().Get("mode")
	switch label {
	case "", "due":
		label = "due"
	case "all":
		mode = availabilityv1.RefreshMode_REFRESH_MODE_ALL
	default:
		writeCronError(w, r, apierr.Invalid(apierr.FieldViolation{Field: "mode", Description: "must be due or all"}))
		return
	}
	answer, err := e.availability.RefreshDueAvailability(ctx, &availabilityv1.RefreshDueAvailabilityRequest{
		TimeBudget: durationpb.New(e.opts.CronBudget), Mode: mode, RequestId: idempotencyID(r.Header.Get("Idempotency-Key")),
	})
	if err != nil {
		writeCronError(w, r, err)
		return
	}
	receipt := answer.GetReceipt()
	out := availabilityAnswer{
		Success: true, RunID: strings.TrimPrefix(answer.GetRun(), "refreshRuns/"), Mode: label,
		Checked: receipt.GetChecked(), Attempted: receipt.GetAttempted(), DirectBook: receipt.GetDirectBook(), Refreshed: receipt.GetRefreshed(),
		SkippedNoDefault: receipt.GetSkippedNoDefault(), SkippedUnsupportedDuration: receipt.GetSkippedUnsupportedDuration(),
		SkippedBackoff: receipt.GetSkippedBackoff(), Errors: receipt.GetErrors(), ErrorDetails: []refreshError{},
		FinishedWithinBudget: answer.GetFinishedWithinBudget(), Metrics: metricsOf(receipt.GetMetrics(), e.opts.Clock.Now()),
		Timestamp: e.timestamp(),
	}
	for _, detail := range receipt.GetErrorDetails() {
		out.ErrorDetails = append(out.ErrorDetails,
			refreshError{Workspace: detail.GetWorkspace(), Reason: detail.GetReason()})
	}
	writeJSON(w, http.StatusOK, out)
}

func metricsOf(m *availabilityv1.RefreshMetrics, now time.Time) refreshMetrics {
	out := refreshMetrics{
		TotalCaches: m.GetTotalCaches(), DueCaches: m.GetDueCaches(), ErroringCaches: m.GetErroringCaches(),
		OldestSuccessfulClientID: strings.TrimPrefix(m.GetOldestWorkspace(), "workspaces/"),
	}
	if m.GetOldestAsOfTime() != nil {
		age := int64(max(now.Sub(m.GetOldestAsOfTime().AsTime()), 0) / time.Minute)
		out.OldestSuccessfulRangeStartAgeMinutes = &age
	}
	return out
}

// idempotencyID makes a request id of a caller's key, which may be any text; empty for none.
func idempotencyID(key string) string {
	if key == "" {
		return ""
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://relance.dev/idempotency/"+key)).String()
}
