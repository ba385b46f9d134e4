package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/poll"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

const (
	// pollClaims bounds the polls that one tick starts.
	pollClaims = 500
	// ingestionKept is how long the figures by hour are kept.
	ingestionKept = 30 * 24 * time.Hour
)

// pollDue starts the polls that are due, longest overdue first.
func (d Deps) pollDue(ctx context.Context) error {
	err := d.Store.System(ctx, func(tx *store.Tx) error {
		if err := tx.EnsurePolls(ctx, tx.Now); err != nil {
			return err
		}
		due, err := tx.ClaimPolls(ctx, db.ClaimPollsParams{Lease: tx.Now.Add(d.Poll.Every), Now: tx.Now, Page: pollClaims})
		if err != nil {
			return err
		}
		for _, workspace := range due {
			if err := tx.Enqueue(ctx, work.PollLocation{Workspace: workspace.String()}, 0); err != nil {
				return err
			}
		}
		silent, err := tx.CountSilent(ctx)
		if err != nil {
			return err
		}
		d.ingestion().silent.Record(ctx, int64(silent))
		return tx.PurgeIngestion(ctx, tx.Now.Add(-ingestionKept))
	})
	if err != nil {
		return fmt.Errorf("poll locations: %w", err)
	}
	return nil
}

// polling is one poll of one location.
type polling struct {
	Deps
	workspace uuid.UUID
	location  string
	account   ghl.Account
	now       time.Time
	state     poll.State
	// heard says that a webhook came since the last poll.
	heard         bool
	reads, failed int
	found         int
}

// pollLocation compares what the provider has with what is stored, and puts what is missing into the inbox, as if its
// webhook had come now. From there on it is a webhook like any other: applied once, retried, parked, replayed.
func (d Deps) pollLocation(ctx context.Context, name string) error {
	workspace, err := uuid.Parse(name)
	if err != nil {
		return river.JobCancel(fmt.Errorf("poll location: %w", err))
	}
	p := &polling{Deps: d, workspace: workspace, now: d.Clock.Now().UTC()}
	ok, err := p.load(ctx)
	if err != nil || !ok {
		return err
	}
	account, usable, err := d.account(ctx, workspace)
	if err != nil {
		return err
	}
	w, due := p.state.Window(p.now, d.Poll)
	switch {
	case !usable || account.Location != p.location:
		p.state = p.state.Idle(p.now, d.Poll, "NOT_CONNECTED")
	case p.now.Before(p.state.BreakerEnd):
		p.state.Next = p.state.BreakerEnd
	case !due:
		p.state = p.state.Idle(p.now, d.Poll, "")
	default:
		p.account = account
		p.settle(ctx, w, p.read(ctx, w))
	}
	return p.save(ctx)
}

// settle draws the consequence of a poll.
func (p *polling) settle(ctx context.Context, w poll.Window, err error) {
	p.state = p.state.Counted(p.reads, p.failed)
	var failed *ghl.ReadError
	skipped, opened := false, false
	limited, budget := ghl.RateLimited(err)
	wait, held := provider.HeldBack(err)
	switch {
	case err == nil:
		p.state = p.state.Done(w, p.now, p.Poll)
	case errors.Is(err, errTooMuch):
		p.state, skipped = p.state.TooMuch(w, p.now, p.Poll)
	case budget:
		p.state = p.state.Deferred(p.now, limited.Wait, p.Poll)
	case held:
		p.state = p.state.Deferred(p.now, wait, p.Poll)
	case errors.As(err, &failed) && failed.Verdict.Class == classify.Suspended:
		p.state = p.state.Idle(p.now, p.Poll, string(failed.Verdict.Refusal.Reason))
		if err := p.Store.SuspendConnection(ctx, p.workspace, p.account.Version, failed.Verdict.Refusal.Reason); err != nil {
			p.Logger.ErrorContext(ctx, "connection not suspended", "workspace", p.workspace.String(), "error", err)
		}
	case failed != nil && failed.Status >= 400 && failed.Status < 500 && failed.Status != 401 && failed.Status != 403:
		p.state, skipped = p.state.Refused(w, p.now, p.Poll)
	case failed != nil:
		p.state, opened = p.state.Failed(p.now, p.Poll, "PROVIDER_READ_FAILED")
	default:
		p.state, _ = p.state.Failed(p.now, p.Poll, "INTERNAL")
		p.Logger.ErrorContext(ctx, "poll failed", "workspace", p.workspace.String(), "error", err)
	}
	if skipped {
		p.Logger.WarnContext(ctx, "poll left messages out: a minute holds more than is read, or cannot be listed",
			"workspace", p.workspace.String(), "from", w.Fresh, "to", w.To)
	}
	if opened {
		p.Logger.WarnContext(ctx, "polling paused: at least half of the reads failed",
			"workspace", p.workspace.String(), "until", p.state.BreakerEnd)
	}
	p.hear(ctx)
}

// hear raises and ends the alarm of a location whose messages come by the poller only; one line on each change.
func (p *polling) hear(ctx context.Context) {
	state, changed := p.state.Heard(p.found, p.heard, p.now)
	p.state = state
	switch {
	case changed && !p.state.Silent.IsZero():
		p.Logger.WarnContext(ctx, "webhooks silent: the poller finds messages and no webhook comes; see docs/webhooks.md",
			"workspace", p.workspace.String(), "found", p.state.Unheard)
	case changed:
		p.Logger.InfoContext(ctx, "webhooks heard again", "workspace", p.workspace.String())
	}
}

func (p *polling) load(ctx context.Context) (bool, error) {
	var row db.PollStateRow
	err := p.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) (err error) {
		row, err = tx.PollState(ctx, p.workspace)
		return err
	})
	if postgres.IsNoRows(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("load poll: %w", err)
	}
	p.location = row.Location
	p.state = poll.State{
		Cursor: row.CursorTime, Span: time.Duration(row.SpanSeconds) * time.Second, Next: row.NextTime, Last: store.Deref(row.LastTime),
		Error: row.LastError, Reads: int(row.Reads), FailedReads: int(row.FailedReads), BreakerEnd: store.Deref(row.BreakerTime),
		Trips: int(row.BreakerCount), Unheard: int(row.FoundUnheard), Silent: store.Deref(row.SilentTime),
	}
	p.heard = row.LastWebhookTime != nil && !row.LastWebhookTime.Before(p.state.Last)
	return true, nil
}

func (p *polling) save(ctx context.Context) error {
	s := p.state
	err := p.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) error {
		return tx.SavePoll(ctx, db.SavePollParams{
			WorkspaceID: p.workspace, Location: p.location, CursorTime: s.Cursor, NextTime: s.Next, SpanSeconds: int32(s.Span / time.Second),
			LastTime: store.OptTime(s.Last), LastError: s.Error, Reads: int32(s.Reads), FailedReads: int32(s.FailedReads),
			BreakerTime: store.OptTime(s.BreakerEnd), BreakerCount: int32(s.Trips), FoundUnheard: int32(s.Unheard), SilentTime: store.OptTime(s.Silent),
		})
	})
	if err != nil {
		return fmt.Errorf("save poll: %w", err)
	}
	return nil
}
