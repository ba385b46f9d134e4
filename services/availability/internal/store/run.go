package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Mode says which calendars a run reads; the values are stored.
type Mode string

// The modes. ModeAll reads also what is not stale; what backs off is left alone in both.
const (
	ModeDue Mode = "due"
	ModeAll Mode = "all"
)

// Run is the receipt of one run over all workspaces.
type Run struct {
	// ID is a UUIDv7.
	ID   uuid.UUID
	Mode Mode
	// Receipt are its counts; Metrics is how the known slots stood at its end.
	Receipt slots.Receipt
	Metrics Metrics
	// Finished tells that nothing was left to do.
	Finished bool
	// Start and End are business times; End is zero while it goes on, or when it was killed.
	Start, End time.Time
}

// Metrics are how the known slots of all workspaces stand.
type Metrics struct {
	// Total workspaces are known, Due of their calendars of either kind are due, Erroring of their default ones are unreachable.
	Total, Due, Erroring int
	// OldestAsOf is the oldest look of those that are well, and OldestWorkspace whose; zero when there are none.
	OldestAsOf      time.Time
	OldestWorkspace uuid.UUID
}

// ErrRunning says that a run of the same request id goes on.
var ErrRunning = errors.New("the run goes on")

// runsKept is how long receipts are kept.
const runsKept = 30 * 24 * time.Hour

// StartRun opens a receipt, which counts as going on for the length of the lease. Of a request id (not uuid.Nil) that was
// used, the receipt is given whose End is set when it ended; one that was killed is gone on with. Errors: ErrRunning.
func (s *Store) StartRun(ctx context.Context, request uuid.UUID, run Run, lease time.Duration) (Run, error) {
	err := s.system(ctx, func(q *db.Queries) error {
		if err := q.ForgetRuns(ctx, run.Start.Add(-runsKept)); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		params := db.TakeRunParams{ID: id, Mode: string(run.Mode), Now: run.Start, Seconds: lease.Seconds()}
		if request != uuid.Nil {
			params.RequestID = &request
		}
		row, err := q.TakeRun(ctx, params)
		if postgres.IsNoRows(err) {
			if row, err = q.RunByRequest(ctx, &request); err == nil && row.EndTime == nil {
				return ErrRunning
			}
		}
		if err != nil {
			return err
		}
		run, err = runOf(row)
		return err
	})
	return run, wrap("start run", err)
}

// LeaveRun says that a run ended without a receipt; whoever asks with its request id goes on with it.
func (s *Store) LeaveRun(ctx context.Context, id uuid.UUID) error {
	err := s.system(ctx, func(q *db.Queries) error { return q.LeaveRun(ctx, id) })
	return wrap("leave run", err)
}

// FinishRun stores the receipt of a run. total is the number of workspaces; the other metrics are taken here.
func (s *Store) FinishRun(ctx context.Context, run Run, total int) (Run, error) {
	details, err := json.Marshal(run.Receipt.Details)
	if err != nil {
		return run, wrap("finish run", err)
	}
	err = s.system(ctx, func(q *db.Queries) error {
		params := db.FinishRunParams{
			ID: run.ID, Checked: int32(run.Receipt.Checked()), Refreshed: int32(run.Receipt.Refreshed),
			NoDefault: int32(run.Receipt.NoDefault), Unsupported: int32(run.Receipt.Unsupported), Backoff: int32(run.Receipt.Backoff),
			Errors: int32(run.Receipt.Errors), Attempted: int32(run.Receipt.Attempted), DirectBook: int32(run.Receipt.DirectBook), Details: details,
			TotalCaches: int32(total), Finished: run.Finished, Now: &run.End,
		}
		if err := measure(ctx, q, run.End, &params); err != nil {
			return err
		}
		row, err := q.FinishRun(ctx, params)
		if err != nil {
			return err
		}
		run, err = runOf(row)
		return err
	})
	return run, wrap("finish run", err)
}

func measure(ctx context.Context, q *db.Queries, now time.Time, params *db.FinishRunParams) error {
	if err := q.ByIndexOnly(ctx); err != nil {
		return err
	}
	due, err := q.CountDue(ctx, now)
	if err != nil {
		return err
	}
	erroring, err := q.CountErroring(ctx, string(slots.SourceDefault))
	if err != nil {
		return err
	}
	params.DueCaches, params.ErroringCaches = int32(due), int32(erroring)
	oldest, err := q.Oldest(ctx, string(slots.StateOK))
	if postgres.IsNoRows(err) {
		return nil
	}
	params.OldestAsOf, params.OldestWorkspace = oldest.AsOf, &oldest.WorkspaceID
	return err
}

// Runs lists up to page receipts before the given one, newest first; uuid.Nil begins with the newest.
func (s *Store) Runs(ctx context.Context, before uuid.UUID, page int) ([]Run, error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	var out []Run
	err := s.system(ctx, func(q *db.Queries) error {
		rows, err := q.Runs(ctx, db.RunsParams{Before: before, Page: int32(page)})
		if err != nil {
			return err
		}
		for _, row := range rows {
			run, err := runOf(row)
			if err != nil {
				return err
			}
			out = append(out, run)
		}
		return nil
	})
	return out, wrap("list runs", err)
}

func runOf(row db.RefreshRun) (Run, error) {
	run := Run{
		ID: row.ID, Mode: Mode(row.Mode), Finished: row.Finished, Start: row.StartTime.UTC(),
		Receipt: slots.Receipt{
			Refreshed: int(row.Refreshed), NoDefault: int(row.NoDefault), Unsupported: int(row.Unsupported),
			Backoff: int(row.Backoff), Errors: int(row.Errors), Attempted: int(row.Attempted), DirectBook: int(row.DirectBook),
		},
		Metrics: Metrics{Total: int(row.TotalCaches), Due: int(row.DueCaches), Erroring: int(row.ErroringCaches)},
	}
	if row.EndTime != nil {
		run.End = row.EndTime.UTC()
	}
	if row.OldestAsOf != nil && row.OldestWorkspace != nil {
		run.Metrics.OldestAsOf, run.Metrics.OldestWorkspace = row.OldestAsOf.UTC(), *row.OldestWorkspace
	}
	return run, json.Unmarshal(row.Details, &run.Receipt.Details)
}
