package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Counts are the totals of a run or of one workspace in it.
type Counts map[followup.Result]int

// Processed is the number of steps: every one has exactly one result.
func (c Counts) Processed() int {
	sum := 0
	for _, n := range c {
		sum += n
	}
	return sum - c.Checked()
}

// Checked is the number of pauses that were looked at, over or not.
func (c Counts) Checked() int { return c[followup.Resumed] + c[followup.Waiting] }

// ReasonCount counts one reason of one result.
type ReasonCount struct {
	// Result and Reason are counted.
	Result followup.Result
	Reason string
	// Count of items.
	Count int
}

// WorkspaceCount is one workspace's share.
type WorkspaceCount struct {
	// Workspace is whose.
	Workspace uuid.UUID
	// Counts of its items.
	Counts Counts
}

// Run is a receipt.
type Run struct {
	// ID is a UUIDv7.
	ID uuid.UUID
	// Counts are the totals.
	Counts Counts
	// Reasons, Workspaces and Failures break them down.
	Reasons    []ReasonCount
	Workspaces []WorkspaceCount
	Failures   []string
	// Silences are the leads that were enrolled because they did not answer.
	Silences Silences
	// Finished tells that nothing due was left.
	Finished bool
	// Start and End are business times; End is zero while it runs or when it was killed.
	Start, End time.Time
}

// StartRun opens a receipt. For a request id that was used it gives that run; the caller returns it as it is when it has
// ended, and continues it otherwise.
func (s *Store) StartRun(ctx context.Context, request uuid.UUID, now time.Time) (run Run, err error) {
	err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
		run = Run{ID: newID(), Start: now}
		inserted, err := q.InsertRun(ctx, db.InsertRunParams{ID: run.ID, RequestID: optionalID(request), StartTime: now})
		if err != nil || inserted == 1 {
			return err
		}
		row, err := q.GetRunByRequest(ctx, &request)
		run = toRun(row)
		return err
	})
	if err != nil {
		return Run{}, fmt.Errorf("start run: %w", err)
	}
	return run, nil
}

// FinishRun closes a receipt and reads it.
func (s *Store) FinishRun(ctx context.Context, id uuid.UUID, finished bool, now time.Time) (run Run, err error) {
	err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
		if err := q.FinishRun(ctx, db.FinishRunParams{ID: id, Finished: finished, EndTime: now}); err != nil {
			return err
		}
		run, err = readRun(ctx, q, id)
		return err
	})
	if err != nil {
		return Run{}, fmt.Errorf("finish run: %w", err)
	}
	return run, nil
}

// GetRun reads a receipt. Error: ErrNotFound.
func (s *Store) GetRun(ctx context.Context, id uuid.UUID) (run Run, err error) {
	err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
		run, err = readRun(ctx, q, id)
		return err
	})
	return run, err
}

// ListRuns lists receipts, newest first; page.After is the last id of the page before.
func (s *Store) ListRuns(ctx context.Context, page Page) (out []Run, err error) {
	before := page.After
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
		rows, err := q.ListRuns(ctx, db.ListRunsParams{BeforeID: before, PageSize: int32(page.Size)})
		if err != nil {
			return fmt.Errorf("list runs: %w", err)
		}
		for _, row := range rows {
			out = append(out, toRun(row))
		}
		return nil
	})
	return out, err
}

func toRun(row db.Run) Run {
	return Run{
		ID: row.ID, Finished: row.Finished, Start: row.StartTime.UTC(), End: value(row.EndTime),
		Counts: Counts{
			followup.Succeeded: int(row.Succeeded), followup.Failed: int(row.Failed), followup.Skipped: int(row.Skipped),
			followup.Deferred: int(row.Deferred), followup.Unknown: int(row.Unknown),
			followup.Resumed: int(row.Resumed), followup.Waiting: int(row.Waiting),
		},
	}
}

func readRun(ctx context.Context, q *db.Queries, id uuid.UUID) (Run, error) {
	row, err := q.GetRun(ctx, id)
	if err != nil {
		if postgres.IsNoRows(err) {
			return Run{}, ErrNotFound
		}
		return Run{}, fmt.Errorf("read run: %w", err)
	}
	run := toRun(row)
	if run.Silences, err = readSilences(ctx, q, row); err != nil {
		return Run{}, err
	}
	reasons, err := q.CountRunReasons(ctx, id)
	if err != nil {
		return Run{}, fmt.Errorf("count reasons: %w", err)
	}
	for _, r := range reasons {
		run.Reasons = append(run.Reasons, ReasonCount{Result: followup.Result(r.Outcome), Reason: r.Reason, Count: int(r.Items)})
	}
	workspaces, err := q.CountRunWorkspaces(ctx, id)
	if err != nil {
		return Run{}, fmt.Errorf("count workspaces: %w", err)
	}
	for _, w := range workspaces {
		last := len(run.Workspaces) - 1
		if last < 0 || run.Workspaces[last].Workspace != w.WorkspaceID {
			run.Workspaces = append(run.Workspaces, WorkspaceCount{Workspace: w.WorkspaceID, Counts: Counts{}})
			last++
		}
		run.Workspaces[last].Counts[followup.Result(w.Outcome)] = int(w.Items)
	}
	failures, err := q.ListRunFailures(ctx, id)
	if err != nil {
		return Run{}, fmt.Errorf("list failures: %w", err)
	}
	for _, f := range failures {
		run.Failures = append(run.Failures, fmt.Sprintf("Enrollment %s: %s", f.EnrollmentID, f.Reason))
	}
	return run, nil
}
