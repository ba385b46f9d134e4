//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// guard is a small shell that learns of this process's death by the end of its input, even after SIGKILL and on systems
// without a parent-death signal. It then ends PostgreSQL and removes the directory that was not to be kept.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
	once sync.Once
}

// The wait is bounded (30 s): where process 1 reaps nobody, a dead server seems alive for ever.
const guardScript = `
read -r word && [ "$word" = dismissed ] && exit 0
kill -INT "$1" 2>/dev/null
n=0
while [ $n -lt 300 ] && kill -0 "$1" 2>/dev/null; do n=$((n+1)); sleep 0.1; done
[ -n "$2" ] && rm -rf -- "$2"
exit 0`

// startGuard watches over the server with this pid until ended closes; remove may be empty.
func startGuard(ctx context.Context, pid int, remove string, ended <-chan struct{}) (*guard, error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", guardScript, "relance-pg-guard", strconv.Itoa(pid), remove)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start postgres: guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start postgres: guard: %w", err)
	}
	g := &guard{cmd: cmd, pipe: pipe}
	go func() {
		// This also keeps g, and with it the pipe, reachable: a collected pipe closes, and the guard would take a
		// caller that kept no more than the DSN for dead.
		<-ended
		g.dismiss()
	}()
	return g, nil
}

// dismiss ends the guard with its work undone. More than once is harmless.
func (g *guard) dismiss() {
	g.once.Do(func() {
		_, _ = io.WriteString(g.pipe, "dismissed\n")
		_ = g.pipe.Close()
		_ = g.cmd.Wait()
	})
}

// awaitFree waits for a server that still holds the data directory: one that goes down because its program was killed
// needs a moment. ctx should have a deadline.
func awaitFree(ctx context.Context, data string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		pid := holder(data)
		if pid <= 0 {
			return nil
		}
		if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
			return nil // left behind by a crash; PostgreSQL clears it away
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start postgres: process %d holds %s: %w", pid, data, ctx.Err())
		case <-ticker.C:
		}
	}
}

// holder is the pid written in a data directory, or 0.
func holder(data string) int {
	body, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(body), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(first))
	return pid
}
