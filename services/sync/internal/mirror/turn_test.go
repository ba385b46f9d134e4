package mirror_test

import (
	"testing"

	"github.com/google/uuid"
)

// TestWorkspacesTakeTurns: however much is due of some workspaces, each is served before any is served again.
func TestWorkspacesTakeTurns(t *testing.T) {
	t.Parallel()
	const workspaces, due, rounds = 9, 40, 3 // more workspaces than one claim has room for
	r := newRig(t, &desk{})
	for range workspaces {
		id := uuid.New()
		r.exec(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'W', 'UTC', now(), now())`, id)
		r.exec(`INSERT INTO connection (workspace_id, location, token_enc, state, state_time) VALUES ($1, $2, '', 'CONNECTED', now())`, id, "location"+id.String()[:12])
		r.exec(`INSERT INTO lead (workspace_id, id, create_time, update_time) SELECT $1, gen_random_uuid(), now(), now() FROM generate_series(1, $2)`, id, due)
		r.exec(`INSERT INTO conversation (workspace_id, lead_id, channel, next_time) SELECT $1, id, 'sms', $2 FROM lead WHERE workspace_id = $1`, id, noon)
	}
	if err := r.replica().Claims(t.Context(), rounds); err != nil {
		t.Fatal(err)
	}
	if got := r.text(`SELECT count(DISTINCT workspace_id) FROM conversation WHERE lease_until IS NOT NULL`); got != "9" {
		t.Errorf("%s of %d workspaces were served by %d claims", got, workspaces, rounds)
	}
}
