package sender

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/legal"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Check asks whether a message could leave.
type Check struct {
	Lead    uuid.UUID
	Channel sending.Channel
	Purpose legal.Purpose
	// At is when it would leave; the past is taken as now.
	At time.Time
}

// Checks are asked in one moment, about one workspace.
type Checks struct {
	Workspace uuid.UUID
	Checks    []Check
	// Accumulate counts what is allowed or put off as sent at its time, for the checks after it.
	Accumulate bool
	// AssumeReady leaves out whether the workspace can send at all.
	AssumeReady bool
}

// Answer is what the gate says to a check: a decision without refusal allows.
type Answer struct {
	Decision sending.Decision
	// Until is when a message that waits may leave.
	Until time.Time
}

// NoLeadError names a lead that does not exist.
type NoLeadError struct{ Lead uuid.UUID }

// Error says so, without the name.
func (*NoLeadError) Error() string { return sending.ErrNoLead.Error() }

// Unwrap is sending.ErrNoLead.
func (*NoLeadError) Unwrap() error { return sending.ErrNoLead }

// Check answers with the gate of the claim, on the facts of one moment, and writes nothing. Errors: NoLeadError, that of a
// workspace without rows, database errors.
func (s *Sender) Check(ctx context.Context, in Checks) ([]Answer, error) {
	var out []Answer
	err := s.Store.Read(ctx, in.Workspace, func(tx *store.Tx) error {
		p := &previewer{sender: s, tx: tx, in: in, facts: map[threadKey]sending.Facts{}, set: map[provider.Kind]setup{}, who: map[uuid.UUID]db.Lead{}}
		out = make([]Answer, 0, len(in.Checks))
		if err := p.load(ctx); err != nil {
			return err
		}
		for _, c := range in.Checks {
			a, err := p.answer(ctx, c)
			if err != nil {
				return err
			}
			out = append(out, a)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("check sends: %w", err)
	}
	return out, nil
}

type threadKey struct {
	lead    uuid.UUID
	channel sending.Channel
}

// previewer keeps what was read of each lead and channel, which is the same for every check of a moment.
type previewer struct {
	sender *Sender
	tx     *store.Tx
	in     Checks
	set    map[provider.Kind]setup
	who    map[uuid.UUID]db.Lead
	facts  map[threadKey]sending.Facts
}

func (p *previewer) load(ctx context.Context) (err error) {
	ids := make([]uuid.UUID, len(p.in.Checks))
	for i, c := range p.in.Checks {
		ids[i] = c.Lead
	}
	rows, err := p.tx.BatchLeads(ctx, db.BatchLeadsParams{WorkspaceID: p.in.Workspace, Ids: ids})
	for _, r := range rows {
		p.who[r.ID] = r
	}
	return err
}

func (p *previewer) answer(ctx context.Context, c Check) (Answer, error) {
	f, err := p.of(ctx, threadKey{c.Lead, c.Channel})
	if err != nil {
		return Answer{}, err
	}
	if c.At.Before(p.tx.Now) {
		c.At = p.tx.Now
	}
	f.Now, f.Legal.Now, f.Legal.Purpose = c.At, c.At, c.Purpose
	a := Answer{Decision: sending.Setup(f)} // first, as SendMessage does with what is new
	if a.Decision.Refusal == nil {
		a.Decision = sending.Gate(f)
	}
	if a.Decision.Refusal != nil && a.Decision.To != "" {
		return a, nil
	}
	a.Until = c.At.Add(a.Decision.Retry)
	if p.in.Accumulate {
		f.Legal.Sent = append(f.Legal.Sent, a.Until)
		p.facts[threadKey{c.Lead, c.Channel}] = f
	}
	return a, nil
}

// setup reads the workspace's side of a provider once.
func (p *previewer) setup(ctx context.Context, via provider.Kind) (setup, error) {
	if set, known := p.set[via]; known {
		return set, nil
	}
	set, err := readSetup(ctx, p.tx, p.in.Workspace, via)
	if err != nil {
		return setup{}, err
	}
	if p.in.AssumeReady {
		set.state, set.disabled = sending.Connected, false
	}
	p.set[via] = set
	return set, nil
}

// of reads the facts of a lead and channel once. There is always something to say: the words are not looked at.
func (p *previewer) of(ctx context.Context, key threadKey) (sending.Facts, error) {
	if f, known := p.facts[key]; known {
		return f, nil
	}
	who, ok := p.who[key.lead]
	if !ok {
		return sending.Facts{}, &NoLeadError{key.lead}
	}
	r := Request{Workspace: p.in.Workspace, Lead: key.lead, Channel: key.channel}
	if _, err := route(ctx, p.tx, who, &r); err != nil {
		return sending.Facts{}, err
	}
	set, err := p.setup(ctx, r.via)
	if err != nil {
		return sending.Facts{}, err
	}
	row := db.SendIntent{
		WorkspaceID: r.Workspace, LeadID: r.Lead, Channel: string(r.Channel), Provider: string(r.via), ReplyTo: r.ReplyTo,
	}
	f, err := p.sender.gateFacts(ctx, p.tx, subject{row, who, set})
	if err != nil {
		return f, err
	}
	f.Content = sending.Content{Subject: "-", Body: "-", HTML: "-"}
	p.facts[key] = f
	return f, nil
}
