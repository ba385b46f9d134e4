package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Claimed tells what an attempt to take a row found.
type Claimed int

// The outcomes of Claim.
const (
	// ClaimTaken: the caller has the lease and must Finish or Release.
	ClaimTaken Claimed = iota
	// ClaimNotNeeded: somebody read it meanwhile.
	ClaimNotNeeded
	// ClaimBusy: somebody reads it now.
	ClaimBusy
)

// Claim takes the lease of a row when need still says so under the lock: the one that Read gives for the key.
func (s *Store) Claim(ctx context.Context, key slots.Key, lease time.Duration, need func(Row) bool) (Row, Claimed, error) {
	token, err := uuid.NewV7()
	if err != nil {
		return Row{}, ClaimBusy, wrap("claim availability", err)
	}
	var row Row
	outcome := ClaimTaken
	err = s.within(ctx, key.Workspace, func(q *db.Queries) error {
		locked, err := q.LockAvailability(ctx, db.LockAvailabilityParams{WorkspaceID: key.Workspace, SourceKind: string(key.Kind)})
		if postgres.IsNoRows(err) && key.Kind != slots.SourceDefault {
			locked, err = q.LockAvailability(ctx, db.LockAvailabilityParams(defaultRow(key.Workspace)))
		}
		if err != nil {
			return err
		}
		if row, err = s.complete(ctx, q, locked.Availability); err != nil {
			return err
		}
		switch {
		case !need(row):
			outcome = ClaimNotNeeded
			return nil
		case locked.Leased:
			outcome = ClaimBusy
			return nil
		}
		row.token = token
		return q.Lease(ctx, db.LeaseParams{WorkspaceID: key.Workspace, SourceKind: string(row.Kind), Token: &token, Seconds: lease.Seconds()})
	})
	return row, outcome, wrap("claim availability", err)
}

// Result is what a look found.
type Result struct {
	// State and Reason are the new ones.
	State  slots.State
	Reason slots.Reason
	// LastError is the typed reason at the provider, empty when there was no failure.
	LastError string
	// Slots and AsOf replace the old ones.
	Slots []time.Time
	AsOf  time.Time
	// Source is the provider's door that they were read through.
	Source string
	// Resolved is to be remembered with the link; empty leaves what is.
	Resolved string
	// Failures in a row, with this look.
	Failures int
	// Due is when to look again.
	Due time.Time
	// Host is the host that was asked; Waiting tells that the row is due at once when it answers again.
	Host    string
	Waiting bool
	// Unasked tells that the calendar was not asked because its host is left alone. Should that be over by now, it is due at
	// once.
	Unasked bool
}

// reported is how the log's last line of a workspace is remembered.
func (r Result) reported() string { return string(r.State) + " " + string(r.Reason) }

// Finish stores the result and gives the lease back. stored is false when the lease was lost or the configuration
// changed meanwhile; then nothing is stored. changed tells whether state or reason differ from what was last reported.
func (s *Store) Finish(ctx context.Context, row Row, result Result) (stored, changed bool, err error) {
	reported := result.reported()
	params := db.FinishParams{
		WorkspaceID: row.Workspace, SourceKind: string(row.Kind), Token: &row.token, ConfigVersion: row.version, State: string(result.State),
		Reason: string(result.Reason), LastError: result.LastError, Reported: reported, Slots: result.Slots, Source: result.Source,
		Failures: int32(min(result.Failures, 1<<20)), DueTime: result.Due, Host: result.Host, Waiting: result.Waiting,
	}
	if params.Slots == nil {
		params.Slots = []time.Time{}
	}
	if !result.AsOf.IsZero() {
		params.AsOf = &result.AsOf
	}
	defer s.changed(row.Workspace)
	err = s.within(ctx, row.Workspace, func(q *db.Queries) error {
		if err := result.stillWaits(ctx, q, &params); err != nil {
			return err
		}
		rows, err := q.Finish(ctx, params)
		if err != nil {
			return err
		}
		stored = rows == 1
		if !stored {
			return q.Release(ctx, release(row))
		}
		if result.Resolved == "" || row.Link == nil || result.Resolved == row.Link.Resolved {
			return nil
		}
		return q.Remember(ctx, db.RememberParams{WorkspaceID: row.Workspace, ID: row.Link.ID, Resolved: result.Resolved})
	})
	return stored, stored && reported != row.reported, wrap("store availability", err)
}

// stillWaits makes a row due that was not asked, if its host answers again. Whoever finds that out makes all that wait due in
// the same commit, and would miss a row that is about to wait: the lock lets one see the other.
func (r Result) stillWaits(ctx context.Context, q *db.Queries, params *db.FinishParams) error {
	if !r.Unasked {
		return nil
	}
	resting, err := q.ShareHost(ctx, r.Host)
	if postgres.IsNoRows(err) || err == nil && !resting {
		params.Waiting, params.DueTime = false, time.Unix(0, 0)
		return nil
	}
	return err
}

// Release gives a lease back without a result.
func (s *Store) Release(ctx context.Context, row Row) error {
	err := s.within(ctx, row.Workspace, func(q *db.Queries) error {
		return q.Release(ctx, release(row))
	})
	return wrap("release availability", err)
}

func release(row Row) db.ReleaseParams {
	return db.ReleaseParams{WorkspaceID: row.Workspace, SourceKind: string(row.Kind), Token: &row.token}
}
