// Package pgserver runs a private PostgreSQL cluster for demos, the sandbox and tests: in a directory of its own, on a
// Unix socket only, as a child of this process. It is not for production.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startTimeout = 60 * time.Second
	// freeTimeout is how long a directory may be held by a server whose program was killed.
	freeTimeout = 15 * time.Second
)

// Config is what a cluster needs.
type Config struct {
	// Dir holds the cluster; it is reused when it has one. Empty: a fresh directory below the system's temporary one.
	Dir string
	// Keep leaves Dir in place at Stop. Without it, what Start has made is removed, and nothing else: a Dir that existed before stays, less
	// the cluster when that was not in it.
	Keep bool
	// Durable turns fsync and its companions on. Off is for tests, where the machine's crash is not tested.
	Durable bool
	// Logger gets start and stop. Default silence.
	Logger *slog.Logger
}

// Server is a running cluster.
type Server struct {
	cfg  Config
	bin  string
	cmd  *exec.Cmd
	done chan struct{}
	// made is what Stop removes; empty for nothing.
	made string
	// guard ends the server when this process dies.
	guard *guard
}

// Start finds PostgreSQL (RELANCE_POSTGRES_BIN, pg_config, PATH, Debian's and Homebrew's places, else a download into a
// cache), makes a cluster in Dir when it has none, and starts it. Works as root, by a child of another user.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	bin, err := FindBinaries(ctx, cfg.Logger)
	if err != nil {
		return nil, err
	}
	own := cfg.Dir == ""
	if own {
		if cfg.Dir, err = os.MkdirTemp("", "relance-pg-"); err != nil {
			return nil, fmt.Errorf("start postgres: %w", err)
		}
	}
	s := &Server{cfg: cfg, bin: bin, made: made(cfg, own)}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if err := s.run(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// DSN is the superuser's DSN of a database of the cluster.
func (s *Server) DSN(database string) string {
	dsn := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		RawQuery: url.Values{"host": {s.cfg.Dir}}.Encode(),
	}
	return dsn.String()
}

// Dir is where the cluster lives.
func (s *Server) Dir() string { return s.cfg.Dir }

// PID is the process id of the running server's main process, whose children its backends are.
func (s *Server) PID() (int, error) {
	raw, err := os.ReadFile(filepath.Join(s.cfg.Dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("find postgres: %w", err)
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return 0, fmt.Errorf("find postgres: %w", err)
	}
	return pid, nil
}

// CreateDatabase makes a database unless it exists.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

// Stop ends the cluster (fast shutdown) and removes its directory unless it is kept.
func (s *Server) Stop() {
	s.Halt()
	if err := s.remove(); err != nil {
		s.cfg.Logger.Warn("remove postgres directory", slog.Any("error", err))
	}
}

// Halt ends the cluster and keeps its directory, so that Restart can go on with it.
func (s *Server) Halt() { s.end(syscall.SIGINT) }

// Crash is kill -9 of the server's main process, whose children then end by themselves. Restart recovers from the log.
func (s *Server) Crash() { s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	s.cmd = nil
	if s.guard != nil {
		s.guard.dismiss()
	}
}

// Restart starts a halted cluster again.
func (s *Server) Restart(ctx context.Context) error { return s.run(ctx) }

func (s *Server) remove() error {
	if s.made == "" {
		return nil
	}
	return os.RemoveAll(s.made)
}

// made is the directory that is this cluster's to remove: Dir when it was not there, the cluster's part of it when that was not, else
// none.
func made(cfg Config, own bool) string {
	data := filepath.Join(cfg.Dir, "data")
	switch {
	case cfg.Keep:
		return ""
	case own || absent(cfg.Dir):
		return cfg.Dir
	case absent(data):
		return data
	default:
		return ""
	}
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func (s *Server) prepare(ctx context.Context) error {
	who, err := serverUser()
	if err != nil {
		return err
	}
	data := filepath.Join(s.cfg.Dir, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	for _, dir := range []string{s.cfg.Dir, data} {
		if err := who.own(dir); err != nil {
			return err
		}
	}
	args := []string{"-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"}
	if !s.cfg.Durable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), args...)
	who.run(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("start postgres: initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (s *Server) run(ctx context.Context) error {
	who, err := serverUser()
	if err != nil {
		return err
	}
	free, cancel := context.WithTimeout(ctx, freeTimeout)
	defer cancel()
	if err := awaitFree(free, filepath.Join(s.cfg.Dir, "data")); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(s.bin, "postgres"), s.args()...)
	who.run(cmd)
	if err := s.launch(ctx, cmd); err != nil {
		return err
	}
	return s.await(ctx)
}

func (s *Server) args() []string {
	durable := "off"
	if s.cfg.Durable {
		durable = "on"
	}
	args := []string{"-D", filepath.Join(s.cfg.Dir, "data"), "-k", s.cfg.Dir, "-c", "listen_addresses="}
	for name, value := range map[string]string{
		"fsync": durable, "synchronous_commit": durable, "full_page_writes": durable, "max_connections": "300",
		"shared_buffers": "128MB", "logging_collector": "off", "log_min_messages": "fatal", "unix_socket_permissions": "0700",
	} {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// launch starts the child. It outlives ctx on purpose: Stop ends it, and our death does (parent_linux.go, guard_unix.go).
func (s *Server) launch(ctx context.Context, cmd *exec.Cmd) error {
	started := make(chan error, 1)
	s.done = make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		// The parent-death signal follows the thread that started the child, so that thread must live on.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}(s.done)
	if err := <-started; err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.cmd = cmd
	var err error
	s.guard, err = startGuard(ctx, cmd.Process.Pid, s.made, s.done)
	return err
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			return fmt.Errorf("start postgres: it ended at once in %s; another server may hold the directory", s.cfg.Dir)
		case <-ctx.Done():
			return fmt.Errorf("start postgres: not ready in %s: %w", startTimeout, err)
		case <-ticker.C:
		}
	}
}
