package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// TestDueSendsOfOneDoNotHideOthers: sends that stay due, however many and however long, leave room for other workspaces'.
func TestDueSendsOfOneDoNotHideOthers(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	now := k.clock.Now()
	k.exec(`UPDATE send_intent SET next_time = $1, update_time = $1 WHERE id = $2`, now.Add(-time.Minute), k.intent)
	stuck := uuid.New()
	seedSend(k, stuck, uuid.New())
	k.exec(`INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash, policy, state,
			next_time, create_time, update_time)
		SELECT workspace_id, gen_random_uuid(), lead_id, channel, gen_random_uuid(), content_enc, subject_hash, body_hash, html_hash, policy, 'PLANNED',
			$1::timestamptz, $1, $1 FROM send_intent, generate_series(1, 600) WHERE workspace_id = $2`, now.Add(-time.Hour), stuck)
	var due []db.DueIntentsRow
	err := k.store.System(t.Context(), func(tx *store.Tx) (err error) {
		due, err = tx.DueIntents(t.Context(), db.DueIntentsParams{Now: now, Settled: now})
		return err
	})
	if err != nil || !slices.ContainsFunc(due, func(r db.DueIntentsRow) bool { return r.ID == k.intent }) {
		t.Errorf("%d sends are due, %v; the one of the other workspace is not among them", len(due), err)
	}
}
