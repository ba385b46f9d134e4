package linker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// batch is how many links one tick takes, perWorkspace how many of them may be one workspace's.
const batch, perWorkspace = 100, 10

// Tick expires the leases of callers that are gone, and goes on with every link that is due. It tells how many it took.
func (l *Linker) Tick(ctx context.Context) (int, error) {
	var due []db.ClaimDueLinksRow
	var open []db.CountLinksRow
	err := l.Store.System(ctx, func(tx *store.Tx) error {
		gone, err := tx.ExpireLinkLeases(ctx, db.ExpireLinkLeasesParams{Now: tx.Now, Sources: linking.Sources(linking.Unknown, linking.K8)})
		if err != nil {
			return err
		}
		for _, g := range gone {
			l.Logger.WarnContext(ctx, "outcome of a contact's creation unknown: its lease ran out", "link", g.ID.String())
			err := tx.RecordLinkStep(ctx, db.RecordLinkStepParams{
				WorkspaceID: g.WorkspaceID, LinkID: g.ID, Attempt: g.Attempt, Kind: kindLease, Rule: string(linking.K8),
			})
			if err != nil {
				return err
			}
		}
		if open, err = tx.CountLinks(ctx); err != nil {
			return err
		}
		if err = l.Assumed.Load(ctx, tx); err != nil {
			return err
		}
		due, err = tx.ClaimDueLinks(ctx, db.ClaimDueLinksParams{PerWorkspace: perWorkspace, Page: batch, LeaseSeconds: l.lease().Seconds()})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("claim links: %w", err)
	}
	l.metrics.standing(ctx, open)
	var failed error
	for _, row := range due {
		if ctx.Err() != nil {
			break // what is left is taken again when its lease ends
		}
		failed = errors.Join(failed, l.work(ctx, row.ContactLink, row.AgeSeconds))
	}
	return len(due), failed
}

// One goes on with one link if it is due, and does nothing otherwise.
func (l *Linker) One(ctx context.Context, workspace, id uuid.UUID) error {
	var due db.ClaimDueLinkRow
	err := l.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		if err = l.Assumed.Load(ctx, tx); err != nil {
			return err
		}
		due, err = tx.ClaimDueLink(ctx, db.ClaimDueLinkParams{LeaseSeconds: l.lease().Seconds(), WorkspaceID: workspace, ID: id})
		return err
	})
	if postgres.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("claim link: %w", err)
	}
	return l.work(ctx, due.ContactLink, due.AgeSeconds)
}

func (l *Linker) work(ctx context.Context, row db.ContactLink, age float64) (err error) {
	if linking.State(row.State) == linking.Unknown {
		err = l.look(ctx, row, time.Duration(age*float64(time.Second)))
	} else {
		_, err = l.advance(ctx, row, budget.Automated)
	}
	if err != nil {
		return fmt.Errorf("link %s: %w", row.ID, err)
	}
	return nil
}

// look reads the provider once for a creation of which nobody can tell, and settles it where that tells. It looks for whom the
// creation named, whatever the lead is called by now.
func (l *Linker) look(ctx context.Context, row db.ContactLink, age time.Duration) error {
	crashpoint.At(crashpoint.C11)
	t, later, err := l.open(ctx, row)
	if err != nil {
		return err
	}
	t.person = linking.Person{Email: row.Email, Phone: row.Phone}
	if later != nil {
		_, err = l.postpone(ctx, t, *later)
		return err
	}
	if has := store.Deref(t.who.GhlContactID); has != "" {
		// A webhook told of the contact first.
		_, err = l.commit(ctx, t, move{to: linking.Linked, rule: linking.K3, contact: has, how: linking.Known, kind: kindLook, code: "known"})
		return err
	}
	f, err := l.search(ctx, t.account, t.person)
	if err != nil {
		if later, err = l.unread(ctx, t.account, err); err != nil {
			return err
		}
	}
	d := linking.Settle(l.Assumed.Timing(string(provider.GHL)), linking.Open{
		Age: age, Looks: int(row.Looks), Calls: int(row.Attempt), Refused: row.Reason != "",
	}, linking.Sighting{Complete: later == nil, Contacts: f.ids})
	if d.Rule == "" {
		return l.again(ctx, row, d, later)
	}
	crashpoint.At(crashpoint.C12)
	_, err = l.commit(ctx, t, l.settled(row, d, f))
	return err
}

// settled is the move that a look leads to.
func (l *Linker) settled(row db.ContactLink, d linking.Settlement, f find) move {
	m, seen := f.move()
	if !seen {
		m = move{to: d.To, rule: d.Rule, code: "absent"}
	}
	m.kind, m.complete = kindLook, 1
	switch {
	case d.Rule == linking.K9:
		m.wait = l.Timing.Turn()
	case d.Rule == linking.K10 && row.Reason != "":
		m.refusal = once.Refusal(row.Reason, row.ReasonMeta)
	case d.Rule == linking.K10:
		m.refusal = &sending.Refusal{Reason: linking.Absent}
	}
	return m
}

// again puts the next look off.
func (l *Linker) again(ctx context.Context, row db.ContactLink, d linking.Settlement, later *once.Later) error {
	var complete int32 = 1
	if later != nil {
		complete, d.Wait = 0, max(d.Wait, later.Wait)
	}
	err := l.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		return tx.DeferLink(ctx, db.DeferLinkParams{
			Complete: complete, ReasonMeta: []byte("{}"), WaitSeconds: d.Wait.Seconds(), WorkspaceID: row.WorkspaceID, ID: row.ID, Attempt: row.Attempt,
		})
	})
	if err != nil {
		return fmt.Errorf("put off look: %w", err)
	}
	return nil
}
