// Package lab sets up what a proof needs: a private durable PostgreSQL, the simulator as the provider, certificates, and
// replicas of the built relance binary that can be killed, stopped and started again. It asserts nothing.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgserver"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/simulator"
)

// Timing are the send protocol's constants (docs/send-protocol.md §3.1), scaled down together.
type Timing struct {
	Write, Pause, Call, Delay, Visible, Settle time.Duration
}

// Scaled is the timing of proofs: everything that takes minutes in production takes seconds. A loaded machine needs the
// room between what the simulator does (Late, Lag) and what is assumed of it (Delay, Visible).
func Scaled() Timing {
	return Timing{
		Write: 1500 * time.Millisecond, Pause: 500 * time.Millisecond, Call: 1500 * time.Millisecond,
		Delay: time.Second, Visible: time.Second, Settle: 6 * time.Second,
	}
}

// Late and Lag are what the simulator really does under Scaled timing; both are well inside Delay and Visible.
const (
	Late = 400 * time.Millisecond
	Lag  = 400 * time.Millisecond
)

// Options say how a lab is made.
type Options struct {
	// Binary is the relance to run; Build makes one.
	Binary string
	Timing Timing
	// Simulator configures the provider; Now is filled in.
	Simulator simulator.Config
	// Seed is the simulator's.
	Seed uint64
	// Env is added to every replica.
	Env []string
	// Link makes replicas reach PostgreSQL by the lab's Link.
	Link bool
}

// Lab is a running laboratory. Close ends everything it started.
type Lab struct {
	*simulator.Simulator
	// URL is the provider's base URL.
	URL string
	// PG is the database server, Admin a pool of its superuser on the database that replicas use.
	PG    *pgserver.Server
	Admin *pgxpool.Pool
	CA    *rpc.CA
	// Link can lose answers of COMMIT; nil unless asked for.
	Link *Link

	opts     Options
	dir      string
	keyset   string
	replicas []*Replica
	gateway  *Replica
	stop     context.CancelFunc
}

const database = "relance"

// New starts database and provider and migrates. The caller must Close it also after an error of its own.
func New(ctx context.Context, opts Options) (*Lab, error) {
	l := &Lab{opts: opts}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = cancel
	if err := l.start(ctx, life); err != nil {
		return nil, errors.Join(fmt.Errorf("start lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) start(ctx, life context.Context) (err error) {
	if l.dir, err = os.MkdirTemp("", "rel-lab-"); err != nil {
		return err
	}
	cfg := l.opts.Simulator
	cfg.Now, cfg.Seed, cfg.RateLimit.Disabled = time.Now, l.opts.Seed, true
	l.Simulator = simulator.New(cfg)
	if l.URL, err = l.Start(life); err != nil {
		return err
	}
	if l.PG, err = pgserver.Start(ctx, pgserver.Config{Durable: true}); err != nil {
		return err
	}
	if err = l.PG.CreateDatabase(ctx, database); err != nil {
		return err
	}
	if l.opts.Link {
		if l.Link, err = newLink(ctx, l.PG.Dir()); err != nil {
			return err
		}
	}
	if err = l.run(ctx, "migrate"); err != nil {
		return err
	}
	if l.keyset, err = l.output(ctx, "keyset"); err != nil {
		return err
	}
	if l.Admin, err = pgxpool.New(ctx, l.PG.DSN(database)); err != nil {
		return err
	}
	if l.CA, err = rpc.NewCA(rpc.TrustDomain); err != nil {
		return err
	}
	return l.CA.WriteFiles(l.dir, "sync")
}

// Close kills the replicas and removes everything.
func (l *Lab) Close() error {
	var err error
	for _, r := range l.replicas {
		r.Kill()
	}
	if l.Admin != nil {
		l.Admin.Close()
	}
	l.stop()
	if l.Simulator != nil {
		err = l.Simulator.Close()
	}
	if l.Link != nil {
		err = errors.Join(err, l.Link.Close())
	}
	if l.PG != nil {
		l.PG.Stop()
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// DSN is how a replica of a service reaches the database.
func (l *Lab) DSN(service string) string {
	dsn := postgres.RoleDSN(l.PG.DSN(database), service)
	if l.Link != nil {
		dsn = strings.Replace(dsn, url.QueryEscape(l.PG.Dir()), url.QueryEscape(l.Link.dir), 1)
	}
	return dsn
}

func (l *Lab) env() []string {
	return append(CleanEnv(), "RELANCE_DATABASE_URL="+l.PG.DSN(database))
}

func (l *Lab) run(ctx context.Context, args ...string) error {
	_, err := l.output(ctx, args...)
	return err
}

func (l *Lab) output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.opts.Binary, args...)
	cmd.Env = l.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("relance %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// CleanEnv is this process's environment without configuration of relance, but for where PostgreSQL is.
func CleanEnv() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "RELANCE_") || strings.HasPrefix(pair, "RELANCE_POSTGRES_BIN=") {
			env = append(env, pair)
		}
	}
	return env
}

// Build builds relance with build tags into dir.
func Build(ctx context.Context, dir string, tags ...string) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, "relance-"+strings.Join(append([]string{"built"}, tags...), "-"))
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", strings.Join(tags, ","), "-o", target, ".")
	cmd.Dir = filepath.Join(root, "cmd", "relance")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build relance: %w: %s", err, out)
	}
	return target, nil
}

// Root is the directory of the repository.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	work := strings.TrimSpace(string(out))
	if work == "" || work == "off" {
		return "", errors.New("find repository: run it inside the repository's workspace (go.work)")
	}
	return filepath.Dir(work), nil
}

// Env is the timing as the environment of a process that serves sync.
func (t Timing) Env() []string {
	return []string{
		"RELANCE_SYNC_SEND_WRITE=" + t.Write.String(), "RELANCE_SYNC_SEND_PAUSE=" + t.Pause.String(),
		"RELANCE_SYNC_SEND_CALL=" + t.Call.String(), "RELANCE_SYNC_SEND_DELAY=" + t.Delay.String(),
		"RELANCE_SYNC_SEND_VISIBLE=" + t.Visible.String(), "RELANCE_SYNC_SEND_SETTLE=" + t.Settle.String(),
	}
}

// Pause waits, or gives ctx's error.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Production is the timing of the defaults.
func Production() Timing {
	return Timing{
		Write: 5 * time.Second, Pause: time.Minute, Call: 15 * time.Second, Delay: 2 * time.Minute, Visible: 10 * time.Minute,
		Settle: 15 * time.Minute,
	}
}
