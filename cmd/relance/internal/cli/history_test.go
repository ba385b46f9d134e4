package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/cmd/relance/internal/cli"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const someWorkspace = "workspaces/0190d2a4-7c1e-7a10-8a51-3f6f3a5c0001"

var began = time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)

// historyGateway holds a workspace of 100 conversations of which each run compares some, and certificates.
type historyGateway struct {
	waiting, each int64
	started       int
	since         string
	rows          []*syncv1.Conversation
}

func (g *historyGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var out proto.Message
	switch {
	case strings.HasSuffix(r.URL.Path, "/conversations:backfill"):
		var in struct {
			ValidateOnly bool
			Since        string
		}
		_ = json.Unmarshal(body, &in)
		if !in.ValidateOnly {
			g.started++
			g.since = in.Since
		}
		out = &syncv1.BackfillConversationsResponse{Leads: 100, Waiting: g.waiting, Since: timestamppb.New(began)}
	case strings.HasSuffix(r.URL.Path, "/conversations:syncDue"):
		done := min(g.each, g.waiting)
		g.waiting -= done
		out = &syncv1.SyncDueConversationsResponse{Checked: int32(done), Proven: int32(done), Imported: 2 * int32(done)}
	case strings.HasSuffix(r.URL.Path, "/conversations"):
		out = &syncv1.ListConversationsResponse{Conversations: g.rows}
	case strings.HasSuffix(r.URL.Path, "/conversations/sms:sync"):
		out = &syncv1.SyncConversationResponse{Conversation: g.rows[0]}
	case strings.HasSuffix(r.URL.Path, "/conversations/sms"):
		out = &syncv1.GetConversationResponse{Conversation: g.rows[1]}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	raw, _ := protojson.Marshal(out)
	_, _ = w.Write(raw)
}

func (g *historyGateway) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	var out bytes.Buffer
	args = append(args, "--gateway", server.URL, "--admin-secret", "admin-secret-of-the-tests")
	err := (cli.Streams{Out: &out, Err: io.Discard}).Run(t.Context(), args)
	return out.String(), err
}

func TestBackfillGoesOnUntilNothingWaits(t *testing.T) {
	t.Parallel()
	g := &historyGateway{waiting: 100, each: 30}
	out, err := g.run(t, "backfill", someWorkspace, "--channel", "sms")
	if err != nil || out != "sms: compared 100 conversations: 100 complete, 0 with differences; 200 messages imported, 0 healed\n" {
		t.Fatalf("%v: %s", err, out)
	}
	if g.started != 1 || g.since != "" {
		t.Errorf("started %d times, since %q", g.started, g.since)
	}
}

func TestBackfillGoesOnWithItsTime(t *testing.T) {
	t.Parallel()
	g := &historyGateway{waiting: 5, each: 5}
	if _, err := g.run(t, "backfill", someWorkspace, "--channel", "sms", "--since", "2026-01-07T15:00:00.5Z"); err != nil {
		t.Fatal(err)
	}
	if g.since != "2026-01-07T15:00:00.500Z" {
		t.Errorf("since %q", g.since)
	}
}

func TestBackfillOfWhatCannotBeComparedEnds(t *testing.T) {
	t.Parallel()
	g := &historyGateway{waiting: 7}
	_, err := g.run(t, "backfill", someWorkspace, "--channel", "sms", "--patience", "1ns")
	if err == nil || !strings.Contains(err.Error(), "7 of 100") || !strings.Contains(err.Error(), "relance history "+someWorkspace+" --unproven") {
		t.Errorf("error %v", err)
	}
}

func TestBackfillDryRunStartsNothing(t *testing.T) {
	t.Parallel()
	g := &historyGateway{waiting: 7}
	out, err := g.run(t, "backfill", someWorkspace, "--dry-run")
	want := "sms: 100 leads with a contact, 7 to be compared\nemail: 100 leads with a contact, 7 to be compared\n"
	if err != nil || out != want || g.started != 0 {
		t.Errorf("%v, started %d:\n%s", err, g.started, out)
	}
}

func TestHistoryShowsCertificates(t *testing.T) {
	t.Parallel()
	lead := someWorkspace + "/leads/0190d2a4-7c1e-7a10-8a51-3f6f3a5c0002"
	g := &historyGateway{rows: []*syncv1.Conversation{
		{Name: lead + "/conversations/sms", Proven: true, CheckTime: timestamppb.New(began), ProvenTime: timestamppb.New(began), ListedCount: 3, StoredCount: 3},
		{Name: lead + "/conversations/sms", ListedCount: 3, StoredCount: 2, Missing: []string{"m7"}, DifferenceCount: 102, LastReason: "RATE_LIMITED"},
	}}
	out, err := g.run(t, "history", someWorkspace)
	if err != nil || !strings.Contains(out, "2 conversations: 1 complete by the provider's lists, 1 not proven") || !strings.Contains(out, "RATE_LIMITED") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = g.run(t, "history", someWorkspace, "--output", "json")
	if err != nil || strings.Count(out, "\n") != 2 || strings.Contains(out, "COMPLETE") {
		t.Errorf("json: %v\n%s", err, out)
	}
	out, err = g.run(t, "history", lead+"/conversations/sms")
	for _, want := range []string{"NOT PROVEN", "missing here: m7", "and 101 more differences", "RATE_LIMITED"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, no %q in\n%s", err, want, out)
		}
	}
	out, err = g.run(t, "history", lead+"/conversations/sms", "--verify")
	if err != nil || !strings.Contains(out, "complete: every message") {
		t.Errorf("verified: %v\n%s", err, out)
	}
	if _, err = g.run(t, "history", someWorkspace, "--verify"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("relance backfill %s", someWorkspace)) {
		t.Errorf("verify of a workspace: %v", err)
	}
}
