package linker

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/contact"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Kinds of steps.
const (
	kindSearch = "search"
	kindCall   = "call"
	kindLook   = "look"
	kindLease  = "lease"
)

// called is what is known after the call of a claim.
type called struct {
	verdict linking.Verdict
	status  int
	latency time.Duration
}

// move is one transition about to be stored.
type move struct {
	to   linking.State
	rule linking.Rule
	// refusal is why; nil for none.
	refusal *sending.Refusal
	contact string
	how     linking.How
	// truth is the contact as read, nil when it was not.
	truth *ghl.Contact
	// kind, code, status and latency are kept as a step.
	kind, code string
	status     int
	latency    time.Duration
	// complete counts looks; wait is the time to the next turn of PLANNED and UNKNOWN.
	complete int32
	wait     time.Duration
	// suspend says that the connection cannot be used any more.
	suspend bool
}

// conclude stores what the call led to.
func (l *Linker) conclude(ctx context.Context, t turn, c called) (Outcome, error) {
	m := move{kind: kindCall, code: c.verdict.Code, status: c.status, latency: c.latency}
	if c.verdict.Refusal.Reason != "" {
		m.refusal = &c.verdict.Refusal
	}
	switch c.verdict.Class {
	case linking.Made:
		m.to, m.rule, m.contact, m.how = linking.Linked, linking.K2, c.verdict.Contact, linking.Created
	case linking.Duplicate:
		m = l.named(ctx, t, m, c.verdict.Contact)
	case linking.No:
		m = l.refused(ctx, t, m)
	case linking.NotNow:
		m.to, m.rule, m.suspend, m.wait = linking.Planned, linking.K6, c.verdict.Suspended, max(c.verdict.Wait, l.Timing.Turn())
	default:
		m = l.unknown(m)
	}
	out, err := l.commit(ctx, t, m)
	if err == nil && linking.State(out.Row.State) == linking.Unknown {
		// Most lost answers show at once: the caller need not wait for the job.
		return l.lookNow(ctx, t, out)
	}
	return out, err
}

// unknown waits for what the provider's lists show; a refusal stands should that be nothing.
func (l *Linker) unknown(m move) move {
	m.to, m.rule, m.wait = linking.Unknown, linking.K7, l.Timing.Looks()[0]
	return m
}

// named reads the contact that the provider calls a duplicate. It made none, whoever that contact is.
func (l *Linker) named(ctx context.Context, t turn, m move, id string) move {
	truth, err := l.contact(ctx, t.account, id)
	switch {
	case err != nil || truth == nil:
		m.refusal = conflict(map[string]string{"contacts": id, "cause": "unread"})
		return l.unknown(m)
	case t.person.Is(known(*truth), t.account.Location):
		m.to, m.rule, m.contact, m.how, m.truth = linking.Linked, linking.K2, id, linking.Found, truth
	default:
		m.to, m.rule, m.refusal = linking.Conflict, linking.K4, notTheirs(id)
	}
	return m
}

// refused looks once before a refusal is believed.
func (l *Linker) refused(ctx context.Context, t turn, m move) move {
	f, err := l.search(ctx, t.account, t.person)
	if err != nil {
		return l.unknown(m)
	}
	seen, settled := f.move()
	if !settled {
		m.to, m.rule = linking.Refused, linking.K5
		return m
	}
	m.to, m.rule, m.refusal, m.contact, m.how, m.truth = seen.to, seen.rule, seen.refusal, seen.contact, seen.how, seen.truth
	if m.to == linking.Linked {
		m.rule = linking.K2
	}
	return m
}

// lookNow is the look that the caller waits for. Whatever fails in it leaves the link to the job.
func (l *Linker) lookNow(ctx context.Context, t turn, out Outcome) (Outcome, error) {
	f, err := l.search(ctx, t.account, t.person)
	if err != nil {
		l.Logger.InfoContext(ctx, "contact not read back at once; a job will", "link", t.row.ID.String(), "error", err)
		return out, nil
	}
	m, settled := f.move()
	if !settled {
		return out, nil
	}
	m.kind, m.complete = kindLook, 1
	return l.commit(ctx, t, m)
}

// commit stores a move.
func (l *Linker) commit(ctx context.Context, t turn, m move) (out Outcome, err error) {
	var moved bool
	err = l.Commit(ctx, subject(t.row), func(tx *store.Tx) (err error) {
		out, moved, err = l.move(ctx, tx, t, m)
		return err
	})
	if err != nil {
		return out, err
	}
	if moved {
		l.metrics.moved(ctx, out.Row)
	}
	return out, nil
}

// move stores a transition and what it changes, and reports whether there was one. The caller holds the lead. When the fence is gone,
// or an earlier try had succeeded, what is stored stands.
func (l *Linker) move(ctx context.Context, tx *store.Tx, t turn, m move) (Outcome, bool, error) {
	row, err := tx.LockLink(ctx, db.LockLinkParams{WorkspaceID: t.row.WorkspaceID, ID: t.row.ID})
	if err != nil {
		return Outcome{}, false, err
	}
	if row.Attempt != t.row.Attempt || !linking.CanMove(linking.State(row.State), m.to) {
		return outcomeOf(row), false, nil
	}
	if m.to == linking.Linked {
		if m, err = l.link(ctx, tx, t, m); err != nil {
			return Outcome{}, false, err
		}
	}
	reason, meta, err := once.Stored(m.refusal)
	if err != nil {
		return Outcome{}, false, err
	}
	n, err := tx.MoveLink(ctx, db.MoveLinkParams{
		State: string(m.to), Reason: reason, ReasonMeta: meta, Contact: m.contact, How: string(m.how), Email: t.person.Email, Phone: t.person.Phone,
		Complete: m.complete, WaitSeconds: m.wait.Seconds(), Now: tx.Now, WorkspaceID: row.WorkspaceID, ID: row.ID, Attempt: row.Attempt,
		Sources: linking.Sources(m.to, m.rule),
	})
	if err == nil && n > 0 {
		err = l.effects(ctx, tx, t, m)
	}
	if err != nil {
		return Outcome{}, false, err
	}
	row, err = tx.OneLink(ctx, db.OneLinkParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
	return outcomeOf(row), n > 0, err
}

// link makes the contact the lead's and takes over what the provider says of it: its do-not-disturb has to be known before the first
// message. The move becomes a conflict where the contact is another lead's, and names the contact that the lead has, where that is
// another one.
func (l *Linker) link(ctx context.Context, tx *store.Tx, t turn, m move) (move, error) {
	of := store.ContactOf{Workspace: t.row.WorkspaceID, Lead: t.row.LeadID, Contact: m.contact}
	if m.truth != nil {
		of.Value, of.Key = t.person.Shared(known(*m.truth))
	}
	has, holder, err := tx.SetContact(ctx, of)
	if err != nil {
		return m, err
	}
	if holder != uuid.Nil {
		m.to, m.rule, m.contact, m.how, m.code = linking.Conflict, linking.K4, "", "", "held"
		m.refusal = conflict(map[string]string{"contacts": of.Contact, "cause": "held", "holder": leadName(t.row.WorkspaceID, holder)})
		return m, nil
	}
	m.refusal = nil
	if has != m.contact {
		l.Logger.WarnContext(ctx, "the lead was given another contact meanwhile", "link", t.row.ID.String(), "kept", has, "left", m.contact)
		m.contact, m.how, m.truth = has, linking.Known, nil
	}
	who := contact.Who{Workspace: t.row.WorkspaceID, Lead: t.row.LeadID}
	if m.truth != nil {
		if err := contact.Take(ctx, tx, who, contact.Of(*m.truth, tx.Now)); err != nil {
			return m, err
		}
	}
	return m, contact.FirstContact(ctx, tx, who)
}

// effects are the step that is kept, the event of a link's end, and what a refused token changes.
func (l *Linker) effects(ctx context.Context, tx *store.Tx, t turn, m move) error {
	err := tx.RecordLinkStep(ctx, db.RecordLinkStepParams{
		WorkspaceID: t.row.WorkspaceID, LinkID: t.row.ID, Attempt: t.row.Attempt, Kind: m.kind, Rule: string(m.rule), Code: m.code,
		HttpStatus: int32(m.status), LatencyMs: m.latency.Milliseconds(),
	})
	if err != nil {
		return err
	}
	if m.to == linking.Refused || m.to == linking.Conflict {
		l.Logger.InfoContext(ctx, "a lead was not linked to a contact", "link", Name(t.row.WorkspaceID, t.row.ID), "reason", string(m.refusal.Reason))
	}
	if !m.to.Live() {
		// Who waits for the contact asks once more: it is there, whoever linked it, or they learn why there is none.
		return tx.Publish(ctx, store.Event{Type: store.EventUpdated, Workspace: t.row.WorkspaceID, Lead: t.row.LeadID, At: tx.Now})
	}
	if !m.suspend {
		return nil
	}
	return tx.Suspend(ctx, t.account, m.refusal.Reason)
}

func leadName(workspace, lead uuid.UUID) string {
	return "workspaces/" + workspace.String() + "/leads/" + lead.String()
}

func joined(ids []string) string { return strings.Join(ids, ",") }
