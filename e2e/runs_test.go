package e2e

import (
	"strings"
	"testing"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/e2e/internal/runs"
)

// TestRunsAreKilled is the short form of `make runs`: runs of follow-ups die, or sleep past their lease, with half of the
// due set planned, with messages answered and not recorded, and with outcomes written and not committed.
func TestRunsAreKilled(t *testing.T) {
	t.Parallel()
	binary, err := lab.Build(t.Context(), t.TempDir(), "crashpoints")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	sheet := figure.NewSheet(&out)
	cells := []runs.Cell{
		{Point: "K2", Nth: "2", Signal: "KILL"},
		{Point: "K4", Nth: "7", Signal: "KILL"},
		{Point: "K5", Nth: "1", Signal: "KILL"},
		{Point: "K4", Nth: "3", Signal: "STOP"},
	}
	if err := runs.RunCells(t.Context(), binary, cells, sheet); err != nil {
		t.Fatal(err)
	}
	if err := sheet.Err(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
}
