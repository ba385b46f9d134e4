package store_test

import (
	_ "embed"
	"testing"

	"github.com/relance/relance/platform/pgtest/statements"
	"github.com/relance/relance/services/availability/internal/store"
)

//go:embed testdata/crowd.sql
var crowd string

const (
	hosts      = "of each calendar provider one row"
	workspaces = "of each workspace one row, whatever it holds"
)

// TestStatementsReadWhatTheyReturn: no statement costs more because a tenant is large, once its tables were analyzed by AnalyzeGrown.
func TestStatementsReadWhatTheyReturn(t *testing.T) {
	t.Parallel()
	statements.Check{
		Dir: "queries",
		Values: map[string]string{
			"workspace_id":  `15f632ef-0a59-9fe9-5b9e-198f0fa9956a`,
			"workspace_ids": `{15f632ef-0a59-9fe9-5b9e-198f0fa9956a}`,
			"lead_id":       `2e76d883-80bc-38ea-bb19-33d3f6b8719f`,
			"id":            `863db35a-61e3-ca74-6547-5aa6975b1574`,
			"request_id":    `922b0924-d92d-76c5-5f70-118a75cc32e9`,
			"source_kind":   `default`,
			"agency":        `agency-3`,
			"host":          `host-3`,
			"state":         `ok`,
			"states":        `{}`,
			"now":           `2026-01-01 12:00:00Z`,
			"page":          `50`,
			"batch":         `50`,
			"after":         `00000000-0000-0000-0000-000000000000`,
			"since":         `2100-01-01`,
			"until":         `2100-01-02`,
			"week":          `2026-01-05`,
			"provider":      `ghl`,
			"appointment":   `appointment-15`,
			"before":        `2025-01-01`,
			"seconds":       `30`,
			"workspace":     `15f632ef-0a59-9fe9-5b9e-198f0fa9956a`,
			"fewer_than":    `0`,
			"fresh_since":   `2026-01-01`,
		},
		Own: map[string]map[string]string{
			"LeaveRun":           {"id": `4b63f200-0bc3-bbab-7365-bc8bbb78ff80`},
			"FinishRun":          {"id": `4b63f200-0bc3-bbab-7365-bc8bbb78ff80`},
			"Runs":               {"before": `ffffffff-ffff-ffff-ffff-ffffffffffff`},
			"Links/far":          {"after": `f0000000-0000-0000-0000-000000000000`},
			"MoveTakenCursor":    {"before": ``},
			"SettleUnconfigured": {"state": `unconfigured`},
		},
		ByIndex: []string{"LeaseNextDue", "LeaseNextAny", "LockUnconfigured", "DueAgencies", "AllAgencies", "Oldest", "DeferWaiting"},
		Stored:  []string{"LearnWorkspaces", "InsertLink"},
		May: map[string]string{
			"Hosts": hosts, "ForgetHosts": hosts, "TellLow": workspaces, "CountByState": workspaces, "AllAgencies": workspaces,
			"LeaseNextAny": "from the last one that it leased on; here none is due",
		},
	}.Run(t, statements.Crowd(t, store.Migrations(), crowd))
}
