package server

import (
	"context"
	"strings"

	"github.com/google/uuid"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// eventFilter is a filter of stored webhooks, checked.
type eventFilter struct {
	db.ListInboxParams
}

const everyWorkspace = "workspaces/-"

// eventsOf reads the parent of stored webhooks; nil means every workspace and those without one.
func (c *check) eventsOf(parent string) *uuid.UUID {
	if parent == everyWorkspace {
		return nil
	}
	id := c.workspace("parent", parent)
	return &id
}

func (c *check) eventFilter(f *syncv1.WebhookEventFilter) eventFilter {
	out := eventFilter{ListInboxParams: db.ListInboxParams{
		States: []string{}, ErrorReason: optText(f.GetErrorReason()), EventType: optText(f.GetEventType()),
		StartTime: c.time("filter.start_time", f.GetStartTime(), false), EndTime: c.time("filter.end_time", f.GetEndTime(), false),
	}}
	if f.GetState() != syncv1.WebhookState_WEBHOOK_STATE_UNSPECIFIED {
		_, known := syncv1.WebhookState_name[int32(f.GetState())]
		c.when(!known, "filter.state", "must be a known state")
		out.States = []string{strings.TrimPrefix(f.GetState().String(), "WEBHOOK_STATE_")}
	}
	if f.GetSource() != syncv1.WebhookSource_WEBHOOK_SOURCE_UNSPECIFIED {
		source := string(sources()[f.GetSource()])
		c.when(source == "", "filter.source", "must be a known sender")
		out.Source = &source
	}
	c.when(len(f.GetErrorReason()) > 100, "filter.error_reason", "must be at most 100 characters")
	c.when(len(f.GetEventType()) > 100, "filter.event_type", "must be at most 100 characters")
	c.when(out.StartTime != nil && out.EndTime != nil && !out.StartTime.Before(*out.EndTime), "filter.end_time", "must be after start_time")
	return out
}

func optText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// ListWebhookEvents lists stored webhooks, newest first.
func (s *Server) ListWebhookEvents(ctx context.Context, req *syncv1.ListWebhookEventsRequest) (*syncv1.ListWebhookEventsResponse, error) {
	var c check
	params := c.eventFilter(req.GetFilter()).ListInboxParams
	params.WorkspaceID = c.eventsOf(req.GetParent())
	scope := "webhooks:" + req.GetParent()
	size, last := c.page(scope, req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	params.Before, params.Page = before(last), size+1
	var rows []db.ListInboxRow
	err := s.inEvents(ctx, params.WorkspaceID, func(tx *store.Tx) (err error) {
		rows, err = tx.ListInbox(ctx, params)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListWebhookEventsResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken(scope, rows[size-1].ID)
	}
	for _, r := range rows {
		out.WebhookEvents = append(out.WebhookEvents, webhookProto(r))
	}
	return out, nil
}

// inEvents runs fn in the workspace, or over all of them for nil.
func (s *Server) inEvents(ctx context.Context, workspace *uuid.UUID, fn func(*store.Tx) error) error {
	if workspace == nil {
		return s.scopeOf(ctx, fn)
	}
	return s.inWorkspace(ctx, *workspace, fn)
}
