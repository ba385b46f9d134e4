package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/poll"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// healthSpan is the time that the figures of ingestion cover.
const healthSpan = 24 * time.Hour

// ListIngestionHealth lists per workspace what came by webhook and what did not, oldest workspace first.
func (s *Server) ListIngestionHealth(ctx context.Context, req *syncv1.ListIngestionHealthRequest) (*syncv1.ListIngestionHealthResponse, error) {
	var c check
	size, last := c.page("ingestionHealth", req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.IngestionHealthRow
	var polls []db.AppointmentPoll
	err := s.scopeOf(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.IngestionHealth(ctx, db.IngestionHealthParams{Since: tx.Now.Add(-healthSpan), After: last, Page: size + 1})
		if err != nil {
			return err
		}
		shown := make([]uuid.UUID, 0, len(rows))
		for _, r := range rows {
			shown = append(shown, r.ID)
		}
		polls, err = tx.AppointmentPolls(ctx, shown)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListIngestionHealthResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken("ingestionHealth", rows[size-1].ID)
	}
	for _, r := range rows {
		h := healthProto(r)
		for _, p := range polls {
			if p.WorkspaceID == r.ID {
				h.AppointmentPolls = append(h.AppointmentPolls, appointmentPollProto(p))
			}
		}
		out.IngestionHealth = append(out.IngestionHealth, h)
	}
	return out, nil
}

func healthProto(r db.IngestionHealthRow) *syncv1.IngestionHealth {
	return &syncv1.IngestionHealth{
		Name: workspaceName(r.ID) + "/ingestionHealth", DisplayName: r.DisplayName, GhlLocation: store.Deref(r.Location),
		ConnectionState: syncv1.ConnectionState(syncv1.ConnectionState_value["CONNECTION_STATE_"+store.Deref(r.State)]),
		LastWebhookTime: optStamp(r.LastWebhookTime), LastPollTime: optStamp(r.LastTime), PollCursorTime: optStamp(r.CursorTime),
		NextPollTime: optStamp(r.NextTime), PollError: store.Deref(r.LastError), BreakerEndTime: optStamp(r.BreakerTime),
		DeliveredCount: r.Delivered, FoundCount: r.Found, LateCount: r.Late,
		LossRate: poll.Loss(int(r.Delivered), int(r.Found), int(r.Late)), Silent: r.SilentTime != nil, SilentSinceTime: optStamp(r.SilentTime),
		PendingCount: r.Pending, ParkedCount: r.Parked, AppointmentsFoundCount: r.Appointments,
	}
}

func appointmentPollProto(p db.AppointmentPoll) *syncv1.AppointmentPoll {
	return &syncv1.AppointmentPoll{
		Provider: p.Provider, LastPollTime: optStamp(p.LastTime), WholeTime: optStamp(p.WholeTime), Cursor: p.Cursor, NextPollTime: stamp(p.NextTime),
		PollError: p.LastError, ListedCount: p.Listed, KnownCount: p.Known, FoundCount: p.Found, PassedCount: p.Passed, FailedReads: p.Failed,
	}
}
