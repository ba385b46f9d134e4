package store_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
)

// TestTheTriggerHoldsTheTable tries every move on the real table: the database allows exactly the arrows of sending.Moves.
func TestTheTriggerHoldsTheTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, store.Migrations())
	conn, err := pgx.Connect(t.Context(), db.AdminDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	exec := func(sql string, args ...any) error {
		_, err := conn.Exec(t.Context(), sql, args...)
		return err
	}
	must := func(sql string, args ...any) {
		t.Helper()
		if err := exec(sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	workspace := uuid.New()
	must(`SET search_path = sync`)
	must(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'w', 'UTC', now(), now())`, workspace)
	reasons := []sending.Reason{"", sending.SendExhausted, sending.SendAmbiguous, sending.SendNeedsEyes}
	tried, allowed := 0, 0
	for _, from := range sending.States() {
		for _, to := range sending.States() {
			for _, reason := range reasons {
				if from == to {
					continue
				}
				id := uuid.New()
				must(`INSERT INTO lead (workspace_id, id, create_time, update_time) VALUES ($1, $2, now(), now())`, workspace, id)
				must(`INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash,
					policy, state, reason, next_time, create_time, update_time)
					VALUES ($1, $2, $2, 'sms', $2, '', '', '', '', 'resend', $3, $4, now(), now(), now())`, workspace, id, from, reason)
				err := exec(`UPDATE send_intent SET state = $1 WHERE id = $2`, to, id)
				if err != nil && !strings.Contains(err.Error(), "may not move") {
					t.Fatal(err)
				}
				tried++
				if err == nil {
					allowed++
				}
				if got, want := err == nil, sending.CanMove(from, reason, to); got != want {
					t.Errorf("%s(%s) -> %s: database %v, table %v", from, reason, to, got, want)
				}
			}
		}
	}
	if tried != 11*10*len(reasons) || allowed == 0 {
		t.Errorf("%d moves tried, %d allowed", tried, allowed)
	}
	for what, sql := range map[string]string{
		"delete a send":           `DELETE FROM send_intent`,
		"move a fence back":       `UPDATE send_intent SET attempt = attempt - 1`,
		"forget a second send":    `UPDATE send_intent SET ambiguous = ambiguous - 1`,
		"change a planned text":   `UPDATE send_intent SET content_enc = 'x'`,
		"change the request's id": `UPDATE send_intent SET request_id = gen_random_uuid()`,
	} {
		if exec(sql) == nil {
			t.Errorf("the database let somebody %s", what)
		}
	}
	must(`UPDATE send_intent SET provider_message_id = id::text WHERE state = 'ACCEPTED'`)
	if exec(`UPDATE send_intent SET provider_message_id = 'x' WHERE state = 'ACCEPTED'`) == nil {
		t.Error("a claimed provider message was given up")
	}
}
