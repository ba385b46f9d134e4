package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/relance/relance/platform/process"
)

type coded struct{}

func (coded) Error() string { return "coded" }

func (coded) ExitCode() int { return 7 }

func TestMainGivesTheExitCode(t *testing.T) {
	cause := errors.New("broken")
	for name, c := range map[string]struct {
		fn   func(context.Context, []string) error
		code int
	}{
		"done":                       {func(context.Context, []string) error { return nil }, 0},
		"error":                      {func(context.Context, []string) error { return cause }, 1},
		"error with a code":          {func(context.Context, []string) error { return fmt.Errorf("audit: %w", coded{}) }, 7},
		"cancelled without a signal": {func(context.Context, []string) error { return context.Canceled }, 1},
		"signal": {func(ctx context.Context, _ []string) error {
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
			<-ctx.Done()
			return fmt.Errorf("serve: %w", ctx.Err())
		}, 0},
		"error after a signal": {func(ctx context.Context, _ []string) error {
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
			<-ctx.Done()
			return cause
		}, 1},
	} {
		var stderr bytes.Buffer
		if code := process.Main([]string{"serve"}, &stderr, c.fn); code != c.code {
			t.Errorf("%s: code %d, want %d", name, code, c.code)
		}
		if c.code != 0 && strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: stderr %q, want one line", name, stderr.String())
		}
	}
}

func TestRunReportsAComponentThatEndsByItself(t *testing.T) {
	t.Parallel()
	ends := process.Component{Name: "early", Run: func(context.Context) error { return nil }}
	waits := process.Component{Name: "late", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	if err := process.Run(t.Context(), waits, ends); err == nil || !strings.Contains(err.Error(), "early") {
		t.Errorf("Run = %v, want it to name the component", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := process.Run(ctx, waits, waits); err != nil {
		t.Errorf("Run ended by its context = %v, want nil", err)
	}
}
