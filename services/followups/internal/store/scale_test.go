package store_test

import (
	_ "embed"
	"testing"

	"github.com/relance/relance/platform/pgtest/statements"
	"github.com/relance/relance/services/followups/internal/store"
)

//go:embed testdata/crowd.sql
var crowd string

// TestStatementsReadWhatTheyReturn: no statement costs more because a tenant is large, once its tables were analyzed by AnalyzeGrown.
func TestStatementsReadWhatTheyReturn(t *testing.T) {
	t.Parallel()
	statements.Check{
		Dir: "queries",
		Values: map[string]string{
			"workspace_id":   `15f632ef-0a59-9fe9-5b9e-198f0fa9956a`,
			"workspace_ids":  `{15f632ef-0a59-9fe9-5b9e-198f0fa9956a}`,
			"lead_id":        `ca81f199-353d-35da-6441-e17b04b10087`,
			"lead_ids":       `{ca81f199-353d-35da-6441-e17b04b10087}`,
			"id":             `39c35d30-685c-20e1-6730-fafc43d4bc57`,
			"ids":            `{39c35d30-685c-20e1-6730-fafc43d4bc57}`,
			"enrollment_id":  `39c35d30-685c-20e1-6730-fafc43d4bc57`,
			"enrollment_ids": `{39c35d30-685c-20e1-6730-fafc43d4bc57}`,
			"sequence_id":    `1e8b8849-0aa3-649d-9fc7-3213fbad5da6`,
			"sequence_ids":   `{1e8b8849-0aa3-649d-9fc7-3213fbad5da6}`,
			"version":        `1`,
			"versions":       `{1}`,
			"position":       `1`,
			"positions":      `{1}`,
			"request_id":     `922b0924-d92d-76c5-5f70-118a75cc32e9`,
			"request_ids":    `{922b0924-d92d-76c5-5f70-118a75cc32e9}`,
			"event_id":       `c1dba2a5-8978-6423-9935-b298db25fbbb`,
			"now":            `2026-01-01 12:00:00Z`,
			"page_size":      `50`,
			"size":           `50`,
			"run_id":         `2ba625a2-7530-f320-10d0-e4a2e4598c76`,
			"before_id":      `ffffffff-ffff-ffff-ffff-ffffffffffff`,
			"after_id":       `00000000-0000-0000-0000-000000000000`,
			"reasons":        `{WINDOW}`,
			"reason":         `SEQUENCE_PAUSED`,
			"type":           `replied`,
			"types":          `{replied}`,
			"triggers":       `{manual}`,
			"day":            `2026-01-01`,
			"from_day":       `2026-01-01`,
			"channel":        `sms`,
			"daily_cap":      `2`,
			"booking_id":     `booking-1500`,
			"kind":           `step`,
			"before":         `2025-01-01`,
			"lease_seconds":  `30`,
			"until":          `2026-12-01`,
		},
		Own: map[string]map[string]string{
			"SaveEnrollments":      {"states": `{active}`, "reasons": `{x}`, "positions": `{1}`, "base_times": `{2026-01-01}`, "due_times": `{2026-02-01}`, "next_times": `{2026-02-01}`, "replied_sinces": `{2026-01-01}`, "end_times": `{0001-01-01 00:00:00Z}`, "attempts": `{0}`, "held_backs": `{0}`, "parts": `{0}`, "approved": `{false}`, "wake_ons": `{""}`, "hold_untils": `{0001-01-01 00:00:00Z}`, "release": `true`},
			"SealVersion":          {"version": `2`},
			"MoveEnrollments":      {"same_time": `true`},
			"UpdateSequence":       {"id": `1e8b8849-0aa3-649d-9fc7-3213fbad5da6`, "display_name": `x`, "trigger": `manual`, "re_enroll": `never`, "version": `1`},
			"DeleteSequence":       {"id": `1e8b8849-0aa3-649d-9fc7-3213fbad5da6`},
			"GetSequence":          {"id": `1e8b8849-0aa3-649d-9fc7-3213fbad5da6`},
			"LockSequence":         {"id": `1e8b8849-0aa3-649d-9fc7-3213fbad5da6`},
			"ShareSequence":        {"id": `1e8b8849-0aa3-649d-9fc7-3213fbad5da6`},
			"ListSequenceStates":   {"ids": `{1e8b8849-0aa3-649d-9fc7-3213fbad5da6}`},
			"ListSequenceTriggers": {"ids": `{1e8b8849-0aa3-649d-9fc7-3213fbad5da6}`},
			"ListSequences/far":    {"after_id": `f0000000-0000-0000-0000-000000000000`},
			"GetRun":               {"id": `2ba625a2-7530-f320-10d0-e4a2e4598c76`},
			"FinishRun":            {"id": `2ba625a2-7530-f320-10d0-e4a2e4598c76`},
			"LockTask":             {"id": `a35278b1-70c3-55af-648b-cfb19e0a1387`},

			"ListEnrollments/far": {"after_id": `f0000000-0000-0000-0000-000000000000`},
			"ListTasks/workspace": {"lead_id": ``},
			"ListTasks/pending":   {"lead_id": ``, "state": `pending`},
			"ListTasks/lead":      {},
			"ListTasks/none":      {"lead_id": ``, "state": `skipped`},
		},
		Pages:  []string{"ListEnrollments", "ListTasks"},
		Stored: []string{"RecordDecisions", "InsertPlans", "AddRunItems", "InsertTasks"},
		May: map[string]string{
			"ListTasks": "a state that has no index, and that nobody lists", "ListBatchSteps": "a small table", "ListSequenceStates": "a small table",
			"ListSequenceTriggers": "a small table",
			"WakeDeferred":         "a person changes the settings: what runs in the workspace", "RecheckPaused": "as WakeDeferred",
		},
	}.Run(t, statements.Crowd(t, store.Migrations(), crowd))
}
