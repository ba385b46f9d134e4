package e2e

import (
	"testing"
	"time"

	"github.com/relance/relance/e2e/internal/oracle"
	"github.com/relance/relance/e2e/internal/storm"
)

// TestKillStorm is the short form of `make storm`: replicas are killed at random under load and faults, and no message is
// sent twice or lost.
func TestKillStorm(t *testing.T) {
	t.Parallel()
	const sends = 100
	out, err := storm.Run(t.Context(), storm.Config{
		Binary: relance(t), Sends: sends, Kills: 6, Replicas: 3, Seed: 5, Faults: 0.02, PerPerson: 2, Patience: 4 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, invariant := range oracle.Invariants() {
		for _, found := range out.Oracle.Violations(invariant) {
			t.Errorf("%s: %s", invariant, found)
		}
	}
	if out.Kills == 0 || out.Planned != sends || out.Accepted == 0 || out.Posts == 0 {
		t.Errorf("the storm shows too little: %d kills, %d of %d sends planned, %d taken", out.Kills, out.Planned, sends, out.Accepted)
	}
}
