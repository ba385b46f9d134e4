// Command prove runs the long proofs of docs/reliability.md and prints their figures. `make storm` and its like call it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// proof is a named long run.
type proof struct {
	name, what string
	run        func(context.Context, io.Writer, []string) error
}

func proofs() []proof {
	return []proof{
		{"storm", "kill storm (R1)", runStorm},
		{"crashpoints", "every place where a process may die (R2)", runCells},
		{"teeth", "planted bugs are found (R5)", runTeeth},
		{"runs", "runs of follow-ups are killed (K1 to K6)", runRuns},
		{"rtests", "R3, R4, R10, R11, R18, R40", runOutcomes},
		{"bench", "speed of sync against bare loops", runBench},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) > 0 {
		for _, p := range proofs() {
			if p.name == args[0] {
				return p.run(ctx, out, args[1:])
			}
		}
	}
	var text string
	for _, p := range proofs() {
		text += fmt.Sprintf("\n  %-12s %s", p.name, p.what)
	}
	return errors.New("name one proof:" + text)
}
