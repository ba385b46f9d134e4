// Package linker gives leads their contact at GoHighLevel by the rules of package linking: plan, search, claim, one call, outcome,
// in that order of commits. Nothing else in the service makes a contact; no read does.
package linker

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Linker links. It is safe for concurrent use, also by several processes.
type Linker struct {
	once.Frame
	metrics metrics
	client  *ghl.Client
}

// New makes a Linker that asks GoHighLevel by a client.
func New(cfg once.Config, client *ghl.Client) *Linker {
	return &Linker{Frame: once.New(cfg), client: client, metrics: newMetrics()}
}

// Request asks for a lead's contact.
type Request struct {
	Workspace, Lead, RequestID uuid.UUID
	// Contact is the one that a person named, empty to search.
	Contact string
}

// Outcome is where a link stands.
type Outcome struct {
	// Row is the link; its ID is Nil when the lead had its contact before, or nothing was stored.
	Row db.ContactLink
	// Refusal tells why there is no contact and will be none; nil when there is one, or it is worked on.
	Refusal *sending.Refusal
}

// Ensure gives the lead its contact, and answers where that stands. The same request id answers the same link; a lead has one at a
// time, which all who ask meanwhile share. Errors: sending.ErrNoLead, sending.ErrClaimUnknown, sending.ReusedError, database errors.
func (l *Linker) Ensure(ctx context.Context, r Request) (Outcome, error) {
	row, out, mine, err := l.plan(ctx, r)
	if err != nil {
		return Outcome{}, fmt.Errorf("plan link: %w", err)
	}
	if out != nil {
		return *out, nil
	}
	if !mine {
		return outcomeOf(row), nil
	}
	crashpoint.At(crashpoint.C1)
	return l.advance(ctx, row, budget.Interactive)
}

// plan answers what needs no link, and what can be mended without one, before anything is stored. It reports whether the link was
// planned by this very call: nobody else works on it then. Who joins a live link locks nothing, and cannot hold up who works on it.
func (l *Linker) plan(ctx context.Context, r Request) (row db.ContactLink, out *Outcome, mine bool, err error) {
	err = l.Store.Workspace(ctx, r.Workspace, func(tx *store.Tx) error {
		out, mine = nil, false
		row, err = tx.LinkByRequest(ctx, db.LinkByRequestParams{WorkspaceID: r.Workspace, RequestID: r.RequestID})
		if err == nil {
			return compare(row, r)
		}
		if !postgres.IsNoRows(err) {
			return err
		}
		who, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: r.Workspace, ID: r.Lead})
		if postgres.IsNoRows(err) {
			return sending.ErrNoLead
		}
		if err == nil {
			out, err = before(ctx, tx, r, who)
		}
		if err != nil || out != nil {
			return err
		}
		row, err = tx.LiveLink(ctx, db.LiveLinkParams{WorkspaceID: r.Workspace, LeadID: r.Lead})
		if !postgres.IsNoRows(err) {
			return err
		}
		row, out, mine, err = l.begin(ctx, tx, r)
		return err
	})
	return row, out, mine, err
}

// begin plans a link for a lead that had no live one when it was looked at.
func (l *Linker) begin(ctx context.Context, tx *store.Tx, r Request) (row db.ContactLink, out *Outcome, mine bool, err error) {
	// Locked, so that who asks while a link ends sees what it led to.
	who, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: r.Workspace, ID: r.Lead})
	if err != nil {
		return row, nil, false, err
	}
	if out, err = before(ctx, tx, r, who); err != nil || out != nil {
		return row, out, false, err
	}
	row, err = tx.PlanLink(ctx, store.LinkPlan{
		Workspace: r.Workspace, Lead: r.Lead, Request: &r.RequestID, Wanted: r.Contact, Wait: l.Timing.Turn() + l.lease(),
	})
	if err != nil || row.RequestID == nil || *row.RequestID != r.RequestID {
		return row, nil, false, err // another call was first, and the request joins its link
	}
	return row, nil, true, compare(row, r)
}

// before tells why no link has to be stored for a lead as it was read.
func before(ctx context.Context, tx *store.Tx, r Request, who db.Lead) (*Outcome, error) {
	has := store.Deref(who.GhlContactID)
	switch {
	case has != "" && (r.Contact == "" || r.Contact == has):
		return &Outcome{Row: db.ContactLink{WorkspaceID: r.Workspace, LeadID: r.Lead, State: string(linking.Linked), How: string(linking.Known), Contact: has}}, nil
	case has != "":
		return &Outcome{Refusal: conflict(map[string]string{"contacts": has + "," + r.Contact})}, nil
	}
	if refusal := whoRefusal(who); refusal != nil {
		return &Outcome{Refusal: refusal}, nil
	}
	refusal, err := once.Connected(ctx, tx, subject(db.ContactLink{WorkspaceID: r.Workspace}))
	if err != nil || refusal == nil {
		return nil, err
	}
	return &Outcome{Refusal: refusal}, nil
}

// whoRefusal tells why the provider could not be told who the lead is.
func whoRefusal(who db.Lead) *sending.Refusal {
	switch {
	case who.Blocked:
		return &sending.Refusal{Reason: sending.LeadBlocked}
	case !personOf(who).Known():
		return &sending.Refusal{Reason: sending.NoPhone, Meta: map[string]string{"channel": string(sending.SMS)}}
	default:
		return nil
	}
}

func subject(row db.ContactLink) once.Subject {
	return once.Subject{Workspace: row.WorkspaceID, Lead: row.LeadID, Provider: provider.GHL}
}

func personOf(who db.Lead) linking.Person {
	return linking.Person{Email: store.Deref(who.Email), Phone: store.Deref(who.Phone)}
}

func conflict(meta map[string]string) *sending.Refusal {
	return &sending.Refusal{Reason: linking.Ambiguous, Meta: meta}
}

func compare(row db.ContactLink, r Request) error {
	var fields []string
	if row.LeadID != r.Lead {
		fields = append(fields, "lead")
	}
	if row.Wanted != r.Contact {
		fields = append(fields, "contact")
	}
	if len(fields) > 0 {
		return &sending.ReusedError{Fields: fields}
	}
	return nil
}

// Name is the resource name of a link.
func Name(workspace, id uuid.UUID) string {
	return "workspaces/" + workspace.String() + "/contactLinks/" + id.String()
}

// outcomeOf tells where a stored link stands.
func outcomeOf(row db.ContactLink) Outcome {
	out := Outcome{Row: row}
	if s := linking.State(row.State); s != linking.Refused && s != linking.Conflict {
		return out
	}
	out.Refusal = once.Refusal(row.Reason, row.ReasonMeta)
	out.Refusal.Meta["contact_link"] = Name(row.WorkspaceID, row.ID)
	return out
}

func (l *Linker) read(ctx context.Context, row db.ContactLink) (Outcome, error) {
	err := l.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) (err error) {
		row, err = tx.OneLink(ctx, db.OneLinkParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
		return err
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("read link: %w", err)
	}
	return outcomeOf(row), nil
}

// lease is how long one turn of work on a link may take: a few reads and a call.
func (l *Linker) lease() time.Duration { return callsPerTurn * l.Timing.Call }

// callsPerTurn is for how many calls of the longest duration a turn is reserved.
const callsPerTurn = 6
