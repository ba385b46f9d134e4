package edge

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const (
	// timestampFormat is RFC 3339 with milliseconds, as the original answers had it.
	timestampFormat = "2006-01-02T15:04:05.000Z07:00"
	// cronGrace is what a cron call gets on top of its budget to answer with its receipt.
	cronGrace = 10 * time.Second
)

type counts struct {
	Processed int32 `json:"processed"`
	Succeeded int32 `json:"succeeded"`
	Failed    int32 `json:"failed"`
	Skipped   int32 `json:"skipped"`
	Deferred  int32 `json:"deferred"`
	Unknown   int32 `json:"unknown"`
}

type runResults struct {
	counts
	Errors []string `json:"errors"`
}

type reasonCount struct {
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Count   int32  `json:"count"`
}

type workspaceCounts struct {
	Workspace string `json:"workspace"`
	Results   counts `json:"results"`
}

// pauseResults are pauses that a run looked at, in the words of the original.
type pauseResults struct {
	Checked int32    `json:"checked"`
	Resumed int32    `json:"resumed"`
	Errors  []string `json:"errors"`
}

// backfillResults are the leads that the run enrolled because they did not answer, in the words of the original. One
// enrollment is one instance.
type backfillResults struct {
	Enabled           bool             `json:"enabled"`
	WorkspacesChecked int32            `json:"workspacesChecked"`
	LeadsChecked      int32            `json:"leadsChecked"`
	LeadsEnrolled     int32            `json:"leadsEnrolled"`
	InstancesStarted  int32            `json:"instancesStarted"`
	Reasons           map[string]int32 `json:"reasons"`
	Errors            []string         `json:"errors"`
}

type followUpsAnswer struct {
	Success           bool              `json:"success"`
	RunID             string            `json:"runId"`
	Results           runResults        `json:"results"`
	Snoozed           pauseResults      `json:"snoozed"`
	Resumed           pauseResults      `json:"resumed"`
	EnrichmentResumed pauseResults      `json:"enrichmentResumed"`
	Backfill          backfillResults   `json:"backfill"`
	Reasons           []reasonCount     `json:"reasons"`
	Workspaces        []workspaceCounts `json:"workspaces"`
	Finished          bool              `json:"finished"`
	Timestamp         string            `json:"timestamp"`
}

// pausesOf sorts the pauses of a run by what they waited for: a date, an answered lead's silence, or the phone number or
// address of a lead. Pauses of other reasons are in none; the run's reasons have them all.
func pausesOf(reasons []*followupsv1.ReasonCount) (snoozed, ghosts, enriched pauseResults) {
	snoozed.Errors, ghosts.Errors, enriched.Errors = []string{}, []string{}, []string{}
	for _, reason := range reasons {
		resumed := reason.GetOutcome() == "resumed"
		if !resumed && reason.GetOutcome() != "waiting" {
			continue
		}
		var into *pauseResults
		switch reason.GetReason() {
		case "awaiting_enrichment":
			into = &enriched
		case "lead_snoozed":
			into = &snoozed
		case "lead_replied":
			into = &ghosts
		default:
			continue
		}
		into.Checked += reason.GetCount()
		if resumed {
			into.Resumed += reason.GetCount()
		}
	}
	return snoozed, ghosts, enriched
}

// syncAnswer is the receipt of a sync run: checked = proven + unproven + deferred + failed.
type syncAnswer struct {
	Success              bool   `json:"success"`
	RunID                string `json:"runId"`
	Checked              int32  `json:"checked"`
	Proven               int32  `json:"proven"`
	Unproven             int32  `json:"unproven"`
	Deferred             int32  `json:"deferred"`
	Failed               int32  `json:"failed"`
	Imported             int32  `json:"imported"`
	Healed               int32  `json:"healed"`
	FinishedWithinBudget bool   `json:"finishedWithinBudget"`
	Timestamp            string `json:"timestamp"`
}

// cronFollowUps runs what is due. Business outcomes are counts in a 200; a service that is away is a 503.
func (e *Edge) cronFollowUps(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := e.cronCall(w, r)
	defer cancel()
	answer, err := e.followups.RunDueFollowUps(ctx,
		&followupsv1.RunDueFollowUpsRequest{TimeBudget: durationpb.New(e.opts.CronBudget)})
	if err != nil {
		writeCronError(w, r, err)
		return
	}
	run := answer.GetRun()
	out := followUpsAnswer{
		Success: true, RunID: strings.TrimPrefix(run.GetName(), "runs/"),
		Results: runResults{counts: countsOf(run.GetResults()), Errors: append([]string{}, run.GetErrors()...)},
		Reasons: []reasonCount{}, Workspaces: []workspaceCounts{}, Finished: run.GetFinished(), Timestamp: e.timestamp(),
		Backfill: backfillOf(run.GetSilences()),
	}
	out.Snoozed, out.Resumed, out.EnrichmentResumed = pausesOf(run.GetReasons())
	for _, reason := range run.GetReasons() {
		out.Reasons = append(out.Reasons,
			reasonCount{Outcome: reason.GetOutcome(), Reason: reason.GetReason(), Count: reason.GetCount()})
	}
	for _, workspace := range run.GetWorkspaces() {
		out.Workspaces = append(out.Workspaces,
			workspaceCounts{Workspace: workspace.GetWorkspace(), Results: countsOf(workspace.GetCounts())})
	}
	writeJSON(w, http.StatusOK, out)
}

func backfillOf(silences *followupsv1.SilenceCounts) backfillResults {
	out := backfillResults{
		Enabled: silences.GetEnabled(), WorkspacesChecked: silences.GetWorkspacesChecked(), LeadsChecked: silences.GetLeadsChecked(),
		LeadsEnrolled: silences.GetLeadsEnrolled(), InstancesStarted: silences.GetLeadsEnrolled(),
		Reasons: map[string]int32{}, Errors: []string{},
	}
	maps.Copy(out.Reasons, silences.GetReasons())
	return out
}

func countsOf(c *followupsv1.RunCounts) counts {
	return counts{
		Processed: c.GetProcessed(), Succeeded: c.GetSucceeded(), Failed: c.GetFailed(),
		Skipped: c.GetSkipped(), Deferred: c.GetDeferred(), Unknown: c.GetUnknown(),
	}
}

// cronSync compares the conversations that are due with the provider.
func (e *Edge) cronSync(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := e.cronCall(w, r)
	defer cancel()
	run, err := e.sync.SyncDueConversations(ctx, &syncv1.SyncDueConversationsRequest{TimeBudget: durationpb.New(e.opts.CronBudget)})
	if err != nil {
		writeCronError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, syncAnswer{
		Success: true, RunID: run.GetRun(), Checked: run.GetChecked(), Proven: run.GetProven(), Unproven: run.GetUnproven(),
		Deferred: run.GetDeferred(), Failed: run.GetFailed(), Imported: run.GetImported(), Healed: run.GetHealed(),
		FinishedWithinBudget: run.GetFinished(), Timestamp: e.timestamp(),
	})
}

// cronCall bounds a cron call. A body, which is never read, costs its sender the connection, so that the server does not
// drain it either.
func (e *Edge) cronCall(w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	ctx := metadata.AppendToOutgoingContext(r.Context(), requestID, idOf(r.Context()))
	return context.WithTimeout(ctx, e.opts.CronBudget+cronGrace)
}

// writeCronError answers 503 for everything that a later tick can mend.
func writeCronError(w http.ResponseWriter, r *http.Request, err error) {
	e := public(err)
	status := httpStatus(e)
	switch e.Code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Canceled:
		status = http.StatusServiceUnavailable
	}
	writeStatus(r.Context(), w, e, status)
}

func (e *Edge) timestamp() string { return e.opts.Clock.Now().UTC().Format(timestampFormat) }

// writeJSON answers with v. The values are structs of this package, which always marshal.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
}
