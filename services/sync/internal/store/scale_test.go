package store_test

import (
	_ "embed"
	"testing"

	"github.com/relance/relance/platform/pgtest/statements"
	"github.com/relance/relance/services/sync/internal/store"
)

//go:embed testdata/crowd.sql
var crowdSQL string

// TestStatementsReadWhatTheyReturn: no statement costs more because a tenant is large, once its tables were analyzed by AnalyzeGrown.
func TestStatementsReadWhatTheyReturn(t *testing.T) {
	t.Parallel()
	statements.Check{
		Dir: "queries", Values: atScale(), Own: ofStatements(), ByIndex: []string{"WaitingInboxes"},
		ByValue: []string{"ListInbox", "CountInbox", "ReplayCandidates", "OutdatedBodies"},
		Pages:   []string{"UnsettledMessages"},
		Stored:  []string{"InsertClaimed", "InsertInboxes", "InsertMessages"},
		May:     mayReadMore(),
	}.Run(t, statements.Crowd(t, store.Migrations(), crowdSQL))
}

// mayReadMore says of the statements that read more than they return why they do.
func mayReadMore() map[string]string {
	const (
		workspaces = "of each workspace one row, whatever it holds"
		asked      = "a person asks for the count of all"
		waits      = "what waits, however much is done"
		sorts      = "sorted while the table is small, which costs less for the planner; among 150,000 it goes by the index"
	)
	return map[string]string{
		"ConnectionsOfCompany": workspaces, "ExpireCompany": workspaces, "EnsureAppointmentPolls": workspaces, "EnsurePolls": workspaces,
		"CountBreakers": workspaces, "ClaimConversations": workspaces,
		"IngestionHealth": "the hours of each workspace of the page",
		"BackfillCount":   asked, "BackfillStart": asked, "CountInbox": asked,
		"CountLinks": waits, "ParkedSends": waits, "UnsettledMessages": waits,
		"ListInbox": sorts, "ReplayCandidates": sorts,
		"PruneChanges": "a page, the same for any number of changes",
		"SendsByState": "counts all, as seldom as reconcile.countedAtOnce says", "PlannedSends": "as SendsByState",
	}
}
