package store

import (
	"context"
	"time"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/breaker"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Pass is what EnterHost says of a host.
type Pass struct {
	// Host is which.
	Host string
	// Wait is when the host may be asked again, zero when it may be now. Of a host that somebody else tries out just now it
	// is in the past.
	Wait time.Time
	// Dirty tells that answers are to be told to SettleHost as well as failures.
	Dirty bool
}

// EnterHost asks whether a host may be asked. A host that answers costs one statement; of one that is half open a single
// caller over all replicas may, who finds out, for the length of the lease.
func (s *Store) EnterHost(ctx context.Context, host string, now time.Time, lease time.Duration) (Pass, error) {
	pass := Pass{Host: host}
	q := db.New(s.pool) // the table is nobody's, so there is no scope to set
	row, err := q.FindHost(ctx, host)
	if postgres.IsNoRows(err) {
		return pass, nil
	}
	if err != nil {
		return pass, wrap("look at calendar host", err)
	}
	pass.Dirty = true
	switch hostState(row).Kind(now) {
	case breaker.Open:
		pass.Wait = *row.OpenUntil
	case breaker.HalfOpen:
		taken, err := q.TakeProbe(ctx, db.TakeProbeParams{Host: host, Now: now, Seconds: lease.Seconds()})
		if err != nil {
			return pass, wrap("try calendar host", err)
		}
		if taken == 0 {
			pass.Wait = *row.OpenUntil
		}
	}
	return pass, nil
}

// LeaveHost says that a look which had passed says nothing of the host.
func (s *Store) LeaveHost(ctx context.Context, pass Pass) error {
	if !pass.Dirty {
		return nil
	}
	return wrap("leave calendar host", db.New(s.pool).LeaveProbe(ctx, pass.Host))
}

// Verdict is what a look says of its host.
type Verdict struct {
	// Failed tells that the host failed; LastError and Demand are its typed reason and its own Retry-After.
	Failed    bool
	LastError string
	Demand    time.Duration
	// Now is business time.
	Now time.Time
}

// HostChange is what a verdict changed.
type HostChange struct {
	// Before and After are how the host stood and stands.
	Before, After breaker.State
	// Hastened is how many rows are due at once because the host answers again.
	Hastened int
}

// SettleHost tells a verdict. When the host answers again, all rows that wait for it are due, in the same commit.
func (s *Store) SettleHost(ctx context.Context, pass Pass, v Verdict) (HostChange, error) {
	if !v.Failed && !pass.Dirty {
		return HostChange{}, nil
	}
	var change HostChange
	err := s.system(ctx, func(q *db.Queries) error {
		change = HostChange{}
		if v.Failed {
			if err := q.AddHost(ctx, db.AddHostParams{Host: pass.Host, Now: v.Now}); err != nil {
				return err
			}
		}
		row, err := q.LockHost(ctx, pass.Host)
		if postgres.IsNoRows(err) {
			return nil // another answer was first
		}
		if err != nil {
			return err
		}
		change.Before = hostState(row)
		if v.Failed {
			change.After = change.Before.Failure(v.Now, v.Demand)
		} else {
			change.After = change.Before.Answer(v.Now)
		}
		return change.store(ctx, q, pass.Host, v)
	})
	return change, wrap("settle calendar host", err)
}

func (t *HostChange) store(ctx context.Context, q *db.Queries, host string, v Verdict) error {
	switch {
	case t.After == t.Before:
		return nil
	case t.After != (breaker.State{}):
		return q.UpdateHost(ctx, db.UpdateHostParams{
			Host: host, Failures: int32(t.After.Failures), Since: optional(t.After.Since), WindowTime: optional(t.After.Window),
			WindowCalls: int32(t.After.Calls), WindowFailed: int32(t.After.Failed), OpenUntil: optional(t.After.Until),
			LastError: v.LastError, Now: v.Now,
		})
	}
	if err := q.DeleteHost(ctx, host); err != nil || t.Before.Until.IsZero() {
		return err
	}
	hastened, err := q.HastenWaiting(ctx, db.HastenWaitingParams{Host: host, Now: v.Now})
	t.Hastened = int(hastened)
	return err
}

// Resting is a host that is left alone.
type Resting struct {
	Host  string
	Until time.Time
	// Probing tells that somebody finds out just now whether it answers.
	Probing bool
}

// RestingHosts lists the hosts that are left alone, and forgets those that nobody asks any more.
func (s *Store) RestingHosts(ctx context.Context, now time.Time) ([]Resting, error) {
	q := db.New(s.pool)
	rows, err := q.Hosts(ctx)
	if err != nil || len(rows) == 0 {
		return nil, wrap("list calendar hosts", err)
	}
	if err := q.ForgetHosts(ctx, now.AddDate(0, 0, -1)); err != nil {
		return nil, wrap("forget calendar hosts", err)
	}
	out := make([]Resting, 0, len(rows))
	for _, row := range rows {
		out = append(out, Resting{Host: row.Host, Until: *row.OpenUntil, Probing: row.Probing})
	}
	return out, nil
}

// DeferWaiting puts off at most batch due rows of a host that is left alone. Their cost is that of one statement; those
// whose state changed by it are given. State, Reason, LastError and Due of the result are stored.
func (s *Store) DeferWaiting(ctx context.Context, host string, now time.Time, result Result, batch int) (deferred int, changed []slots.Key, err error) {
	var rows []db.DeferWaitingRow
	// Also after an error: the commit may have come through.
	defer func() {
		for _, row := range rows {
			s.changed(row.WorkspaceID)
		}
	}()
	err = s.system(ctx, func(q *db.Queries) (err error) {
		if err := q.ByIndexOnly(ctx); err != nil {
			return err
		}
		rows, err = q.DeferWaiting(ctx, db.DeferWaitingParams{
			Host: host, Now: now, State: string(result.State), Reason: string(result.Reason), Reported: result.reported(),
			LastError: result.LastError, DueTime: result.Due, Batch: int32(batch),
		})
		return err
	})
	if err != nil {
		return 0, nil, wrap("put off calendars of a host", err)
	}
	for _, row := range rows {
		if row.Before != result.reported() {
			changed = append(changed, slots.Key{Workspace: row.WorkspaceID, Kind: slots.SourceKind(row.SourceKind)})
		}
	}
	return len(rows), changed, nil
}

// Nudge makes one row due that waits for the host.
func (s *Store) Nudge(ctx context.Context, host string) error {
	err := s.system(ctx, func(q *db.Queries) error {
		_, err := q.NudgeOne(ctx, host)
		return err
	})
	return wrap("try calendar host", err)
}

func hostState(row db.ProviderHost) breaker.State {
	value := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return t.UTC()
	}
	return breaker.State{
		Failures: int(row.Failures), Since: value(row.Since), Calls: int(row.WindowCalls), Failed: int(row.WindowFailed),
		Window: value(row.WindowTime), Until: value(row.OpenUntil),
	}
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
