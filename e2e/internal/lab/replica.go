package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Replica is one process of `relance serve sync` that can die and come back at the same address.
type Replica struct {
	// Target is its gRPC address, the same in every life.
	Target string

	lab     *Lab
	env     []string
	command func(extra []string) *exec.Cmd
	mu      sync.Mutex
	cmd     *exec.Cmd
	done    chan struct{}
	log     tailBuffer
	lives   int
}

// Replica makes a replica and starts it. Extra environment goes to this replica alone and wins over the lab's.
func (l *Lab) Replica(ctx context.Context, env ...string) (*Replica, error) {
	r, err := l.reserve(ctx, env)
	if err != nil {
		return nil, err
	}
	r.command = func(extra []string) *exec.Cmd { return l.syncCommand(r, extra) }
	return r, r.Start()
}

// reserve finds an address for a replica, which Close will end.
func (l *Lab) reserve(ctx context.Context, env []string) (*Replica, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("reserve address: %w", err)
	}
	r := &Replica{Target: listener.Addr().String(), lab: l, env: env}
	if err := listener.Close(); err != nil {
		return nil, fmt.Errorf("reserve address: %w", err)
	}
	l.replicas = append(l.replicas, r)
	return r, nil
}

// GatewayProcess starts `relance serve gateway` in front of a replica of sync and gives its base URL. Other services are
// not there.
func (l *Lab) GatewayProcess(ctx context.Context, syncTarget string) (string, error) {
	if err := l.CA.WriteFiles(l.dir, "gateway"); err != nil {
		return "", fmt.Errorf("start gateway: %w", err)
	}
	r, err := l.reserve(ctx, nil)
	if err != nil {
		return "", err
	}
	r.command = func([]string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), l.opts.Binary, "serve", "gateway", "--log-level=error")
		cmd.Env = append(CleanEnv(), "RELANCE_TLS_CERT="+filepath.Join(l.dir, "gateway.pem"),
			"RELANCE_TLS_KEY="+filepath.Join(l.dir, "gateway.key"), "RELANCE_TLS_CA="+filepath.Join(l.dir, "ca.pem"),
			"RELANCE_GATEWAY_LISTEN="+r.Target, "RELANCE_GATEWAY_SYNC_TARGET="+syncTarget, "RELANCE_TRACE_RATIO=0",
			"RELANCE_GHL_PUBLIC_KEYS="+l.PublicKeyPEM())
		return cmd
	}
	if err := r.Start(); err != nil {
		return "", err
	}
	l.gateway = r
	return "http://" + r.Target, r.Up(ctx)
}

// GatewayPID is the process id of the gateway that was started last.
func (l *Lab) GatewayPID() int { return l.gateway.PID() }

func (l *Lab) syncCommand(r *Replica, extra []string) *exec.Cmd {
	//nolint:noctx // a replica is ended by a signal of the storm or by Stop, never by a context
	cmd := exec.Command(l.opts.Binary, "serve", "sync", "--log-level=warn")
	cert := func(name string) string { return filepath.Join(l.dir, name) }
	cmd.Env = append(CleanEnv(),
		"RELANCE_TLS_CERT="+cert("sync.pem"), "RELANCE_TLS_KEY="+cert("sync.key"), "RELANCE_TLS_CA="+cert("ca.pem"),
		"RELANCE_SYNC_LISTEN="+r.Target, "RELANCE_SYNC_DATABASE_URL="+l.DSN("sync"),
		"RELANCE_SYNC_KEYSET="+l.keyset, "RELANCE_SYNC_GHL_BASE_URL="+l.URL, "RELANCE_SYNC_FOLLOWUPS_TARGET=",
		"RELANCE_TRACE_RATIO=0", "RELANCE_SYNC_DRAIN_TIMEOUT="+max(l.opts.Timing.Call, 5*time.Second).String(),
	)
	cmd.Env = slices.Concat(cmd.Env, l.opts.Timing.Env(), l.opts.Env, r.env, extra)
	return cmd
}

// Start starts a dead replica, with more environment for this life alone.
func (r *Replica) Start(env ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	cmd := r.command(env)
	cmd.Stdout, cmd.Stderr = &r.log, &r.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start replica: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // how it ended is read from ProcessState
	}()
	r.cmd, r.done = cmd, done
	r.lives++
	return nil
}

// Kill is kill -9, waited for. It reports whether there was a life to end.
func (r *Replica) Kill() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return false
	}
	alive := r.cmd.Process.Kill() == nil
	<-r.done
	return alive
}

// Signal sends SIGSTOP, SIGCONT or SIGTERM.
func (r *Replica) Signal(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(s) // a process that has ended needs none
	}
}

// Done is closed when the present life has ended.
func (r *Replica) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// Killed reports that the last life ended by SIGKILL.
func (r *Replica) Killed() bool {
	<-r.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Lives counts the starts.
func (r *Replica) Lives() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lives
}

// Up waits until the replica accepts connections.
func (r *Replica) Up(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.Target)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-r.Done():
			return fmt.Errorf("replica ended: %s", r.Log())
		case <-ctx.Done():
			return fmt.Errorf("replica not up: %w: %s", ctx.Err(), r.Log())
		case <-ticker.C:
		}
	}
}

// Log is the end of what the replica logged over all its lives.
func (r *Replica) Log() string { return r.log.String() }

// PID is the process id of the present life.
func (r *Replica) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd.Process.Pid
}

// tailBuffer keeps the last bytes written to it.
type tailBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 64 << 10

// Write appends and forgets the beginning.
func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

// String is what is kept.
func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
