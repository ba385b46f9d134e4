package server

import (
	"context"
	"log/slog"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	reasonWebhookBodyDropped = "WEBHOOK_BODY_DROPPED"

	maxReplayNames = 500
	defaultReplay  = 1000
	maxReplay      = 10000
	replayPage     = 500
)

// replay is one call's request, checked, and its counts.
type replay struct {
	workspace *uuid.UUID
	ids       []uuid.UUID
	filter    eventFilter
	dry       bool
	most      int32
	out       syncv1.ReplayWebhookEventsResponse
}

// replayable are the states from which an event may be processed again.
func replayable() []string { return []string{"PARKED", "UNROUTED", "IGNORED"} }

// ReplayWebhookEvents puts stored webhooks back in the queue, a page per transaction, oldest first.
func (s *Server) ReplayWebhookEvents(ctx context.Context, req *syncv1.ReplayWebhookEventsRequest) (*syncv1.ReplayWebhookEventsResponse, error) {
	in, err := checkReplay(req)
	if err != nil {
		return nil, err
	}
	if len(in.ids) > 0 {
		err = s.inEvents(ctx, in.workspace, func(tx *store.Tx) error { return in.named(ctx, tx) })
	} else {
		err = s.replayFiltered(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	if !in.dry {
		s.Logger.InfoContext(ctx, "webhooks replayed", slog.Int("replayed", int(in.out.GetReplayedCount())),
			slog.Int("skipped", int(in.out.GetSkippedCount())), slog.Int("remaining", int(in.out.GetRemainingCount())))
	}
	return &in.out, nil
}

func checkReplay(req *syncv1.ReplayWebhookEventsRequest) (*replay, error) {
	var c check
	in := &replay{
		workspace: c.eventsOf(req.GetParent()), filter: c.eventFilter(req.GetFilter()), dry: req.GetValidateOnly(), most: req.GetMaxEvents(),
	}
	c.when((len(req.GetNames()) > 0) == (req.GetFilter() != nil), "names", "give either names or a filter")
	c.when(len(req.GetNames()) > maxReplayNames, "names", "must be at most 500")
	for _, name := range req.GetNames() {
		text, ok := strings.CutPrefix(name, "webhookEvents/")
		id, err := uuid.Parse(text)
		if !ok || err != nil || id.String() != text {
			c.add("names", "must be webhookEvents/{uuid}")
			break
		}
		in.ids = append(in.ids, id)
	}
	c.when(in.most < 0 || in.most > maxReplay, "max_events", "must be 0 to 10000")
	if in.most == 0 {
		in.most = defaultReplay
	}
	switch req.GetFilter().GetState() {
	case syncv1.WebhookState_WEBHOOK_STATE_UNSPECIFIED:
		in.filter.States = replayable()
	case syncv1.WebhookState_WEBHOOK_STATE_PENDING, syncv1.WebhookState_WEBHOOK_STATE_PROCESSED:
		c.add("filter.state", "must be PARKED, UNROUTED or IGNORED; others are under way or done")
	}
	return in, c.err()
}

func (in *replay) named(ctx context.Context, tx *store.Tx) error {
	in.out = syncv1.ReplayWebhookEventsResponse{}
	rows, err := tx.InboxByIDs(ctx, db.InboxByIDsParams{WorkspaceID: in.workspace, Ids: in.ids})
	if err != nil {
		return err
	}
	stored := map[uuid.UUID]db.InboxByIDsRow{}
	for _, r := range rows {
		stored[r.ID] = r
	}
	done := map[uuid.UUID]bool{}
	for _, id := range in.ids {
		row, ok := stored[id]
		if !ok {
			return apierr.NotFound("webhook event", eventName(id))
		}
		if done[id] {
			continue
		}
		done[id] = true
		in.out.MatchedCount++
		if row.BodyDropped {
			return bodyDropped(id)
		}
		if err := in.one(ctx, tx, db.ReplayCandidatesRow{
			ID: row.ID, WorkspaceID: row.WorkspaceID, Source: row.Source, Location: row.Location, State: row.State,
		}); err != nil {
			return err
		}
	}
	return nil
}

// bodyDropped refuses an event by name. By filter none is met: only what has its body is looked for.
func bodyDropped(id uuid.UUID) error {
	return typed(codes.FailedPrecondition, reasonWebhookBodyDropped, "the webhook was dealt with, and its body is not kept any more; leave it out").
		With("webhook_event", eventName(id))
}

func (s *Server) replayFiltered(ctx context.Context, in *replay) error {
	f := in.filter
	var matched int32
	err := s.inEvents(ctx, in.workspace, func(tx *store.Tx) (err error) {
		matched, err = tx.CountInbox(ctx, db.CountInboxParams{
			WorkspaceID: in.workspace, States: f.States, Source: f.Source, ErrorReason: f.ErrorReason, EventType: f.EventType,
			StartTime: f.StartTime, EndTime: f.EndTime,
		})
		return err
	})
	after := uuid.Nil
	for left := in.most; err == nil && left > 0; {
		page := db.ReplayCandidatesParams{
			WorkspaceID: in.workspace, States: f.States, Source: f.Source, ErrorReason: f.ErrorReason, EventType: f.EventType,
			StartTime: f.StartTime, EndTime: f.EndTime, After: after, Page: min(left, replayPage),
		}
		var n int
		n, after, err = s.replayRows(ctx, in, page)
		left -= int32(n)
		if n < int(page.Page) {
			break
		}
	}
	done := in.out.GetReplayedCount() + in.out.GetSkippedCount()
	in.out.MatchedCount = max(matched, done) // Some may have come since they were counted.
	in.out.RemainingCount = in.out.GetMatchedCount() - done
	return err
}

// replayRows replays one page in one transaction. It answers how many rows it looked at, and the last of them.
func (s *Server) replayRows(ctx context.Context, in *replay, page db.ReplayCandidatesParams) (n int, last uuid.UUID, err error) {
	before := [2]int32{in.out.GetReplayedCount(), in.out.GetSkippedCount()}
	err = s.inEvents(ctx, in.workspace, func(tx *store.Tx) error {
		in.out.ReplayedCount, in.out.SkippedCount = before[0], before[1] // The transaction may run again.
		rows, err := tx.ReplayCandidates(ctx, page)
		if err != nil {
			return err
		}
		n = len(rows)
		for _, row := range rows {
			last = row.ID
			if err := in.one(ctx, tx, row); err != nil {
				return err
			}
		}
		return nil
	})
	return n, last, err
}

// one puts an event back in the queue. One without a workspace is routed again, since its location may be connected now.
func (in *replay) one(ctx context.Context, tx *store.Tx, row db.ReplayCandidatesRow) error {
	workspace := row.WorkspaceID
	if workspace == nil {
		found, err := routeByLocation(ctx, tx, row.Location)
		if err != nil {
			return err
		}
		workspace = found.workspace
	}
	open := false
	for _, state := range replayable() {
		open = open || row.State == state
	}
	if workspace == nil || !open {
		in.out.SkippedCount++
		return nil
	}
	if in.dry {
		in.out.ReplayedCount++
		return nil
	}
	n, err := tx.ReopenInbox(ctx, db.ReopenInboxParams{WorkspaceID: workspace, ID: row.ID})
	if err != nil {
		return err
	}
	if n == 0 {
		in.out.SkippedCount++ // somebody else was faster
		return nil
	}
	in.out.ReplayedCount++
	tx.Waiting(*workspace)
	return nil
}
