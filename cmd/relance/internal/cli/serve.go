package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/relance/relance/cmd/relance/internal/stack"
	"github.com/relance/relance/gateway"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/process"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/telemetry"
	"github.com/relance/relance/services/availability"
	"github.com/relance/relance/services/followups"
	"github.com/relance/relance/services/sync"
)

type serveCommand struct {
	Sync         serveSync         `cmd:"" help:"Run the sync service."`
	Followups    serveFollowups    `cmd:"" help:"Run the followups service."`
	Availability serveAvailability `cmd:"" help:"Run the availability service."`
	Gateway      serveGateway      `cmd:"" help:"Run the HTTP gateway."`
	All          serveAll          `cmd:"" help:"Run every role in one process, with certificates made in memory."`
}

// common are the flags of every role that runs by itself.
type common struct {
	logging
	Cert         string  `env:"RELANCE_TLS_CERT" required:"" type:"existingfile" help:"PEM file of the role's certificate (Ed25519, spiffe://relance/svc/<role>)."`
	Key          string  `env:"RELANCE_TLS_KEY" required:"" type:"existingfile" help:"PEM file of its key."`
	CA           string  `env:"RELANCE_TLS_CA" required:"" type:"existingfile" help:"PEM file of the authorities to trust. All three are read again when they change."`
	AdminListen  string  `env:"RELANCE_ADMIN_LISTEN" default:"127.0.0.1:0" help:"Address of the admin listener: /metrics. Keep it off the public network."`
	OTLPEndpoint string  `env:"RELANCE_OTLP_ENDPOINT" help:"URL of an OTLP/gRPC collector for traces. Default: none are sent."`
	TraceRatio   float64 `env:"RELANCE_TRACE_RATIO" default:"0.01" help:"Share of traces kept, 0 to 1."`
}

// role is a started role.
type role struct {
	logger    *slog.Logger
	identity  *rpc.Identity
	admin     process.Component
	telemetry *telemetry.Telemetry
}

func (c common) prepare(ctx context.Context, s Streams, name string) (role, error) {
	r := role{logger: c.logger(s.Err).With(slog.String("service", name))}
	var err error
	r.identity, err = rpc.LoadIdentity(rpc.IdentityFiles{Cert: c.Cert, Key: c.Key, CA: c.CA})
	if err != nil {
		return r, err
	}
	if r.identity.Name() != name {
		return r, fmt.Errorf("serve %s: the certificate names svc/%s", name, r.identity.Name())
	}
	r.telemetry, err = telemetry.Setup(ctx, telemetry.Config{Service: "relance-" + name, OTLPEndpoint: c.OTLPEndpoint, SampleRatio: c.TraceRatio})
	if err != nil {
		return r, err
	}
	r.admin, err = adminListener(ctx, c.AdminListen, r.telemetry)
	return r, err
}

func (r role) run(ctx context.Context, name string, serve func(context.Context) error) error {
	err := process.Run(ctx, r.admin, process.Component{Name: name, Run: serve})
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, r.telemetry.Shutdown(flush))
}

func adminListener(ctx context.Context, address string, t *telemetry.Telemetry) (process.Component, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return process.Component{}, fmt.Errorf("admin listener: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", t.MetricsHandler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return process.Component{Name: "admin listener", Run: func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return errors.Join(server.Close(), ignoreClosed(<-served))
		}
	}}, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

type serveSync struct {
	common
	sync.Config `embed:""`
}

// Run serves the sync role.
func (c serveSync) Run(ctx context.Context, s Streams) error {
	r, err := c.prepare(ctx, s, "sync")
	if err != nil {
		return err
	}
	service, err := sync.New(ctx, c.Config, sync.Deps{Identity: r.identity, Clock: clock.System(), Logger: r.logger})
	if err != nil {
		return err
	}
	return r.run(ctx, "sync", service.Run)
}

type serveFollowups struct {
	common
	followups.Config `embed:""`
}

// Run serves the followups role.
func (c serveFollowups) Run(ctx context.Context, s Streams) error {
	r, err := c.prepare(ctx, s, "followups")
	if err != nil {
		return err
	}
	service, err := followups.New(ctx, c.Config, followups.Deps{Identity: r.identity, Clock: clock.System(), Logger: r.logger})
	if err != nil {
		return err
	}
	return r.run(ctx, "followups", service.Run)
}

type serveAvailability struct {
	common
	availability.Config `embed:""`
}

// Run serves the availability role.
func (c serveAvailability) Run(ctx context.Context, s Streams) error {
	r, err := c.prepare(ctx, s, "availability")
	if err != nil {
		return err
	}
	service, err := availability.New(ctx, c.Config, availability.Deps{Identity: r.identity, Clock: clock.System(), Logger: r.logger})
	if err != nil {
		return err
	}
	return r.run(ctx, "availability", service.Run)
}

type serveGateway struct {
	common
	gateway.Config `embed:""`
}

// Run serves the gateway role.
func (c serveGateway) Run(ctx context.Context, s Streams) error {
	r, err := c.prepare(ctx, s, "gateway")
	if err != nil {
		return err
	}
	g, err := gateway.New(ctx, c.Config, gateway.Deps{Identity: r.identity, Clock: clock.System(), Logger: r.logger})
	if err != nil {
		return err
	}
	return r.run(ctx, "gateway", g.Run)
}

type serveAll struct {
	logging
	Listen      string          `env:"RELANCE_GATEWAY_LISTEN" default:"127.0.0.1:8080" help:"Address of the gateway."`
	DatabaseURL string          `env:"RELANCE_DATABASE_URL" help:"PostgreSQL 15 or newer, as the owner of the objects. Default: a private cluster in --data-dir."`
	DataDir     string          `env:"RELANCE_DATA_DIR" help:"Directory of the private cluster, kept. Needed without --database-url."`
	Keyset      config.Secret   `env:"RELANCE_KEYSET" required:"" help:"Encryption keyset (relance keyset), as text or @file."`
	CronSecret  []config.Secret `env:"RELANCE_CRON_SECRET" help:"Secret of /api/cron, two for a rotation, as text or @file. None closes the routes."`
	AdminSecret []config.Secret `env:"RELANCE_ADMIN_SECRET" help:"Secret of /v1 and /api/admin, two for a rotation, as text or @file. None closes the routes."`
	Scheduler   time.Duration   `env:"RELANCE_SCHEDULER_INTERVAL" default:"1m" help:"Run what is due this often without an external cron; 0 leaves it to the cron routes."`
	GHLBaseURL  string          `env:"RELANCE_GHL_BASE_URL" default:"https://services.leadconnectorhq.com" help:"Base URL of the GoHighLevel API."`
	GHLKeys     []string        `name:"ghl-public-key" env:"RELANCE_GHL_PUBLIC_KEYS" help:"Ed25519 public keys that sign marketplace webhooks. Default: HighLevel's."`
}

// Problems lists what is missing or odd.
func (c serveAll) Problems() []string {
	var problems []string
	if c.DatabaseURL == "" && c.DataDir == "" {
		problems = append(problems, "set --database-url (RELANCE_DATABASE_URL) or --data-dir (RELANCE_DATA_DIR)")
	}
	if c.Scheduler < 0 {
		problems = append(problems, "--scheduler must not be negative")
	}
	return problems
}

// Run serves every role.
func (c serveAll) Run(ctx context.Context, s Streams) error {
	if err := config.Check(c); err != nil {
		return err
	}
	st, err := stack.New(ctx, stack.Options{
		Clock: clock.System(), Logger: c.logger(s.Err), AdminDSN: c.DatabaseURL, DataDir: c.DataDir, Listen: c.Listen,
		GHLBaseURL: c.GHLBaseURL, GHLPublicKeys: c.GHLKeys, CronSecrets: reveal(c.CronSecret),
		AdminSecrets: reveal(c.AdminSecret), Keyset: c.Keyset.Reveal(), SchedulerInterval: c.Scheduler,
	})
	if err != nil {
		return err
	}
	return st.Run(ctx)
}

func reveal(secrets []config.Secret) []string {
	values := make([]string, len(secrets))
	for i, secret := range secrets {
		values[i] = secret.Reveal()
	}
	return values
}
