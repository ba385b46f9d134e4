// Package pgtest gives each test a migrated PostgreSQL database of its own, for tests only. One private server is
// started per test binary, on first use; it ends with the process.
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgserver"
	"github.com/relance/relance/platform/postgres"
)

const setupTimeout = 2 * time.Minute

// DB is one test's database.
type DB struct {
	// AdminDSN is the owner's DSN.
	AdminDSN string

	owner testing.TB
	mu    sync.Mutex
	pools map[string]*pgxpool.Pool
}

// shared is the server of this test binary and the templates made on it.
var shared struct {
	sync.Mutex
	admin     string
	templates map[string]bool
}

// New gives a database with the migrations applied, dropped when the test ends.
func New(t testing.TB, migrations ...postgres.Migrations) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	admin, template := prepare(t, ctx, migrations)
	name := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	run(t, ctx, admin, `CREATE DATABASE `+name+` TEMPLATE `+template)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		run(t, ctx, admin, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`)
	})
	return &DB{AdminDSN: withDatabase(t, admin, name), owner: t, pools: map[string]*pgxpool.Pool{}}
}

// Pool connects as a service's role, closed when the test that made the database ends. It is the same pool each time, so that a
// helper that is called in a loop does not use the server's connections up.
func (d *DB) Pool(t testing.TB, service string) *pgxpool.Pool {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if pool := d.pools[service]; pool != nil {
		return pool
	}
	pool, err := postgres.Open(context.Background(), postgres.Config{
		DSN: postgres.RoleDSN(d.AdminDSN, service), Schema: service, AppName: "test", MaxConns: 16,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.owner.Cleanup(pool.Close)
	d.pools[service] = pool
	return pool
}

// DSN is the DSN of a service's role.
func (d *DB) DSN(service string) string { return postgres.RoleDSN(d.AdminDSN, service) }

func prepare(t testing.TB, ctx context.Context, migrations []postgres.Migrations) (admin, template string) {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.admin == "" {
		shared.admin = start(t, ctx)
		shared.templates = map[string]bool{}
	}
	template = templateName(t, migrations)
	if shared.templates[template] {
		return shared.admin, template
	}
	run(t, ctx, shared.admin, `DROP DATABASE IF EXISTS `+template+` WITH (FORCE)`)
	run(t, ctx, shared.admin, `CREATE DATABASE `+template)
	for _, m := range migrations {
		if err := postgres.Migrate(ctx, withDatabase(t, shared.admin, template), m); err != nil {
			t.Fatal(err)
		}
	}
	shared.templates[template] = true
	return shared.admin, template
}

// start uses RELANCE_TEST_DATABASE_URL, else a private server that the kernel ends with this process.
func start(t testing.TB, ctx context.Context) string {
	t.Helper()
	if dsn := os.Getenv("RELANCE_TEST_DATABASE_URL"); dsn != "" {
		return dsn
	}
	removeStale()
	dir, err := os.MkdirTemp("", fmt.Sprintf("relance-test-%d-", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	server, err := pgserver.Start(ctx, pgserver.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return server.DSN("postgres")
}

// removeStale removes the directories of test processes that are gone: a test binary has no place to clean up last.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "relance-test-*"))
	for _, dir := range dirs {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), "relance-test-%d-", &pid); err != nil || alive(pid) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err == nil {
			continue
		}
		_ = os.RemoveAll(dir)
	}
}

func templateName(t testing.TB, migrations []postgres.Migrations) string {
	t.Helper()
	sum := sha256.New()
	for _, m := range migrations {
		_, _ = fmt.Fprintln(sum, m.Service, m.River)
		err := fs.WalkDir(m.FS, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := fs.ReadFile(m.FS, path)
			_, _ = fmt.Fprintln(sum, path, string(body))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	name := hex.EncodeToString(sum.Sum(nil))[:16]
	if os.Getenv("RELANCE_TEST_DATABASE_URL") != "" {
		// Several test binaries share that server.
		name += fmt.Sprintf("_%d", os.Getpid())
	}
	return "template_" + name
}

func run(t testing.TB, ctx context.Context, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func withDatabase(t testing.TB, dsn, name string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
