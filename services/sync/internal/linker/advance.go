package linker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

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

// turn is one piece of work on a link: what it needs, read before any claim so that no lease is spent on it.
type turn struct {
	row     db.ContactLink
	account ghl.Account
	who     db.Lead
	// person is whom is looked for: the lead, or whom the unknown creation made.
	person linking.Person
	class  budget.Class
}

// advance goes on with a planned link. Any other is answered as it stands.
func (l *Linker) advance(ctx context.Context, row db.ContactLink, class budget.Class) (Outcome, error) {
	if linking.State(row.State) != linking.Planned || l.Stopped() {
		return outcomeOf(row), nil
	}
	t, later, err := l.open(ctx, row)
	t.class = class
	if err != nil {
		return Outcome{}, err
	}
	if later != nil {
		return l.postpone(ctx, t, *later)
	}
	t.person = personOf(t.who)
	if has := store.Deref(t.who.GhlContactID); has != "" {
		return l.commit(ctx, t, move{to: linking.Linked, rule: linking.K3, contact: has, how: linking.Known, kind: kindSearch, code: "known"})
	}
	if refusal := whoRefusal(t.who); refusal != nil {
		return l.commit(ctx, t, move{to: linking.Refused, rule: linking.K5, refusal: refusal, kind: kindSearch, code: "not_asked"})
	}
	if row.Wanted != "" {
		return l.take(ctx, t)
	}
	f, err := l.search(ctx, t.account, t.person)
	if err != nil {
		return l.unsearched(ctx, t, err)
	}
	if m, settled := f.move(); settled {
		m.kind = kindSearch
		return l.commit(ctx, t, m)
	}
	return l.create(ctx, t)
}

// move is what a search that found somebody leads to.
func (f find) move() (move, bool) {
	switch len(f.ids) {
	case 0:
		return move{}, false
	case 1:
		truth := f.byID[f.ids[0]]
		return move{to: linking.Linked, rule: linking.K3, contact: f.ids[0], how: linking.Found, truth: &truth, code: "found"}, true
	default:
		return move{to: linking.Conflict, rule: linking.K4, refusal: conflict(map[string]string{"contacts": joined(f.ids)}), code: "found_several"}, true
	}
}

func (l *Linker) unsearched(ctx context.Context, t turn, err error) (Outcome, error) {
	later, err := l.unread(ctx, t.account, err)
	if err != nil {
		return Outcome{}, err
	}
	return l.postpone(ctx, t, *later)
}

// take links the contact that a person named, once the provider says that it is the lead's.
func (l *Linker) take(ctx context.Context, t turn) (Outcome, error) {
	contact, err := l.contact(ctx, t.account, t.row.Wanted)
	var failed *provider.ReadError
	if errors.As(err, &failed) && failed.Status == http.StatusForbidden {
		// A contact of elsewhere is forbidden to us. That says nothing about the connection.
		return l.commit(ctx, t, move{to: linking.Conflict, rule: linking.K4, refusal: notTheirs(t.row.Wanted), kind: kindSearch, code: "forbidden"})
	}
	if err != nil {
		return l.unsearched(ctx, t, err)
	}
	m := move{to: linking.Linked, rule: linking.K3, contact: t.row.Wanted, how: linking.Chosen, truth: contact, kind: kindSearch, code: "chosen"}
	switch {
	case contact == nil:
		m = move{to: linking.Refused, rule: linking.K5, refusal: &sending.Refusal{Reason: sending.ContactNotFound}, kind: kindSearch, code: "not_there"}
	case !t.person.Is(known(*contact), t.account.Location):
		m = move{to: linking.Conflict, rule: linking.K4, refusal: notTheirs(t.row.Wanted), kind: kindSearch, code: "not_theirs"}
	}
	return l.commit(ctx, t, m)
}

// notTheirs says that a contact has neither the lead's email nor its phone, or is of another location.
func notTheirs(contact string) *sending.Refusal {
	return conflict(map[string]string{"contacts": contact, "cause": "not_the_lead"})
}

// open gives what work on a link needs.
func (l *Linker) open(ctx context.Context, row db.ContactLink) (turn, *once.Later, error) {
	t := turn{row: row}
	var later *once.Later
	var err error
	t.account, t.who, later, err = l.Open(ctx, subject(row))
	return t, later, err
}

// create claims the link and makes its call. A contact of the lead waits at most for its budget.
func (l *Linker) create(ctx context.Context, t turn) (Outcome, error) {
	permit, later, err := l.Permit(ctx, t.account.Budget(), t.class)
	if err != nil {
		return Outcome{}, err
	}
	if later != nil {
		return l.postpone(ctx, t, *later)
	}
	began := l.Begin()
	out, claimed, err := l.claim(ctx, &t)
	if err != nil || !claimed {
		permit.Release()
		return out, err
	}
	crashpoint.At(crashpoint.C4)
	if !permit.Use() {
		spent := once.Spent()
		return l.conclude(ctx, t, called{verdict: linking.Verdict{Class: linking.NotNow, Refusal: spent.Refusal, Wait: spent.Wait, Code: "not_written"}})
	}
	if !l.MayCall(began) {
		// The lease runs out, and the contact is looked for.
		l.Logger.WarnContext(ctx, "link stopped before its call", "link", t.row.ID.String())
		return l.read(ctx, t.row)
	}
	crashpoint.At(crashpoint.C5)
	facts := store.FactsOf(t.who)
	facts.Email, facts.Phone = t.person.Email, t.person.Phone
	result := l.client.CreateContact(ctx, t.account, facts)
	crashpoint.At(crashpoint.C8)
	c := called{verdict: linking.Judge(result.Evidence, t.account.Location), status: result.Evidence.Status, latency: result.Latency}
	out, err = l.conclude(context.WithoutCancel(ctx), t, c)
	crashpoint.At(crashpoint.C10)
	return out, err
}

// claim is K1, or K3 where the lead was given its contact meanwhile. Only an acknowledged commit lets the call be made, and only
// for the person that was searched for.
func (l *Linker) claim(ctx context.Context, t *turn) (out Outcome, claimed bool, err error) {
	row := t.row
	err = l.Claim(ctx, subject(row), func(tx *store.Tx, who db.Lead) error {
		claimed = false
		now, err := tx.LockLink(ctx, db.LockLinkParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
		if err != nil {
			return err
		}
		if linking.State(now.State) != linking.Planned || now.Attempt != row.Attempt {
			out = outcomeOf(now)
			return nil
		}
		if who.GhlContactID != nil {
			out, _, err = l.move(ctx, tx, *t, move{to: linking.Linked, rule: linking.K3, contact: *who.GhlContactID, how: linking.Known, kind: kindSearch, code: "known"})
			return err
		}
		if personOf(who) != t.person || who.Blocked {
			out = outcomeOf(now) // somebody else now: the next turn searches anew
			return nil
		}
		t.row, err = tx.ClaimLink(ctx, db.ClaimLinkParams{
			Email: t.person.Email, Phone: t.person.Phone, LeaseSeconds: l.Timing.Lease().Seconds(), Now: tx.Now,
			WorkspaceID: row.WorkspaceID, ID: row.ID, Attempt: row.Attempt, Sources: linking.Sources(linking.Calling, linking.K1),
		})
		claimed = err == nil
		crashpoint.At(crashpoint.C2)
		return err
	})
	return out, claimed, err
}

// postpone leaves the link where it is, until later; what a person has to mend is looked at again after a settle time.
func (l *Linker) postpone(ctx context.Context, t turn, later once.Later) (Outcome, error) {
	reason, meta, err := once.Stored(&later.Refusal)
	if err != nil {
		return Outcome{}, err
	}
	err = l.Store.Workspace(ctx, t.row.WorkspaceID, func(tx *store.Tx) error {
		return tx.DeferLink(ctx, db.DeferLinkParams{
			Reason: reason, ReasonMeta: meta, WaitSeconds: cmp.Or(later.Wait, l.Timing.Settle).Seconds(), WorkspaceID: t.row.WorkspaceID, ID: t.row.ID, Attempt: t.row.Attempt,
		})
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("put off link: %w", err)
	}
	return l.read(ctx, t.row)
}
