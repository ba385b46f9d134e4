// Package run takes up due follow-ups: claim a batch, learn what the decisions need, decide, ask sync to send, record. It
// holds no rule of its own (package followup) and no SQL (package store).
package run

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/crashpoint"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
	"github.com/relance/relance/services/followups/internal/store"
)

// Defaults of Config.
const (
	DefaultBatchSize   = 200
	DefaultLease       = 2 * time.Minute
	DefaultMaxAttempts = 5
	// DefaultBudget and MaxBudget bound a run's time.
	DefaultBudget = 25 * time.Second
	MaxBudget     = 55 * time.Second

	sendTimeout   = 20 * time.Second
	offerTimeout  = 10 * time.Second
	commitTimeout = 15 * time.Second
	answerTime    = 2 * time.Second
)

// Config is what a runner works with.
type Config struct {
	// Store keeps the state.
	Store *store.Store
	// Sync and Availability are the other services.
	Sync         syncv1.SyncServiceClient
	Availability availabilityv1.AvailabilityServiceClient
	// Clock is the business clock.
	Clock clock.Clock
	// Logger gets changes; nil discards.
	Logger *slog.Logger
	// BatchSize is the most enrollments claimed at once; 0 means 200.
	BatchSize int
	// Lease is how long a batch is claimed, by the database's clock; 0 means 2 minutes.
	Lease time.Duration
	// MaxAttempts is the number of failed tries after which an enrollment is parked; 0 means 5.
	MaxAttempts int
	// BeforeCommit, if set, is called between sending and recording; an error there is a crash at the worst moment, which
	// tests play.
	BeforeCommit func(context.Context) error
}

// Runner runs what is due. It is safe for concurrent use: overlapping runs share the work.
type Runner struct {
	cfg    Config
	reader learn.Reader
	sends  *bounds
	// decide is replaced by tests.
	decide func(followup.Input) followup.Decision
}

// New makes a runner.
func New(cfg Config) *Runner {
	if cfg.BatchSize <= 0 {
		cfg.BatchSize = DefaultBatchSize
	}
	if cfg.Lease <= 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.MaxAttempts <= 0 {
		cfg.MaxAttempts = DefaultMaxAttempts
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.BeforeCommit == nil {
		cfg.BeforeCommit = func(context.Context) error { return nil }
	}
	reader := learn.Reader{Sync: cfg.Sync, Availability: cfg.Availability}
	return &Runner{cfg: cfg, reader: reader, sends: newBounds(sendsAtOnce), decide: followup.Decide}
}

// Request bounds a run.
type Request struct {
	// ID makes repeated requests answer one receipt; uuid.Nil for none.
	ID uuid.UUID
	// Budget is how long new work is begun; 0 means 25 s.
	Budget time.Duration
}

// Run works until nothing is due or the budget ends, and answers the receipt. What another run holds is left to it.
func (r *Runner) Run(ctx context.Context, request Request) (store.Run, error) {
	if request.Budget <= 0 {
		request.Budget = DefaultBudget
	}
	receipt, err := r.cfg.Store.StartRun(ctx, request.ID, r.cfg.Clock.Now())
	if err != nil {
		return store.Run{}, err
	}
	if !receipt.End.IsZero() {
		return r.cfg.Store.GetRun(ctx, receipt.ID)
	}
	crashpoint.At(crashpoint.K1)
	budget, cancel := context.WithTimeout(ctx, min(request.Budget, MaxBudget))
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok { // leave the caller time to hear the receipt
		budget, cancel = context.WithDeadline(budget, deadline.Add(-answerTime))
		defer cancel()
	}
	p := &pass{Runner: r, run: receipt.ID, workspaces: map[uuid.UUID]*workspace{}}
	if err := r.fireSilences(budget, receipt.ID); err != nil {
		return store.Run{}, err
	}
	if err := r.readReplies(budget); err != nil {
		return store.Run{}, err
	}
	finished, err := p.flow(ctx, budget)
	if err != nil {
		return store.Run{}, err
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	receipt, err = r.cfg.Store.FinishRun(closing, receipt.ID, finished, r.cfg.Clock.Now())
	crashpoint.At(crashpoint.K3)
	if err == nil {
		r.logRun(ctx, receipt)
	}
	return receipt, err
}

// silencesAtOnce bounds the transaction that enrolls silent leads.
const silencesAtOnce = 100

// fireSilences enrolls the leads whose silence has lasted, so that what is due of them at once is part of this run.
func (r *Runner) fireSilences(budget context.Context, run uuid.UUID) error {
	for budget.Err() == nil {
		fired, err := r.cfg.Store.FireSilences(budget, run, r.cfg.Clock.Now(), silencesAtOnce)
		if err != nil || fired < silencesAtOnce {
			return endOf(budget, err)
		}
	}
	return nil
}

// logRun writes one line for a run in which something happened to a lead; ticks without that stay silent.
func (r *Runner) logRun(ctx context.Context, receipt store.Run) {
	if receipt.Counts.Processed() == receipt.Counts[followup.Deferred] && receipt.Counts[followup.Resumed] == 0 {
		return
	}
	r.cfg.Logger.InfoContext(ctx, "follow-up run",
		slog.String("run", receipt.ID.String()), slog.Int("processed", receipt.Counts.Processed()),
		slog.Int("succeeded", receipt.Counts[followup.Succeeded]), slog.Int("failed", receipt.Counts[followup.Failed]),
		slog.Int("skipped", receipt.Counts[followup.Skipped]), slog.Int("deferred", receipt.Counts[followup.Deferred]),
		slog.Int("unknown", receipt.Counts[followup.Unknown]),
		slog.Int("resumed", receipt.Counts[followup.Resumed]), slog.Bool("finished", receipt.Finished))
}

// pass is one run; what it learned of workspaces is kept for its length.
type pass struct {
	*Runner
	run        uuid.UUID
	workspaces map[uuid.UUID]*workspace
	// turn is the workspace that was served last.
	turn uuid.UUID
}

// prepare decides claimed items and keeps what is about to be asked for.
func (p *pass) prepare(ctx, budget context.Context, batch store.Batch) ([]*work, error) {
	// Work that outlives the lease would be done by two; what is not begun by then is handed back.
	begin, cancel := context.WithTimeout(budget, p.cfg.Lease*3/4)
	context.AfterFunc(budget, cancel)
	try := followup.Try{Now: p.cfg.Clock.Now(), Max: p.cfg.MaxAttempts}
	works := make([]*work, len(batch.Items))
	for i, item := range batch.Items {
		works[i] = &work{item: item, try: try, begin: begin}
		works[i].try.Policy = item.Policy()
		if item.Step != nil {
			works[i].try.Channel = item.Step.Channel
		}
	}
	p.learn(begin, works)
	p.decideAll(begin, works)
	if err := p.takePlaces(ctx, works, try.Now); err != nil {
		return nil, err
	}
	return works, p.savePlans(ctx, works, try.Now)
}

func (p *pass) savePlans(ctx context.Context, works []*work, now time.Time) error {
	var plans []store.Plan
	var planned []*work
	for _, w := range works {
		if w.content != nil && w.item.Planned == nil {
			plans = append(plans, store.Plan{Key: w.item.Key(), Content: *w.content})
			planned = append(planned, w)
		}
	}
	err := p.cfg.Store.SavePlans(ctx, plans, now)
	if err == nil || ctx.Err() != nil || postgres.IsUnavailable(err) {
		return err
	}
	// One that cannot be stored must not stop the others: find it.
	for i, plan := range plans {
		if err := p.cfg.Store.SavePlans(ctx, []store.Plan{plan}, now); err != nil {
			p.broken(ctx, planned[i], err)
		}
	}
	return nil
}

// zoneOf is the zone that the next delay is counted in: the lead's, or the workspace's while that is unknown.
func (p *pass) zoneOf(w *work) *time.Location {
	if w.lead != nil && w.lead.Zone != nil {
		return w.lead.Zone
	}
	if ws := p.workspaces[w.item.Enrollment.Workspace]; ws != nil {
		return ws.Zone
	}
	return nil
}

// logChange writes a line when an enrollment stopped; going on and waiting are in the receipt.
func (p *pass) logChange(ctx context.Context, done store.Done) {
	if done.Effect.Result == followup.Waiting {
		return // it stands as it stood
	}
	switch done.Effect.Move {
	case followup.Hold, followup.End, followup.EndLead, followup.Await:
		p.cfg.Logger.InfoContext(ctx, "enrollment stopped",
			slog.String("enrollment", done.Item.Enrollment.ID.String()), slog.String("workspace", done.Item.Enrollment.Workspace.String()),
			slog.String("move", string(done.Effect.Move)), slog.String("reason", done.Effect.Reason))
	}
}

// work is one item on its way to an effect.
type work struct {
	item store.Item
	// begin ends when the item must no longer be begun.
	begin context.Context //nolint:containedctx // the deadline of the item's batch, which lanes of several batches share
	try   followup.Try
	// learned tells that sync answered: only then does no lead mean that there is none any more.
	learned bool
	lead    *followup.Lead
	content *followup.Content
	// effect is nil until the item is worked on; items without one are handed back.
	effect *followup.Effect
	// zone is that of the next delay.
	zone *time.Location
	// trace are the rules that led to the content or the effect.
	trace []followup.Check
}

func (w *work) settle(effect followup.Effect) {
	effect = effect.Since(w.item.Enrollment)
	w.effect = &effect
}

// note settles by what another service answered, and adds that to the trace.
func (w *work) note(effect followup.Effect, rule string, inputs ...followup.Fact) {
	w.settle(effect)
	w.trace = append(w.trace, followup.AnswerCheck(rule, effect, inputs...))
}

var errPanic = errors.New("panic")
