package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	deliverBatch   = 200
	deliverTimeout = 10 * time.Second
)

// deliverEvents hands the outbox to followups, in order, one deliverer at a time. An event counts as delivered only
// after followups answered; it drops what it had before by the event's id.
func (d Deps) deliverEvents(ctx context.Context) error {
	if d.FollowUps == nil {
		return nil
	}
	locked := false
	err := d.Store.Connection(ctx, func(q *db.Queries) (err error) {
		if locked, err = q.TryDeliveryLock(ctx); err != nil || !locked {
			return err
		}
		defer func() { _ = q.DeliveryUnlock(context.WithoutCancel(ctx)) }()
		for {
			n, err := d.deliverBatch(ctx)
			if err != nil || n < deliverBatch {
				return err
			}
		}
	})
	if err != nil {
		return fmt.Errorf("deliver events: %w", err)
	}
	if !locked {
		// The holder may have read before this job's events were committed.
		return river.JobSnooze(time.Second)
	}
	return nil
}

func (d Deps) deliverBatch(ctx context.Context) (int, error) {
	var rows []db.Outbox
	err := d.Store.System(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.WaitingOutbox(ctx, deliverBatch)
		return err
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	err = d.hand(ctx, rows)
	if ctx.Err() == nil && inParts(err) {
		return len(rows), d.oneByOne(ctx, rows)
	}
	return len(rows), err
}

// inParts reports whether some of a batch that failed may be taken: followups failed at one of its events, or had not the time
// for all of them. The repetition of the whole would end as it did.
func inParts(err error) bool {
	switch apierr.Code(err) {
	case codes.OK, codes.Unavailable, codes.Canceled, codes.Aborted, codes.ResourceExhausted, codes.Unauthenticated, codes.PermissionDenied:
		return false
	default:
		return !postgres.IsUnavailable(err)
	}
}

// oneByOne keeps one event that followups cannot take from holding up all others. What it refuses is parked; what it fails at
// is tried again, and the later events of its lead wait for it.
func (d Deps) oneByOne(ctx context.Context, rows []db.Outbox) error {
	var failed error
	waiting := map[uuid.UUID]bool{}
	for _, row := range rows {
		if waiting[row.LeadID] {
			continue
		}
		err := d.hand(ctx, []db.Outbox{row})
		if apierr.Code(err) == codes.InvalidArgument {
			d.Logger.ErrorContext(ctx, "event parked: followups refuses it", "event", row.ID.String(), "type", row.Type, "error", err)
			err = d.Store.System(ctx, func(tx *store.Tx) error {
				return tx.ParkOutbox(ctx, db.ParkOutboxParams{Reason: "INVALID", Seq: row.Seq})
			})
		}
		if err == nil {
			continue
		}
		failed = errors.Join(failed, fmt.Errorf("event %s: %w", row.ID, err))
		if ctx.Err() != nil || !inParts(err) {
			break
		}
		waiting[row.LeadID] = true
	}
	return failed
}

func (d Deps) hand(ctx context.Context, rows []db.Outbox) error {
	request := &followupsv1.HandleLeadEventsRequest{}
	seqs := make([]int64, 0, len(rows))
	for _, row := range rows {
		event, err := toProto(row)
		if err != nil {
			return err
		}
		request.Events = append(request.Events, event)
		seqs = append(seqs, row.Seq)
	}
	call, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	if _, err := d.FollowUps.HandleLeadEvents(call, request); err != nil {
		return err
	}
	return d.Store.System(ctx, func(tx *store.Tx) error {
		return tx.DeliveredOutbox(ctx, db.DeliveredOutboxParams{Now: &tx.Now, Seqs: seqs})
	})
}

func toProto(row db.Outbox) (*followupsv1.LeadEvent, error) {
	var e store.Event
	if err := json.Unmarshal(row.Payload, &e); err != nil {
		return nil, fmt.Errorf("read event %s: %w", row.ID, err)
	}
	out := &followupsv1.LeadEvent{
		EventId: row.ID.String(), Lead: "workspaces/" + row.WorkspaceID.String() + "/leads/" + row.LeadID.String(),
		// The outbox names types as the API does.
		Type:      followupsv1.LeadEventType(followupsv1.LeadEventType_value["LEAD_EVENT_TYPE_"+row.Type]),
		EventTime: timestamppb.New(e.At), Message: e.Message, RequestId: e.RequestID, Outcome: e.Outcome,
		DndActive: e.Active, BookingId: e.Booking, AddedTags: e.Added, RemovedTags: e.Removed,
	}
	switch e.Channel {
	case sending.SMS:
		out.Channel = followupsv1.StepChannel_STEP_CHANNEL_SMS
	case sending.Email:
		out.Channel = followupsv1.StepChannel_STEP_CHANNEL_EMAIL
	}
	if !e.BookingTime.IsZero() {
		out.BookingTime = timestamppb.New(e.BookingTime)
	}
	return out, nil
}
