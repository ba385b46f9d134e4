// Package server answers the SyncService RPCs. Each handler checks its request whole, then asks the store, the sender or
// the provider; errors.go maps what they answer, convert.go their rows.
package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/gather"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/booker"
	"github.com/relance/relance/services/sync/internal/feed"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/linker"
	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/calendly"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/token"
)

// Server implements SyncService.
type Server struct {
	syncv1.UnimplementedSyncServiceServer
	Config
	intake *intakeGatherer
}

// Config is what a server is made of.
type Config struct {
	Store  *store.Store
	Sender *sender.Sender
	Booker *booker.Booker
	// Linker gives leads their contacts.
	Linker *linker.Linker
	Client *ghl.Client
	// Calendly books and reads Calendly.
	Calendly *calendly.Client
	// Mail are the providers that answer emails.
	Mail map[provider.Kind]provider.Mail
	// LocalProviders admits instances of EmailBison on plain http: for tests.
	LocalProviders bool
	// Accounts opens the workspaces' credentials.
	Accounts *token.Keeper
	// Mirror compares conversations with the provider.
	Mirror *mirror.Mirror
	// Feed wakes who watches conversations.
	Feed *feed.Feed
	// WatchStall is how long a watcher may take nothing before its stream is ended.
	WatchStall time.Duration
	// Clock is the business clock.
	Clock  clock.Clock
	Logger *slog.Logger
	// WebhookKey makes the keys of webhooks that have no id.
	WebhookKey []byte
}

// New makes a server.
func New(cfg Config) *Server {
	s := &Server{Config: cfg}
	s.intake = gather.New(gather.Config[struct{}, inbound, *syncv1.AcceptWebhookResponse]{Run: s.storeTogether, Shared: postgres.IsUnavailable})
	return s
}

// inWorkspace checks the principal's binding and runs fn in the workspace. Errors are mapped.
func (s *Server) inWorkspace(ctx context.Context, workspace uuid.UUID, fn func(*store.Tx) error) error {
	if err := authorize(ctx, workspace); err != nil {
		return err
	}
	return mapped(s.Store.Workspace(ctx, workspace, fn))
}

// inPage is inWorkspace for a page of a list with optional conditions.
func (s *Server) inPage(ctx context.Context, workspace uuid.UUID, fn func(*store.Tx) error) error {
	if err := authorize(ctx, workspace); err != nil {
		return err
	}
	return mapped(s.Store.Page(ctx, workspace, fn))
}

// authorize checks that the principal may act in a workspace. A user who is bound to none may act in none.
func authorize(ctx context.Context, workspace uuid.UUID) error {
	if who, ok := principal.FromContext(ctx); ok && who.Kind == principal.KindUser && who.Workspace == "" {
		return apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonWorkspaceForbidden,
			"the user is bound to no workspace").With("principal", string(who.Kind))
	}
	return principal.AuthorizeWorkspace(ctx, workspace.String())
}

// mapped turns what the store answers into what a caller may see.
func mapped(err error) error {
	var typed *apierr.Error
	switch {
	case err == nil || errors.As(err, &typed):
		return err
	case postgres.IsUnavailable(err):
		return apierr.Unavailable("the database is away; try again", err)
	case postgres.IsUnstorable(err):
		return apierr.Invalid(apierr.FieldViolation{Field: "request", Description: "holds a NUL character, which cannot be stored"}).WithCause(err)
	case postgres.IsRetryable(err), errors.Is(err, store.ErrContended):
		return apierr.Aborted("lost a race with a concurrent change; try again").WithCause(err)
	default:
		return err
	}
}

// found turns a missing row into NotFound.
func found(err error, kind, name string) error {
	if postgres.IsNoRows(err) {
		return apierr.NotFound(kind, name)
	}
	return err
}
