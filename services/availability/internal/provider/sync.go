// Package provider joins the providers of calendars, and reads workspaces and GoHighLevel calendars through the sync service,
// which owns the connections.
package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/slots"
)

const (
	syncDomain = "sync.relance.dev"
	pageSize   = 500
	// maxPages bounds one walk over the workspaces, should the other side's tokens go in circles.
	maxPages = 10_000
)

// Sync is the client of the sync service.
type Sync struct{ client syncv1.SyncServiceClient }

// NewSync makes a client on a connection of the availability service's identity.
func NewSync(conn grpc.ClientConnInterface) *Sync {
	return &Sync{client: syncv1.NewSyncServiceClient(conn)}
}

// lengthKnown is how long the length of a calendar's slots is remembered.
const lengthKnown = 6 * time.Hour

// slotLength is what is remembered of a GoHighLevel calendar.
type slotLength struct {
	Minutes int       `json:"slot_minutes"`
	Until   time.Time `json:"until"`
}

func (l slotLength) duration() time.Duration { return time.Duration(l.Minutes) * time.Minute }

// FreeSlots reads a GoHighLevel calendar once, with the workspace's connection; how long its slots are is asked for now and then,
// and before a meeting is refused for its length. Errors are *look.Error.
func (s *Sync) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	var memory slotLength
	known := json.Unmarshal([]byte(ask.Resolved), &memory) == nil && memory.Minutes > 0 && ask.From.Before(memory.Until) &&
		slots.Fits(ask.Meeting, memory.duration())
	answer, err := s.client.ListFreeSlots(ctx, &syncv1.ListFreeSlotsRequest{
		Parent: "workspaces/" + ask.Workspace.String(), Calendar: ask.ID,
		StartTime: timestamppb.New(ask.From), EndTime: timestamppb.New(ask.To), WithSlotDuration: !known,
	})
	if err != nil {
		return look.Answer{}, failure(err)
	}
	if !known {
		memory = slotLength{Minutes: int(answer.GetSlotDuration().AsDuration() / time.Minute), Until: ask.From.Add(lengthKnown)}
	}
	if !slots.Fits(ask.Meeting, memory.duration()) {
		return look.Answer{}, look.UnsupportedDuration(memory.served()...)
	}
	out := look.Answer{Source: "api"}
	if memory.Minutes > 0 {
		text, err := json.Marshal(memory)
		if err != nil {
			return look.Answer{}, fmt.Errorf("remember slot length: %w", err)
		}
		out.Resolved = string(text)
	}
	out.Starts = make([]time.Time, 0, len(answer.GetStartTimes()))
	for _, start := range answer.GetStartTimes() {
		if err := start.CheckValid(); err != nil {
			return look.Answer{}, look.BadAnswer(err)
		}
		out.Starts = append(out.Starts, start.AsTime())
	}
	return out, nil
}

func (l slotLength) served() []time.Duration {
	if l.Minutes == 0 {
		return nil
	}
	return []time.Duration{l.duration()}
}

// Host is GoHighLevel's API, which the sync service asks.
func (*Sync) Host(look.Ask) string { return "services.leadconnectorhq.com" }

func failure(err error) *look.Error {
	f := look.Unreachable("SYNC_FAILED", err)
	e, ok := apierr.From(err)
	if !ok {
		return f
	}
	f.RetryAfter = e.RetryAfter
	switch {
	case e.Domain == syncDomain && e.Reason == string(slots.ReasonInactive):
		f.Kind, f.Reason = slots.ReasonInactive, e.Reason
	case e.Reason != "":
		f.Reason = e.Reason
	case e.Code == codes.DeadlineExceeded:
		f.Reason = "TIMEOUT"
	case e.Code == codes.Unavailable:
		f.Reason = "SYNC_UNAVAILABLE"
	}
	return f
}

// Workspaces calls each with the ids and agencies of every workspace that was created or changed at or after since, page by
// page from a token on, and with the token of the next; a zero since means all.
func (s *Sync) Workspaces(ctx context.Context, since time.Time, token string, each func(ids []uuid.UUID, agencies []string, next string) error) error {
	var updated *timestamppb.Timestamp
	if !since.IsZero() {
		updated = timestamppb.New(since)
	}
	for range maxPages {
		page, err := s.client.ListWorkspaces(ctx, &syncv1.ListWorkspacesRequest{PageSize: pageSize, PageToken: token, UpdatedSince: updated})
		if err != nil {
			return fmt.Errorf("list workspaces: %w", err)
		}
		ids, agencies := make([]uuid.UUID, 0, len(page.GetWorkspaces())), make([]string, 0, len(page.GetWorkspaces()))
		for _, workspace := range page.GetWorkspaces() {
			id, err := uuid.Parse(strings.TrimPrefix(workspace.GetName(), "workspaces/"))
			if err != nil {
				return fmt.Errorf("list workspaces: bad name: %w", err)
			}
			ids, agencies = append(ids, id), append(agencies, workspace.GetAgency())
		}
		token = page.GetNextPageToken()
		if err := each(ids, agencies, token); err != nil {
			return err
		}
		if token == "" {
			return nil
		}
	}
	return fmt.Errorf("list workspaces: more than %d pages", maxPages)
}

// Exists reports whether there is such a workspace.
func (s *Sync) Exists(ctx context.Context, workspace uuid.UUID) (bool, error) {
	_, err := s.client.GetWorkspace(ctx, &syncv1.GetWorkspaceRequest{Name: "workspaces/" + workspace.String()})
	if apierr.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get workspace: %w", err)
	}
	return true, nil
}
