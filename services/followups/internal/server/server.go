// Package server answers relance.followups.v1.FollowUpsService: it checks requests, calls one thing, and converts. Rules
// and SQL are elsewhere.
package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/run"
	"github.com/relance/relance/services/followups/internal/store"
)

const (
	defaultPage = 50
	maxPage     = 500
)

// Config is what the server works with.
type Config struct {
	// Store keeps the state.
	Store *store.Store
	// Runner runs what is due.
	Runner *run.Runner
	// Sync knows leads and workspaces.
	Sync syncv1.SyncServiceClient
	// Availability knows slots.
	Availability availabilityv1.AvailabilityServiceClient
	// Clock is the business clock.
	Clock clock.Clock
	// MaxAttempts bounds the tries of a step.
	MaxAttempts int
}

// Server implements the service.
type Server struct {
	followupsv1.UnimplementedFollowUpsServiceServer
	cfg    Config
	reader learn.Reader
	setup  learn.Setup
}

// New makes a server.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, reader: learn.Reader{Sync: cfg.Sync, Availability: cfg.Availability}, setup: learn.Setup{Sync: cfg.Sync}}
}

// Policy says who may call what.
func Policy() principal.Policy {
	const service = "/relance.followups.v1.FollowUpsService/"
	policy := principal.Policy{
		service + "RunDueFollowUps":  {principal.KindCron, principal.KindFollowUps, principal.KindAdmin},
		service + "HandleLeadEvents": {principal.KindSync},
		service + "GetRun":           {principal.KindAdmin, principal.KindCron},
		service + "ListRuns":         {principal.KindAdmin, principal.KindCron},
	}
	for _, method := range []string{
		"CreateSequence", "GetSequence", "ListSequences", "UpdateSequence", "DeleteSequence", "ValidateSequence",
		"EnrollLead", "ExplainEnrollment", "GetEnrollment", "ListEnrollments", "PauseEnrollment", "ResumeEnrollment", "CancelEnrollment",
		"SimulateSequence", "ListTasks", "CompleteTask", "SkipTask", "AssignTask", "ScheduleFollowUp", "GetSettings", "UpdateSettings",
	} {
		policy[service+method] = []principal.Kind{principal.KindAdmin}
	}
	return policy
}

func (s *Server) now() time.Time { return s.cfg.Clock.Now().UTC() }

// parent reads a workspace name and checks that the principal may use it.
func parent(ctx context.Context, text string) (uuid.UUID, error) {
	id, err := name.ParseWorkspace(text)
	if err != nil {
		return uuid.Nil, invalid("parent", err.Error())
	}
	return id, principal.AuthorizeWorkspace(ctx, id.String())
}

// child reads the name of a workspace's resource and checks that the principal may use it.
func child(ctx context.Context, field, text, collection string) (workspace, id uuid.UUID, err error) {
	workspace, id, err = name.ParseChild(text, collection)
	if err != nil {
		return uuid.Nil, uuid.Nil, invalid(field, err.Error())
	}
	return workspace, id, principal.AuthorizeWorkspace(ctx, workspace.String())
}

func invalid(field, text string) error {
	return apierr.Invalid(apierr.FieldViolation{Field: field, Description: text})
}

// requestID reads an optional request id.
func requestID(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, invalid("request_id", "must be a UUID")
	}
	return id, nil
}

// paging is a checked page request. Tokens are bound to their listing, so that one of another workspace is refused.
type paging struct {
	size int
	kind string
}

func newPaging(size int32, token, kind string) (store.Page, paging, error) {
	p := paging{size: int(size), kind: kind}
	if size < 0 {
		return store.Page{}, p, invalid("page_size", "must not be negative")
	}
	if p.size == 0 {
		p.size = defaultPage
	}
	p.size = min(p.size, maxPage)
	page := store.Page{Size: p.size + 1}
	if token == "" {
		return page, p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) <= 16 || string(raw[16:]) != kind {
		return store.Page{}, p, invalid("page_token", "is not a token of this listing")
	}
	copy(page.After[:], raw[:16])
	return page, p, nil
}

// cut takes the surplus row off and makes the token of the next page from the last row shown.
func cut[T any](rows []T, p paging, id func(T) uuid.UUID) ([]T, string) {
	if len(rows) <= p.size {
		return rows, ""
	}
	rows = rows[:p.size]
	last := id(rows[p.size-1])
	return rows, base64.RawURLEncoding.EncodeToString(append(last[:], p.kind...))
}

// zone learns the workspace's zone; nil when sync does not know one, which is then asked for at the first look.
func (s *Server) zone(ctx context.Context, workspace uuid.UUID) *time.Location {
	resp, err := s.cfg.Sync.GetWorkspace(ctx, &syncv1.GetWorkspaceRequest{Name: name.Workspace(workspace)})
	if err != nil {
		return nil
	}
	zone, err := followup.Zone(resp.GetWorkspace().GetTimeZone())
	if err != nil {
		return nil
	}
	return zone
}

func collection(workspace uuid.UUID, kind string) string {
	return fmt.Sprintf("%s/%s", kind, workspace)
}
