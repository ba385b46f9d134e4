// Package edge is the HTTP side of Relance: it authenticates strangers before it reads a byte of theirs, turns them into
// principals, and hands the rest to gRPC. It has no database and no domain.
package edge

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/relance/relance/platform/clock"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// MaxBody is the cap of every request body, in bytes.
const MaxBody = 256 << 10

// Options is what an Edge needs. All fields are required but the secrets: a route whose secret is not configured answers
// 503.
type Options struct {
	// Sync, FollowUps and Availability are connections to the services; the edge adds the principal token itself.
	Sync, FollowUps, Availability grpc.ClientConnInterface
	// Tokens mints principal tokens.
	Tokens TokenSource
	// Cron and Admin are the active secrets of their routes.
	Cron, Admin Secrets
	// WebhookKeys verify marketplace webhooks.
	WebhookKeys []ed25519.PublicKey
	// CronBudget bounds the work of one cron call.
	CronBudget time.Duration
	// CallTimeout bounds a /v1 or admin call, WebhookTimeout each of the two that a webhook needs: senders give up on an
	// answer that takes long, and some deliver again only what they are told to.
	CallTimeout, WebhookTimeout time.Duration
	// Clock stamps answers with business time.
	Clock clock.Clock
	// Logger gets one line per request.
	Logger *slog.Logger
}

// Edge answers HTTP. Safe for concurrent use.
type Edge struct {
	opts         Options
	sync         syncv1.SyncServiceClient
	followups    followupsv1.FollowUpsServiceClient
	availability availabilityv1.AvailabilityServiceClient
	health       []namedHealth
	resources    http.Handler
	handler      http.Handler
	telemetry    telemetry
	intake       *intake
}

type namedHealth struct {
	name   string
	client grpc_health_v1.HealthClient
}

// New builds the edge. Errors: a field of opts is missing, or a guarded path has no guard.
func New(opts Options) (*Edge, error) {
	if opts.Sync == nil || opts.FollowUps == nil || opts.Availability == nil || opts.Tokens == nil ||
		opts.Clock == nil || opts.Logger == nil || len(opts.WebhookKeys) == 0 ||
		opts.CronBudget <= 0 || opts.CallTimeout <= 0 || opts.WebhookTimeout <= 0 {
		return nil, errors.New("edge: an option is missing")
	}
	conn := func(next grpc.ClientConnInterface, service string) *guardedConn {
		return &guardedConn{next: next, tokens: opts.Tokens, audience: service}
	}
	sync, followups := conn(opts.Sync, "sync"), conn(opts.FollowUps, "followups")
	availability := conn(opts.Availability, "availability")
	e := &Edge{
		opts:         opts,
		sync:         syncv1.NewSyncServiceClient(sync),
		followups:    followupsv1.NewFollowUpsServiceClient(followups),
		availability: availabilityv1.NewAvailabilityServiceClient(availability),
		health: []namedHealth{
			{"sync", grpc_health_v1.NewHealthClient(sync)},
			{"followups", grpc_health_v1.NewHealthClient(followups)},
			{"availability", grpc_health_v1.NewHealthClient(availability)},
		},
	}
	e.intake = e.newIntake()
	var err error
	if e.telemetry, err = newTelemetry(); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	resources, err := newResources(context.Background(), e)
	if err != nil {
		return nil, err
	}
	e.resources = resources
	e.handler, err = e.route(e.routes())
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	return e, nil
}

// ServeHTTP answers one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.handler.ServeHTTP(w, r) }
