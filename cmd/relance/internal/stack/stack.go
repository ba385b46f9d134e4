// Package stack runs all roles in one process: the three services and the gateway, each on a loopback port of its own
// with mutual TLS between them, on a private PostgreSQL unless a database is named.
package stack

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/relance/relance/gateway"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/pgserver"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/process"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/availability"
	"github.com/relance/relance/services/followups"
	"github.com/relance/relance/services/sync"
)

// Options say how the stack runs. Zero values are the embedded defaults.
type Options struct {
	// Clock is the business clock. Default the machine's.
	Clock clock.Clock
	// Logger gets every service's log. Required.
	Logger *slog.Logger
	// AdminDSN names a running database (owner role). Empty starts a private cluster.
	AdminDSN string
	// DataDir holds the private cluster; empty makes one that is removed at the end.
	DataDir string
	// Listen is the gateway's address. Default "127.0.0.1:0".
	Listen string
	// GHLBaseURL is the provider. Default GoHighLevel.
	GHLBaseURL string
	// GHLPublicKeys sign marketplace webhooks, PEM. Default GoHighLevel's.
	GHLPublicKeys []string
	// CronSecrets and AdminSecrets open the cron and the admin and /v1 routes.
	CronSecrets, AdminSecrets []string
	// Keyset encrypts at rest, Tink JSON. Default a fresh one, which is only right for a private cluster.
	Keyset string
	// CertDir gets certificate files of every identity, for grpcurl. Empty writes none.
	CertDir string
	// SchedulerInterval runs what is due without an external cron. Zero leaves that to the cron routes.
	SchedulerInterval time.Duration
	// Reflection lets grpcurl list the contracts.
	Reflection bool
	// Feeds, when set, is where every iCalendar feed is read from, whatever its address says: a sandbox's simulator.
	Feeds *Feeds
	// Settings are what the roles can be told beyond this.
	Settings Settings
}

// Feeds is a server that stands for all hosts of feeds.
type Feeds struct {
	// Dial connects to it, Roots trusts its certificate. Both are required.
	Dial  func(ctx context.Context) (net.Conn, error)
	Roots *x509.CertPool
}

// Settings are the configurations of the roles, of which the stack sets what it knows better: addresses, databases, keys,
// secrets and the scheduler.
type Settings struct {
	Sync         sync.Config         `embed:"" prefix:"sync-"`
	Availability availability.Config `embed:"" prefix:"availability-"`
	FollowUps    followups.Config    `embed:"" prefix:"followups-"`
	Gateway      gateway.Config      `embed:"" prefix:"gateway-"`
}

// Stack is a running set of roles.
type Stack struct {
	// GatewayURL is "http://127.0.0.1:port".
	GatewayURL string
	// Targets are the services' gRPC addresses by name.
	Targets map[string]string
	// CA issued every identity.
	CA *rpc.CA

	opts      Options
	pg        *pgserver.Server
	adminDSN  string
	listeners map[string]net.Listener
	parts     []process.Component
}

// Services lists the three services in the order in which they start.
func Services() []string { return []string{"sync", "availability", "followups"} }

// Migrations are the schemas of all services.
func Migrations() []postgres.Migrations {
	return []postgres.Migrations{sync.Migrations(), availability.Migrations(), followups.Migrations()}
}

// New prepares everything: database, migrations, certificates, listeners, services. Call Run next, or Close.
func New(ctx context.Context, opts Options) (*Stack, error) {
	s := &Stack{opts: opts, Targets: map[string]string{}, listeners: map[string]net.Listener{}}
	if s.opts.Clock == nil {
		s.opts.Clock = clock.System()
	}
	for _, step := range []func(context.Context) error{s.database, s.identities, s.listen, s.services, s.gateway} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Run serves until ctx ends, then drains in reverse order and stops the private database.
func (s *Stack) Run(ctx context.Context) error {
	err := process.Run(ctx, s.parts...)
	return errors.Join(err, s.Close())
}

// Close stops the private database. Run does it too.
func (s *Stack) Close() error {
	if s.pg != nil {
		s.pg.Stop()
		s.pg = nil
	}
	return nil
}

// Await waits until every role is ready.
func (s *Stack) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.GatewayURL+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("await readiness: %w", err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await readiness of %s: %w", s.GatewayURL, ctx.Err())
		case <-ticker.C:
		}
	}
}

func (s *Stack) database(ctx context.Context) error {
	s.adminDSN = s.opts.AdminDSN
	if s.adminDSN == "" {
		var err error
		s.pg, err = pgserver.Start(ctx, pgserver.Config{Dir: s.opts.DataDir, Keep: s.opts.DataDir != "", Durable: true, Logger: s.opts.Logger})
		if err != nil {
			return err
		}
		if err := s.pg.CreateDatabase(ctx, "relance"); err != nil {
			return err
		}
		s.adminDSN = s.pg.DSN("relance")
	}
	for _, m := range Migrations() {
		if err := postgres.Migrate(ctx, s.adminDSN, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stack) identities(context.Context) error {
	var err error
	if s.CA, err = rpc.NewCA(rpc.TrustDomain); err != nil || s.opts.CertDir == "" {
		return err
	}
	for _, name := range append(Services(), "gateway") {
		if err := s.CA.WriteFiles(s.opts.CertDir, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stack) listen(ctx context.Context) error {
	for _, name := range Services() {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		s.listeners[name], s.Targets[name] = listener, listener.Addr().String()
	}
	return nil
}

func (s *Stack) gateway(ctx context.Context) error {
	identity, err := s.CA.Issue("gateway")
	if err != nil {
		return err
	}
	listen := s.opts.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	cfg := s.opts.Settings.Gateway
	cfg.Listen, cfg.SyncTarget, cfg.FollowUpsTarget = listen, s.Targets["sync"], s.Targets["followups"]
	cfg.AvailabilityTarget, cfg.GHLPublicKeys = s.Targets["availability"], s.opts.GHLPublicKeys
	cfg.CronSecrets, cfg.AdminSecrets = secrets(s.opts.CronSecrets), secrets(s.opts.AdminSecrets)
	g, err := gateway.New(ctx, cfg, gateway.Deps{Identity: identity, Clock: s.opts.Clock, Logger: s.logger("gateway")})
	if err != nil {
		return err
	}
	s.GatewayURL = "http://" + g.Addr().String()
	s.parts = append(s.parts, process.Component{Name: "gateway", Run: g.Run})
	return nil
}

func (s *Stack) keyset() (config.Secret, error) {
	keys := s.opts.Keyset
	if keys == "" {
		fresh, err := secretbox.GenerateKeyset()
		if err != nil {
			return config.Secret{}, err
		}
		keys = string(fresh)
	}
	return config.Secret{Secret: redact.Secret(keys)}, nil
}

func secrets(values []string) []config.Secret {
	out := make([]config.Secret, len(values))
	for i, v := range values {
		out[i] = config.Secret{Secret: redact.Secret(v)}
	}
	return out
}

func (s *Stack) logger(service string) *slog.Logger {
	return s.opts.Logger.With(slog.String("service", service))
}

// NewSecret is a random secret of 256 bits.
func NewSecret() string {
	var raw [32]byte
	// crypto/rand.Read never fails on supported systems.
	_, _ = rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}
