package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/relance/relance/services/sync/internal/appointment"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/work"
)

// booked keeps what a webhook, or the poll, says of an appointment.
func booked(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	b := in.event.Booking
	return appointment.Take(ctx, tx, appointment.Word{
		Workspace: who.workspace, Lead: who.lead, Provider: b.Provider, ID: b.ID, Calendar: b.Calendar, Status: b.Status, Final: b.Final,
		Start: b.Start, End: b.End, At: happened(in),
	})
}

// settleCancellations tells of a lead's cancellations whose grace is over.
func (d Deps) settleCancellations(ctx context.Context, args work.SettleCancellations) error {
	workspace, lead, err := ids(args.Workspace, args.Lead)
	if err != nil {
		return err
	}
	var wait time.Duration
	err = d.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		wait, err = appointment.Settle(ctx, tx, workspace, lead)
		return err
	})
	if err != nil {
		return fmt.Errorf("settle cancellations: %w", err)
	}
	if wait > 0 {
		return river.JobSnooze(wait)
	}
	return nil
}
