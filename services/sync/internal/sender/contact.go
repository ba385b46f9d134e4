package sender

import (
	"context"
	"fmt"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// withoutContact tells the gate what becomes of a lead that has no contact: where the workspace wants that, one is asked for. What a
// link of the same lead came to is not asked for again, nor a contact that the provider had and does not have any more.
func withoutContact(ctx context.Context, tx *store.Tx, on subject, facts *sending.Facts) error {
	who := on.who
	if facts.ContactID != "" || on.row.Provider != string(provider.GHL) || !on.set.workspace.CreateContacts {
		return nil
	}
	link, err := tx.NewestLink(ctx, db.NewestLinkParams{WorkspaceID: who.WorkspaceID, LeadID: who.ID})
	none := postgres.IsNoRows(err)
	if err != nil && !none {
		return fmt.Errorf("read link of contact: %w", err)
	}
	had, err := tx.HadContact(ctx, db.HadContactParams{WorkspaceID: who.WorkspaceID, LeadID: who.ID})
	if err != nil {
		return fmt.Errorf("read former contact: %w", err)
	}
	state := linking.State(link.State)
	switch {
	case !none && state.Live():
		facts.ContactComing = true
	case had || state == linking.Linked:
		facts.ContactCause = map[string]string{"cause": "contact_gone"}
	case none || link.Wanted != "" || link.Email != store.Deref(who.Email) || link.Phone != store.Deref(who.Phone):
		facts.ContactComing = true
	default:
		facts.ContactCause = map[string]string{"cause": link.Reason, "contact_link": "workspaces/" + who.WorkspaceID.String() + "/contactLinks/" + link.ID.String()}
	}
	return nil
}

// askForContact plans the lead's link unless it has one under way, which is seen without a lock: who waits must not hold up who works on
// it. Otherwise the lead is locked and looked at again: a link that ended since the gate was asked is not asked for anew, and its end is
// told to who waits.
func askForContact(ctx context.Context, tx *store.Tx, on subject) error {
	_, err := tx.LiveLink(ctx, db.LiveLinkParams{WorkspaceID: on.who.WorkspaceID, LeadID: on.who.ID})
	if err == nil {
		return nil
	}
	if !postgres.IsNoRows(err) {
		return fmt.Errorf("read live link: %w", err)
	}
	who, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: on.who.WorkspaceID, ID: on.who.ID})
	if err != nil {
		return fmt.Errorf("lock lead: %w", err)
	}
	on.who = who
	now := sending.Facts{ContactID: store.Deref(who.GhlContactID)}
	if err := withoutContact(ctx, tx, on, &now); err != nil || !now.ContactComing {
		return err
	}
	_, err = tx.PlanLink(ctx, store.LinkPlan{Workspace: who.WorkspaceID, Lead: who.ID})
	return err
}
