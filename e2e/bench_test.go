package e2e

import (
	"context"
	"io"
	"testing"

	"github.com/relance/relance/e2e/internal/bench"
	"github.com/relance/relance/e2e/internal/figure"
)

// TestBenchesRun runs the benches of sync at a scale that says nothing about speed, so that they do not rot: each checks that what
// it measures was really done.
func TestBenchesRun(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("four labs")
	}
	binary := relance(t)
	for name, run := range map[string]func(context.Context, *figure.Sheet) error{
		"sends":    (&bench.Sends{Binary: binary, PerRound: 20}).Run,
		"webhooks": (&bench.Webhooks{Binary: binary, PerRound: 10}).Run,
		"imports":  (&bench.Imports{Binary: binary, Messages: 2000}).Run,
		"sizes":    (&bench.Sizes{Binary: binary, Small: 500, Large: 1000, Calls: 40}).Run,
	} {
		if err := run(t.Context(), figure.NewSheet(io.Discard)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
