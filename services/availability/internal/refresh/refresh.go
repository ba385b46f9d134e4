// Package refresh keeps slots fresh: one look at a calendar however many ask, good slots kept when a provider fails, and
// an explicit next time for whatever is not done now.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// Directory knows all workspaces.
type Directory interface {
	// Workspaces calls each with pages of ids, and the agency of each, of the workspaces that were created or changed at or
	// after since, from a page on, and with the name of the next page. A zero since means all; an empty name the first page, and none.
	Workspaces(ctx context.Context, since time.Time, page string, each func(ids []uuid.UUID, agencies []string, next string) error) error
}

// Config is what a Refresher is made of. Store, Provider, Directory, Clock and Logger are required.
type Config struct {
	Store     *store.Store
	Provider  look.Provider
	Directory Directory
	Clock     clock.Clock
	Logger    *slog.Logger
	// Timing is the distances between looks; zero means slots.DefaultTiming.
	Timing slots.Timing
	// Jitter gives numbers in [0,1); nil means random ones.
	Jitter func() float64
	// CallTimeout bounds one look. Default 10 s.
	CallTimeout time.Duration
	// Concurrency bounds the looks of one run. Default 8.
	Concurrency int
}

// Refresher is safe for concurrent use.
type Refresher struct {
	cfg     Config
	flights singleflight.Group
	work    sync.WaitGroup
	known   walk
	counted census
	// lowAt is when workspaces with few free times were last searched for, in seconds; 0 for never.
	lowAt atomic.Int64
}

// ErrBusy is the answer when another process holds a workspace's lease for too long.
var ErrBusy = errors.New("the calendar is being read elsewhere and that takes too long")

const (
	// leaseSlack is how much longer than a look its lease lives.
	leaseSlack = 10 * time.Second
	// attempts bounds how often a reader whose bound was not met by somebody else's look tries by itself.
	attempts             = 3
	pollFirst, pollLimit = 10 * time.Millisecond, 250 * time.Millisecond
)

// New makes a Refresher.
func New(cfg Config) *Refresher {
	if cfg.Timing == (slots.Timing{}) {
		cfg.Timing = slots.DefaultTiming()
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = 10 * time.Second
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = 8
	}
	return &Refresher{cfg: cfg}
}

// Wait blocks until all looks that were begun are stored.
func (r *Refresher) Wait() { r.work.Wait() }

// Fresh gives the row of the key, as store.Read does, after a look at the calendar when the row is due or was read before notBefore (zero
// for no such bound). However many ask at once, here and in other processes, the calendar is read once. A row that backs
// off is not read again, whatever the bound.
func (r *Refresher) Fresh(ctx context.Context, key slots.Key, notBefore time.Time) (store.Row, error) {
	now := r.cfg.Clock.Now()
	need := func(row store.Row) bool { return Stale(row, now, notBefore) }
	row, err := r.cfg.Store.Read(ctx, key)
	for range attempts {
		if err != nil || !need(row) {
			return row, err
		}
		row, err = r.join(ctx, row.Key(), need)
	}
	return row, err
}

// Stale reports whether the calendar is to be read before the row is used: it is due, or was read before notBefore and does
// not back off.
func Stale(row store.Row, now, notBefore time.Time) bool {
	return !row.Due.After(now) || (resting(row) && row.AsOf.Before(notBefore))
}

// resting reports whether the row waits only because it was read well, not because of a failure.
func resting(row store.Row) bool { return row.State == slots.StateOK || row.State == slots.StateEmpty }

// join takes part in the one look at a calendar that this process makes at a time. The look goes on when its first
// asker goes away.
func (r *Refresher) join(ctx context.Context, key slots.Key, need func(store.Row) bool) (store.Row, error) {
	flight := r.flights.DoChan(key.String(), func() (any, error) {
		r.work.Add(1)
		defer r.work.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*r.lease())
		defer cancel()
		return r.once(ctx, key, need)
	})
	select {
	case <-ctx.Done():
		return store.Row{}, ctx.Err()
	case answer := <-flight:
		if answer.Err != nil {
			return store.Row{}, answer.Err
		}
		return answer.Val.(store.Row), nil
	}
}

// once looks, or waits until whoever looks is done.
func (r *Refresher) once(ctx context.Context, key slots.Key, need func(store.Row) bool) (store.Row, error) {
	pause := pollFirst
	for {
		row, claimed, err := r.cfg.Store.Claim(ctx, key, r.lease(), need)
		if err != nil || claimed == store.ClaimNotNeeded {
			return row, err
		}
		if claimed == store.ClaimTaken {
			if _, err := r.look(ctx, row); err != nil {
				return store.Row{}, err
			}
			return r.cfg.Store.Read(ctx, key)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return store.Row{}, ErrBusy
		case <-timer.C:
		}
		pause = min(2*pause, pollLimit)
	}
}

func (r *Refresher) lease() time.Duration { return r.cfg.CallTimeout + leaseSlack }

// outcome is what became of one claimed row.
type outcome struct {
	verdict slots.Verdict
	reason  string
	// asked tells that the calendar was asked.
	asked bool
	// hastened is how many others are due at once because of it.
	hastened int
}

// look reads the calendar of a claimed row, stores what was found and gives the lease back.
func (r *Refresher) look(ctx context.Context, row store.Row) (outcome, error) {
	now := r.cfg.Clock.Now()
	result, done, err := r.find(ctx, row, now)
	if err != nil {
		if release := r.cfg.Store.Release(context.WithoutCancel(ctx), row); release != nil {
			err = errors.Join(err, release)
		}
		return outcome{}, err
	}
	stored, changed, err := r.cfg.Store.Finish(ctx, row, result)
	if err != nil {
		return outcome{asked: done.asked, hastened: done.hastened}, err
	}
	if !stored {
		// The configuration changed during the look: it is due again at once.
		return outcome{verdict: slots.VerdictBackoff, asked: done.asked, hastened: done.hastened}, nil
	}
	if changed {
		r.logChange(ctx, row.Key(), result)
	}
	return done, nil
}

// logChange is the one line that a change of state is worth.
func (r *Refresher) logChange(ctx context.Context, key slots.Key, result store.Result) {
	r.cfg.Logger.InfoContext(ctx, "availability state changed", slog.String("workspace", key.Workspace.String()),
		slog.String("source_kind", string(key.Kind)), slog.String("state", string(result.State)), slog.String("reason", string(result.Reason)),
		slog.String("last_error", result.LastError), slog.Time("next_look", result.Due))
}

// find decides without a call where it can, and calls otherwise. Its error is only that of a cancelled context.
func (r *Refresher) find(ctx context.Context, row store.Row, now time.Time) (store.Result, outcome, error) {
	kind := calendar.Kind("")
	if row.Link != nil {
		kind = row.Link.Provider
	}
	if reason := slots.Check(row.Link != nil, kind, row.Meeting); reason != slots.ReasonNone {
		return r.refused(reason, now), refusal(reason), nil
	}
	until := now.Add(row.LookAhead)
	question := ask(row, now, until)
	pass, err := r.enter(ctx, question, now)
	if err != nil {
		return store.Result{}, outcome{}, err
	}
	if !pass.Wait.IsZero() {
		return waits(row, pass, now), outcome{verdict: slots.VerdictBackoff}, nil
	}
	call, cancel := context.WithTimeout(ctx, r.cfg.CallTimeout)
	defer cancel()
	answer, err := r.read(call, question)
	if err != nil && ctx.Err() != nil {
		return store.Result{}, outcome{}, errors.Join(fmt.Errorf("read calendar: %w", ctx.Err()),
			r.cfg.Store.LeaveHost(context.WithoutCancel(ctx), pass))
	}
	weight, wanted := weigh(question, err), demand(err)
	if answer.Host != "" && answer.Host != pass.Host {
		weight = saysNothing
	}
	result, done := r.judge(row, answer, err, now)
	change, err := r.settle(ctx, pass, weight, store.Verdict{LastError: result.LastError, Demand: wanted, Now: now})
	result.Host, result.Waiting = pass.Host, weight == failsIt && wanted == 0
	done.asked, done.hastened = true, change.Hastened
	return result, done, err
}

// read asks the provider. A panic over what it answered is an answer that cannot be read: it ends neither the process nor the
// looks at other calendars.
func (r *Refresher) read(ctx context.Context, ask look.Ask) (answer look.Answer, err error) {
	defer func() {
		if recover() != nil { // its value may hold what the answer said
			r.cfg.Logger.ErrorContext(ctx, "reading a calendar panicked", slog.String("workspace", ask.Workspace.String()),
				slog.String("provider", string(ask.Kind)), slog.String("stack", string(debug.Stack())))
			answer, err = look.Answer{}, look.BadAnswer(errPanic)
		}
	}()
	return r.cfg.Provider.FreeSlots(ctx, ask)
}

var errPanic = errors.New("reading panicked")

// judge makes a result of what a look found.
func (r *Refresher) judge(row store.Row, answer look.Answer, err error, now time.Time) (store.Result, outcome) {
	if err != nil {
		return r.failed(row, err, now)
	}
	starts := slots.Within(answer.Starts, now, now.Add(row.LookAhead))
	return store.Result{
		State: slots.Of(slots.ReasonNone, len(starts)), Slots: starts, AsOf: now, Due: now.Add(r.cfg.Timing.TTL),
		Source: answer.Source, Resolved: answer.Resolved,
	}, outcome{verdict: slots.VerdictRefreshed}
}

// demand is the provider's own Retry-After behind an error; zero for none.
func demand(err error) time.Duration {
	if failure, ok := errors.AsType[*look.Error](err); ok {
		return failure.RetryAfter
	}
	return 0
}

func ask(row store.Row, from, to time.Time) look.Ask {
	return look.Ask{
		Workspace: row.Workspace, Kind: row.Link.Provider, ID: row.Link.ExternalID, Address: row.Link.SourceURL.Reveal(),
		Token: row.Link.Token.Reveal(), Hours: row.Link.Hours, Meeting: row.Meeting, From: from, To: to,
		Resolved: row.Link.Resolved,
	}
}

// refused is a configuration that cannot be served: there are no slots, and nothing to ask for until it rests.
func (r *Refresher) refused(reason slots.Reason, now time.Time) store.Result {
	return store.Result{State: slots.Of(reason, 0), Reason: reason, Due: now.Add(r.cfg.Timing.Rest(reason))}
}

func refusal(reason slots.Reason) outcome {
	if reason == slots.ReasonNoDefaultCalendar {
		return outcome{verdict: slots.VerdictNoDefault}
	}
	return outcome{verdict: slots.VerdictUnsupported}
}

// failed keeps what was known and backs off. A calendar that is off, or cannot serve what is asked, has no slots to keep.
func (r *Refresher) failed(row store.Row, err error, now time.Time) (store.Result, outcome) {
	failure, ok := errors.AsType[*look.Error](err)
	if !ok {
		failure = look.Unreachable("UNKNOWN", err)
	}
	if failure.Kind == slots.ReasonUnsupportedDuration || failure.Kind == slots.ReasonUnsupportedCalendar {
		result := r.refused(failure.Kind, now)
		result.LastError = failure.Reason
		return result, refusal(failure.Kind)
	}
	failures := row.Failures + 1
	result := store.Result{
		State: slots.Of(failure.Kind, 0), Reason: failure.Kind, LastError: failure.Reason, Failures: failures,
		Slots: row.Slots, AsOf: row.AsOf, Source: row.Source,
		Due: now.Add(r.cfg.Timing.Backoff(failures, r.cfg.Jitter(), failure.RetryAfter)),
	}
	if failure.Kind == slots.ReasonInactive {
		result.Slots, result.AsOf, result.Source = nil, time.Time{}, ""
	}
	reason := string(failure.Kind)
	if failure.Kind == slots.ReasonUnreachable {
		reason = failure.Reason
	}
	return result, outcome{verdict: slots.VerdictError, reason: reason}
}
