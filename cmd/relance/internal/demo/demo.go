package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/relance/relance/cmd/relance/internal/stack"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/telemetry"
	"github.com/relance/relance/simulator"
)

// ErrChecksFailed says that the story did not end as it must; the page printed says where.
var ErrChecksFailed = errors.New("demo: checks failed")

// Options say how the demo runs.
type Options struct {
	// Out gets the page.
	Out io.Writer
	// AdminDSN names a running database; empty starts a private cluster.
	AdminDSN string
	// Verbose copies the services' logs to LogOut.
	Verbose bool
	// LogOut is where logs go when Verbose.
	LogOut io.Writer
}

// Run plays the story and checks it. It needs nothing but PostgreSQL binaries and takes well under a minute.
func Run(ctx context.Context, opts Options) error {
	began := clock.System().Now()
	logs := &logBuffer{}
	var sink io.Writer = logs
	if opts.Verbose {
		sink = io.MultiWriter(logs, opts.LogOut)
	}
	p := &play{clock: clock.NewFlowing(Start()), workspaces: cast()}
	// The whole story plays in seconds of machine time, in which a real location would have no quota for it.
	p.sim = simulator.New(simulator.Config{Now: p.clock.Now, RateLimit: simulator.RateLimit{Disabled: true}})
	defer func() { _ = p.sim.Close() }()
	if err := populate(p.sim, p.workspaces); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	provider, err := p.sim.Start(ctx)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	p.client = &client{cron: stack.NewSecret(), admin: stack.NewSecret(), http: &http.Client{Timeout: time.Minute}}
	s, err := stack.New(ctx, stack.Options{
		Clock: p.clock, Logger: telemetry.NewLogger(sink, slog.LevelInfo), AdminDSN: opts.AdminDSN, GHLBaseURL: provider,
		GHLPublicKeys: []string{p.sim.PublicKeyPEM()}, CronSecrets: []string{p.client.cron}, AdminSecrets: []string{p.client.admin},
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	p.client.base = s.GatewayURL
	serving, halt := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- s.Run(serving) }()
	playErr := s.Await(ctx)
	if playErr == nil {
		playErr = p.run(ctx)
	}
	var verdicts []verdict
	if playErr == nil {
		verdicts, playErr = p.verify(ctx, logs.Bytes())
	}
	halt()
	if err := errors.Join(playErr, <-served); err != nil {
		return errors.Join(fmt.Errorf("demo: %w", err), tail(opts.Out, logs.Bytes()))
	}
	return p.report(opts.Out, verdicts, clock.System().Now().Sub(began))
}

// tail prints the last log lines, which say why the story broke off.
func tail(out io.Writer, logs []byte) error {
	lines := bytes.SplitAfter(logs, []byte("\n"))
	for _, line := range lines[max(0, len(lines)-20):] {
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("print log: %w", err)
		}
	}
	return nil
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
