package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a condition; it is generous because several clusters may start at once.
const patience = 90 * time.Second

// built is the binary under test, made once per test binary by whoever asks first.
type built struct {
	once sync.Once
	dir  string
	err  error
}

var binary built

// TestMain removes what was built.
func TestMain(m *testing.M) {
	code := m.Run()
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}

// relance gives the path of the built binary.
func relance(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "relance-e2e-bin-"); binary.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(binary.dir, "relance"), ".")
		cmd.Dir = repoPath("cmd", "relance")
		if out, err := cmd.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("build relance: %w: %s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return filepath.Join(binary.dir, "relance")
}

// child is a running relance.
type child struct {
	cmd  *exec.Cmd
	out  locked
	log  locked
	done chan struct{}
}

// locked collects output.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs relance with RELANCE_* only from env. Unless it was killed, it is ended by SIGINT and must then exit with 0.
func start(t *testing.T, env []string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(relance(t), args...), done: make(chan struct{})}
	c.cmd.Env = append(cleanEnv(), env...)
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		c.stop(t)
		if t.Failed() {
			t.Logf("relance %s, end of its log:\n%s", strings.Join(args, " "), tail(c.log.String()))
		}
	})
	return c
}

// stop ends the child in good order.
func (c *child) stop(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
		if !c.killed() && c.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("relance ended by itself: %s", c.cmd.ProcessState)
		}
		return
	default:
	}
	_ = c.cmd.Process.Signal(syscall.SIGINT)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.done:
		if code := c.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("relance ended with %s after SIGINT, want exit code 0", c.cmd.ProcessState)
		}
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.done
		t.Errorf("relance did not end within %s of SIGINT", patience)
	}
}

// kill is kill -9, waited for.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.done
}

func (c *child) killed() bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// gateway is the base URL of the child's gateway, read from its log.
func (c *child) gateway(t *testing.T) string {
	t.Helper()
	var address string
	c.eventually(t, "the gateway to listen", func() bool {
		for line := range strings.Lines(c.log.String()) {
			var entry struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "gateway listening" {
				address = entry.Address
			}
		}
		return address != ""
	})
	return "http://" + address
}

// eventually polls ok until it holds, the child ends or patience does.
func (c *child) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-c.done:
			t.Fatalf("relance ended while the test waited for %s: %s\n%s", what, c.cmd.ProcessState, tail(c.log.String()))
		case <-ctx.Done():
			t.Fatalf("waited %s for %s", patience, what)
		case <-ticker.C:
		}
	}
}

// cleanEnv is this process's environment without configuration of relance, but for where PostgreSQL is.
func cleanEnv() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "RELANCE_") || strings.HasPrefix(pair, "RELANCE_POSTGRES_BIN=") {
			env = append(env, pair)
		}
	}
	return env
}

// clusterDir is a directory for a private cluster: with a short path, since sockets allow 107 bytes, and not below a
// directory that the server's user cannot enter.
func clusterDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rel-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// tail is the end of a log without the line of each request.
func tail(log string) string {
	const most = 30
	var lines []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"msg":"http request"`) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-most):], "")
}
