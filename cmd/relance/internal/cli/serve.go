package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/alecthomas/kong"

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
	Cert string `env:"RELANCE_TLS_CERT" required:"" type:"existingfile" help:"PEM file of the role's certificate (Ed25519, spiffe://relance/svc/<role>)."`
	Key  string `env:"RELANCE_TLS_KEY" required:"" type:"existingfile" help:"PEM file of its key."`
	CA   string `env:"RELANCE_TLS_CA" required:"" type:"existingfile" help:"PEM file of the authorities to trust. All three are read again when they change."`
	observing
}

// observing are the flags of what can be seen from outside.
type observing struct {
	AdminListen  string  `env:"RELANCE_ADMIN_LISTEN" default:"127.0.0.1:0" help:"Address of the admin listener: /metrics. Keep it off the public network."`
	OTLPEndpoint string  `env:"RELANCE_OTLP_ENDPOINT" help:"URL of an OTLP/gRPC collector for traces. Default: none are sent."`
	TraceRatio   float64 `env:"RELANCE_TRACE_RATIO" default:"0.01" help:"Share of traces kept, 0 to 1."`
}

// observed is what can be seen from outside, started.
type observed struct {
	telemetry *telemetry.Telemetry
	admin     process.Component
}

func (o observing) start(ctx context.Context, service string, logger *slog.Logger) (observed, error) {
	t, err := telemetry.Setup(ctx, telemetry.Config{Service: service, OTLPEndpoint: o.OTLPEndpoint, SampleRatio: o.TraceRatio})
	if err != nil {
		return observed{}, err
	}
	admin, err := adminListener(ctx, adminConfig{address: o.AdminListen, telemetry: t, logger: logger})
	return observed{telemetry: t, admin: admin}, err
}

// run serves beside the admin listener, and flushes what is to be seen at the end.
func (o observed) run(ctx context.Context, name string, serve func(context.Context) error) error {
	err := process.Run(ctx, o.admin, process.Component{Name: name, Run: serve})
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, o.telemetry.Shutdown(flush))
}

// role is a started role.
type role struct {
	observed
	logger   *slog.Logger
	identity *rpc.Identity
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
	r.observed, err = c.start(ctx, "relance-"+name, r.logger)
	return r, err
}

type adminConfig struct {
	address   string
	telemetry *telemetry.Telemetry
	logger    *slog.Logger
}

func adminListener(ctx context.Context, c adminConfig) (process.Component, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.address)
	if err != nil {
		return process.Component{}, fmt.Errorf("admin listener: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", c.telemetry.MetricsHandler())
	c.logger.InfoContext(ctx, "admin listening", "address", listener.Addr().String())
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
	observing
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
	settings, err := settings()
	if err != nil {
		return err
	}
	logger := c.logger(s.Err)
	seen, err := c.start(ctx, "relance", logger)
	if err != nil {
		return err
	}
	st, err := stack.New(ctx, stack.Options{
		Clock: clock.System(), Logger: logger, Settings: settings, AdminDSN: c.DatabaseURL, DataDir: c.DataDir, Listen: c.Listen,
		GHLBaseURL: c.GHLBaseURL, GHLPublicKeys: c.GHLKeys, CronSecrets: reveal(c.CronSecret),
		AdminSecrets: reveal(c.AdminSecret), Keyset: c.Keyset.Reveal(), SchedulerInterval: c.Scheduler,
	})
	if err != nil {
		return err
	}
	return seen.run(ctx, "roles", st.Run)
}

// settings are those of the single roles, read from the environment only: a flag for each would say little at length.
func settings() (stack.Settings, error) {
	var out stack.Settings
	parser, err := kong.New(&out, config.Options("")...)
	if err != nil {
		return out, fmt.Errorf("read the roles' settings: %w", err)
	}
	if _, err := parser.Parse(nil); err != nil {
		return out, fmt.Errorf("a variable of a role: %w", err)
	}
	return out, nil
}

func reveal(secrets []config.Secret) []string {
	values := make([]string, len(secrets))
	for i, secret := range secrets {
		values[i] = secret.Reveal()
	}
	return values
}
