// Package process holds the life of a process: signals in, named components run together, one exit code out.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Main runs fn with a context that ends at SIGINT or SIGTERM and gives the exit code: 0 for nil or an end by signal, 1
// with the error on stderr otherwise. The collector runs half as often as by Go's own default, unless GOGC says otherwise.
func Main(args []string, stderr io.Writer, fn func(context.Context, []string) error) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the first signal on the default action is back, so that a second one ends a drain that takes too long.
	context.AfterFunc(ctx, stop)
	err := fn(ctx, args)
	if err == nil || (ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "relance:", err)
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

// collectAt is how much is allocated between two collections, in percent of what is in use. A service keeps little (some
// 15 MiB) and allocates much, so Go's default of 100 collects all the time under load for the sake of a few megabytes. More than
// this would spare little, and an import would take twice the memory.
const collectAt = 200

// Component is one part of a process.
type Component struct {
	// Name is used in errors.
	Name string
	// Run blocks until ctx ends and then stops in good order.
	Run func(context.Context) error
}

// Run starts all components and waits for all. When one fails, or ctx ends, they stop in reverse order, each given the
// time it needs: a later component may rely on an earlier one to the end.
func Run(ctx context.Context, components ...Component) error {
	group, failed := errgroup.WithContext(ctx)
	stops := make([]context.CancelFunc, len(components))
	ended := make([]chan struct{}, len(components))
	for i, c := range components {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], ended[i] = stop, make(chan struct{})
		group.Go(func() error {
			defer close(ended[i])
			if err := c.Run(own); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			if own.Err() == nil && failed.Err() == nil {
				return fmt.Errorf("%s: ended by itself", c.Name)
			}
			return nil
		})
	}
	<-failed.Done()
	for i := len(components) - 1; i >= 0; i-- {
		stops[i]()
		<-ended[i]
	}
	return group.Wait()
}
