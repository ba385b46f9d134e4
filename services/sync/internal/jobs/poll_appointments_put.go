package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/provider/calendly"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// compare puts an appointment into the inbox unless it is known as it is, or a newer word of it is.
func (c *comparing) compare(ctx context.Context, stored map[string]db.KnownAppointmentsRow, in webhook.Delivery) error {
	in.Received = c.now
	e, err := webhook.Parse(in)
	if errors.Is(err, webhook.ErrBody) || (err == nil && e.Kind != webhook.Booked) {
		c.passed++ // It names nobody who could be told of.
		return nil
	}
	if err != nil {
		return fmt.Errorf("read found appointment: %w", err)
	}
	known, ok := stored[e.Booking.ID]
	if ok && (sameWord(known, e) || e.Changed.Before(known.ProviderTime)) {
		c.known++
		return nil
	}
	c.found++
	return c.put(ctx, in, e)
}

func sameWord(known db.KnownAppointmentsRow, e webhook.Event) bool {
	return known.Status == string(e.Booking.Status) && known.StartTime != nil && known.StartTime.Equal(e.Booking.Start)
}

func (c *comparing) put(ctx context.Context, in webhook.Delivery, e webhook.Event) error {
	err := c.Store.Workspace(ctx, c.workspace, func(tx *store.Tx) error {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		sealed, err := tx.Seal(string(in.Body), BodyPlace(id))
		if err != nil {
			return err
		}
		n, err := tx.InsertInbox(ctx, db.InsertInboxParams{
			ID: id, WorkspaceID: &c.workspace, Source: string(in.Source), WebhookID: e.WebhookID, EventType: e.Type,
			Location: c.account.Location, BodyEnc: sealed, State: "PENDING", Now: tx.Now,
		})
		if err != nil || n == 0 {
			return err
		}
		tx.Waiting(c.workspace)
		return tx.CountFoundAppointment(ctx, db.CountFoundAppointmentParams{WorkspaceID: c.workspace, Hour: c.now.Truncate(time.Hour)})
	})
	if err != nil {
		return fmt.Errorf("store found appointment: %w", err)
	}
	return nil
}

func foundInvitee(e calendly.Scheduled, i calendly.Invitee) webhook.FoundInvitee {
	f := webhook.FoundInvitee{
		Event: "invitee.created", URI: i.URI, Email: i.Email, Name: i.Name, NewInvitee: i.NewInvitee, EventType: e.Type, Start: e.Start, End: e.End,
		Updated: later(i.Updated, e.Updated),
	}
	switch {
	case i.Status == "canceled" || e.Status == "canceled":
		f.Event = "invitee.canceled"
	case len(i.NoShow) > 0 && string(i.NoShow) != "null":
		f.Event = "invitee_no_show.created"
	}
	return f
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
