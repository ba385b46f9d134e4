package reconcile

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/match"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Evidence is what a webhook says about an outbound message.
type Evidence struct {
	Workspace, Lead uuid.UUID
	Channel         sending.Channel
	// ProviderID is the provider's id of the message; without one there is no evidence.
	ProviderID, ConversationID string
	// Text is the text of an SMS or the HTML of an email, as far as the webhook carries it.
	Text string
	// Source is who made the message, as the provider says: api, app, workflow, or nothing.
	Source string
	// Status is the provider's delivery status, possibly empty.
	Status string
	// At is the provider's time of the message.
	At time.Time
}

// Observe takes evidence of an outbound message: it settles the send whose message this is (T11, T16), raises its delivery
// (T15), or makes the next look come at once. It runs in the caller's transaction, which holds the lead's lock, before the
// message is recorded. It reports whether the message is a send of ours.
func (r *Reconciler) Observe(ctx context.Context, tx *store.Tx, e Evidence) (bool, error) {
	if e.ProviderID == "" {
		return false, nil
	}
	row, err := tx.IntentByProvider(ctx, db.IntentByProviderParams{WorkspaceID: e.Workspace, ProviderMessageID: e.ProviderID})
	if err == nil {
		return true, r.delivered(ctx, tx, row, e.Status)
	}
	if !postgres.IsNoRows(err) {
		return false, fmt.Errorf("take evidence: %w", err)
	}
	if !fromAPI(e.Source) {
		return false, nil
	}
	open, err := tx.OpenIntents(ctx, db.OpenIntentsParams{WorkspaceID: e.Workspace, LeadID: e.Lead, Channel: string(e.Channel)})
	if err != nil {
		return false, fmt.Errorf("take evidence: %w", err)
	}
	for _, row := range open {
		is, err := r.isThis(row, e)
		if err != nil {
			return false, err
		}
		if is {
			return true, r.settleBy(ctx, tx, row, e)
		}
	}
	return false, hasten(ctx, tx, open)
}

// isThis tells whether the evidence is the message of an open send: made after its claim, with its words.
func (r *Reconciler) isThis(row db.SendIntent, e Evidence) (bool, error) {
	from, _ := r.window(row)
	if !e.At.IsZero() && e.At.Before(from) {
		return false, nil
	}
	content, err := r.Store.Content(row)
	if err != nil {
		return false, err
	}
	if e.Channel == sending.Email {
		return strings.Contains(e.Text, "rl-"+row.ID.String()), nil
	}
	return match.Compare(content.Body, e.Text).Matches(), nil
}

func (r *Reconciler) settleBy(ctx context.Context, tx *store.Tx, row db.SendIntent, e Evidence) error {
	age, err := tx.IntentAge(ctx, db.IntentAgeParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
	if err != nil {
		return fmt.Errorf("take evidence: %w", err)
	}
	rule := sending.T11
	if sending.State(row.State) == sending.Retryable {
		rule = sending.T16
	}
	found := sending.Found{ID: e.ProviderID, ConversationID: e.ConversationID, Status: e.Status, At: e.At}
	o := outcome{
		row: row, age: time.Duration(age * float64(time.Second)), source: "webhook",
		seen:       sending.Sighting{Matches: []sending.Found{found}, Listed: 1},
		settlement: sending.Settlement{Rule: rule, To: sending.Accepted, Found: found},
	}
	moved, err := r.applyIn(ctx, tx, o)
	if err != nil || !moved {
		return err
	}
	r.announce(ctx, o)
	row.State = string(sending.Accepted)
	return r.delivered(ctx, tx, row, e.Status)
}

// delivered is T15: ranks only rise, and nothing is ever sent again for it.
func (r *Reconciler) delivered(ctx context.Context, tx *store.Tx, row db.SendIntent, status string) error {
	report, ok := sending.Raise(sending.State(row.State), row.Delivery, status)
	if !ok {
		return nil
	}
	p := db.ReportDeliveryParams{Delivery: report.Status, Now: tx.Now, WorkspaceID: row.WorkspaceID, ID: row.ID}
	if report.To != "" {
		p.State = (*string)(&report.To)
	}
	if _, err := tx.ReportDelivery(ctx, p); err != nil {
		return fmt.Errorf("report delivery: %w", err)
	}
	if report.To != "" {
		r.metrics.moved(ctx, string(sending.T15))
	}
	return nil
}

// hasten brings the next look forward: something of ours may have arrived that the webhook did not show well enough.
func hasten(ctx context.Context, tx *store.Tx, open []db.SendIntent) error {
	for _, row := range open {
		if sending.State(row.State) != sending.Unknown {
			continue
		}
		if err := tx.HastenLook(ctx, db.HastenLookParams{WorkspaceID: row.WorkspaceID, ID: row.ID}); err != nil {
			return fmt.Errorf("hasten look: %w", err)
		}
	}
	return nil
}
