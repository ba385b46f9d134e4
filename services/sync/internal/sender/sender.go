// Package sender carries out the send protocol (docs/send-protocol.md): plan, claim, one call, outcome. The rules are in
// package sending, the provider's words in package classify; here is the order of commits.
package sender

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/gather"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/legal"
	"github.com/relance/relance/services/sync/internal/planted"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Looker reads the provider's lists for a send.
type Looker interface {
	// Look tells what the lists show of a send. With an error the sighting is not complete.
	Look(ctx context.Context, row db.SendIntent, account ghl.Account) (sending.Sighting, error)
}

// Config is what a Sender is made of.
type Config struct {
	Store *store.Store
	// Client sends.
	Client provider.Sender
	// Accounts opens the workspaces' credentials.
	Accounts Accounts
	// Budget limits the calls per account.
	Budget Budget
	// Clock is the business clock.
	Clock clock.Clock
	// Timing must pass its Check.
	Timing sending.Timing
	// Assumed lengthens it for providers that were seen to be late. Default: none was.
	Assumed *lateness.Book
	// MaxFailures (N) is how many counted failures park a send.
	MaxFailures int
	// Looker looks for a send that may have left before, once more before it is sent again.
	Looker Looker
	// BreakerLimit is how many failures in a row open a workspace's breaker. Default DefaultBreakerLimit.
	BreakerLimit int
	// Stopped is true once no send may begin: the process drains, or its ClockWatch tripped.
	Stopped func() bool
	Logger  *slog.Logger
}

// Sender sends. It is safe for concurrent use.
type Sender struct {
	Config
	breakers metric.Int64Counter
	machine  clock.Clock // measures the time from claim to write; not business time
	claims   *claimGatherer
	accepts  *acceptGatherer
	keys     sync.Map // workspace → budget.Key of its newest claim
	under    sync.Map // workspace → *traffic
}

// New makes a Sender.
func New(cfg Config) *Sender {
	if cfg.Assumed == nil {
		cfg.Assumed = lateness.New(cfg.Timing)
	}
	s := &Sender{Config: cfg, breakers: breakerMetric(), machine: clock.System()}
	s.claims = gather.New(gather.Config[uuid.UUID, Request, handed]{Run: s.claimTogether, Patience: company, Coming: s.claimsComing})
	s.accepts = gather.New(gather.Config[uuid.UUID, settled, *Outcome]{Run: s.acceptTogether, Patience: company, Coming: s.acceptancesComing})
	return s
}

// Request asks for one message to leave.
type Request struct {
	Workspace, Lead, RequestID uuid.UUID
	Channel                    sending.Channel
	Content                    sending.Content
	// RepliedSince and Expire are optional conditions.
	RepliedSince, Expire *time.Time
	// Policy is for unknown outcomes; empty takes the workspace's.
	Policy sending.Policy
	// Purpose is why it is sent; empty is a follow-up.
	Purpose legal.Purpose
	// ReplyTo is the message to answer; nil lets the lead's newest email decide.
	ReplyTo *uuid.UUID
	// via is who sends.
	via provider.Kind
	// replaces is the parked send that a person sends again.
	replaces *uuid.UUID
}

// Outcome is where a send stands.
type Outcome struct {
	// Message is the id of the message, Nil when nothing was planned.
	Message uuid.UUID
	State   sending.State
	// Refusal tells why it did not or cannot yet leave; nil otherwise.
	Refusal *sending.Refusal
	// RetryAfter is when asking again makes sense, for a Refusal that is not final.
	RetryAfter time.Duration
	// Row is the message as this call stored it; nil when it has to be read.
	Row *db.MessageRow
	// closed says that this very transaction ended the send by T1.
	closed bool
}

// Send plans the message if it is new, and carries it as far as it goes now. The same request id answers the same
// message or refusal. Errors: sending.ErrNoLead, sending.ErrClaimUnknown, sending.ReusedError, database errors.
func (s *Sender) Send(ctx context.Context, r Request) (Outcome, error) {
	if out, done, err := s.together(ctx, r); done {
		return out, err
	}
	planned, out, err := s.plan(ctx, r)
	if err != nil || out != nil {
		return deref(out), err
	}
	crashpoint.At(crashpoint.C1)
	return s.advance(ctx, planned, false)
}

// Resume goes on with a planned or retryable send on behalf of a job. Its outcome becomes a domain event.
func (s *Sender) Resume(ctx context.Context, workspace, intent uuid.UUID) error {
	var row db.SendIntent
	err := s.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		row, err = tx.Intent(ctx, db.IntentParams{WorkspaceID: workspace, ID: intent})
		return err
	})
	if postgres.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resume send: %w", err)
	}
	_, err = s.advance(ctx, row, true)
	return err
}

// plan is T0. What can be mended without a new message, such as a missing connection, is answered before anything is
// stored, so that the same request may come again with other words.
func (s *Sender) plan(ctx context.Context, r Request) (row db.SendIntent, out *Outcome, err error) {
	err = s.Store.Workspace(ctx, r.Workspace, func(tx *store.Tx) error {
		row, err = tx.IntentByRequest(ctx, db.IntentByRequestParams{WorkspaceID: r.Workspace, RequestID: r.RequestID})
		if err == nil {
			return compare(row, r)
		}
		if !postgres.IsNoRows(err) {
			return err
		}
		if out, err = s.beforePlan(ctx, tx, &r); err != nil || out != nil {
			return err
		}
		if _, err := s.insert(ctx, tx, r); err != nil {
			return err
		}
		row, err = tx.IntentByRequest(ctx, db.IntentByRequestParams{WorkspaceID: r.Workspace, RequestID: r.RequestID})
		if err != nil {
			return err
		}
		return compare(row, r)
	})
	if err != nil {
		return row, nil, fmt.Errorf("plan send: %w", err)
	}
	return row, out, nil
}

func (s *Sender) beforePlan(ctx context.Context, tx *store.Tx, r *Request) (*Outcome, error) {
	who, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: r.Workspace, ID: r.Lead})
	if postgres.IsNoRows(err) {
		return nil, sending.ErrNoLead
	}
	if err != nil {
		return nil, err
	}
	if r.Content.Empty(r.Channel) {
		return &Outcome{Refusal: &sending.Refusal{Reason: sending.EmptyContent}}, nil
	}
	if refusal, err := route(ctx, tx, who, r); err != nil || refusal != nil {
		return &Outcome{Refusal: refusal}, err
	}
	setup, err := readSetup(ctx, tx, r.Workspace, r.via)
	if err != nil {
		return nil, err
	}
	if refusal := sending.SetupRefusal(string(r.via), setup.state, setup.disabled); refusal != nil {
		return &Outcome{Refusal: refusal}, nil
	}
	live, err := tx.LiveIntent(ctx, db.LiveIntentParams{
		WorkspaceID: r.Workspace, LeadID: r.Lead, Channel: string(r.Channel), RequestID: r.RequestID,
	})
	if postgres.IsNoRows(err) || planted.On(planted.NoOneLive) {
		return s.notNow(ctx, tx, *r, subject{who: who, set: setup})
	}
	if err != nil {
		return nil, err
	}
	return &Outcome{Refusal: previous(r.Workspace, live), RetryAfter: s.Timing.Turn()}, nil
}

func (s *Sender) insert(ctx context.Context, tx *store.Tx, r Request) (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return id, err
	}
	raw, err := json.Marshal(r.Content)
	if err != nil {
		return id, err
	}
	sealed, err := tx.Seal(string(raw), store.ContentPlace(id))
	if err != nil {
		return id, err
	}
	if r.Policy == "" {
		w, err := tx.OneWorkspace(ctx, r.Workspace)
		if err != nil {
			return id, err
		}
		r.Policy = sending.Policy(w.UnknownPolicy)
	}
	hash := r.Content.Hash()
	n, err := tx.InsertIntent(ctx, db.InsertIntentParams{
		WorkspaceID: r.Workspace, ID: id, LeadID: r.Lead, Channel: string(r.Channel), RequestID: r.RequestID, ContentEnc: sealed,
		SubjectHash: hash.Subject, BodyHash: hash.Body, HtmlHash: hash.HTML, Policy: string(r.Policy), RepliedSince: r.RepliedSince,
		ExpireTime: r.Expire, Replaces: r.replaces, Purpose: string(cmp.Or(r.Purpose, legal.FollowUp)),
		Provider: string(r.via), ReplyTo: r.ReplyTo, Now: tx.Now,
	})
	if err != nil || n == 0 {
		return id, err
	}
	err = tx.Own(ctx, store.Entry{
		Workspace: r.Workspace, Lead: r.Lead, Channel: r.Channel, Subject: r.Content.Subject, Body: r.Content.Body,
	}, id)
	// The caller goes on at once. When it cannot, the sweep of due sends does: a job for each send would cost as much as the
	// send itself, and would come later than the sweep.
	return id, err
}

func compare(row db.SendIntent, r Request) error {
	var fields []string
	if row.LeadID != r.Lead {
		fields = append(fields, "lead")
	}
	if row.Channel != string(r.Channel) {
		fields = append(fields, "channel")
	}
	if r.ReplyTo != nil && (row.ReplyTo == nil || *row.ReplyTo != *r.ReplyTo) {
		fields = append(fields, "reply_to")
	}
	stored := sending.Hashes{Subject: row.SubjectHash, Body: row.BodyHash, HTML: row.HtmlHash}
	if fields = append(fields, stored.Differ(r.Content.Hash())...); len(fields) > 0 {
		return &sending.ReusedError{Fields: fields}
	}
	return nil
}

func previous(workspace, message uuid.UUID) *sending.Refusal {
	return &sending.Refusal{Reason: sending.PreviousSendUnresolved, Meta: map[string]string{
		"message": "workspaces/" + workspace.String() + "/messages/" + message.String(),
	}}
}

func deref(o *Outcome) Outcome {
	if o == nil {
		return Outcome{}
	}
	return *o
}

// outcomeOf tells where a stored send stands.
func outcomeOf(row db.SendIntent, now time.Time) Outcome {
	out := Outcome{Message: row.ID, State: sending.State(row.State)}
	if row.Reason == "" {
		return out
	}
	out.Refusal = &sending.Refusal{Reason: sending.Reason(row.Reason), Meta: map[string]string{}}
	_ = json.Unmarshal(row.ReasonMeta, &out.Refusal.Meta) // our own column; without it the reason still stands
	if out.State.Claimable() {
		out.RetryAfter = max(row.NextTime.Sub(now), 0)
	}
	return out
}
