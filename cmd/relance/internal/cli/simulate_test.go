package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const simulatedSequence = "workspaces/w/sequences/s"

// simulateGateway answers one plan a part; its leads are three, one without a phone.
type simulateGateway struct {
	*httptest.Server
	asked *followupsv1.SimulateSequenceRequest
	// parts is how many parts are sent before the answer breaks off; -1 for all of it.
	parts int
	// hang keeps the answer open after the first part until the client goes.
	hang bool
}

func newSimulateGateway(t *testing.T) *simulateGateway {
	t.Helper()
	g := &simulateGateway{parts: -1}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, m proto.Message) {
		raw, err := protojson.Marshal(m)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(raw)
	}
	mux.HandleFunc("GET /v1/workspaces/w/sequences", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, &followupsv1.ListSequencesResponse{Sequences: []*followupsv1.Sequence{{Name: simulatedSequence, DisplayName: "Quote sent"}}})
	})
	mux.HandleFunc("GET /v1/workspaces/w/leads", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, &syncv1.ListLeadsResponse{Leads: []*syncv1.Lead{
			{Name: "workspaces/w/leads/a", Phone: "x", TimeZone: "Europe/Berlin"}, {Name: "workspaces/w/leads/b"}, {Name: "workspaces/w/leads/c", Phone: "x"},
		}})
	})
	mux.HandleFunc("POST /v1/"+simulatedSequence+":simulate", func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		g.asked = &followupsv1.SimulateSequenceRequest{}
		if err := protojson.Unmarshal(body.Bytes(), g.asked); err != nil {
			t.Error(err)
		}
		parts := simulatedParts()
		for i, part := range parts {
			if i == g.parts {
				return
			}
			raw, _ := protojson.Marshal(part)
			_, _ = w.Write([]byte(`{"result":` + string(raw) + "}\n"))
			_ = http.NewResponseController(w).Flush()
			if g.hang {
				<-r.Context().Done()
				return
			}
		}
	})
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

func simulatedParts() []*followupsv1.SimulateSequenceResponse {
	at := timestamppb.New(time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC))
	touch := func(outcome, reason string) *followupsv1.PlannedTouch {
		return &followupsv1.PlannedTouch{StepPosition: 1, Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, Time: at, Outcome: outcome, Reason: reason}
	}
	return []*followupsv1.SimulateSequenceResponse{
		{Done: 1, Total: 2, Plans: []*followupsv1.LeadPlan{{Lead: "workspaces/w/leads/a", Ends: true, Touches: []*followupsv1.PlannedTouch{touch("succeeded", "")}}}},
		{Done: 2, Total: 2, Plans: []*followupsv1.LeadPlan{{
			Lead: "workspaces/w/leads/b", WaitsFor: "missing_availability", Touches: []*followupsv1.PlannedTouch{touch("skipped", "DND_ACTIVE")},
		}}},
		{Done: 2, Total: 2, Counts: &followupsv1.SimulationCounts{Leads: 2, Ended: 1}},
	}
}

func (g *simulateGateway) run(ctx context.Context, args ...string) (out, progress string, err error) {
	var stdout, stderr bytes.Buffer
	args = append([]string{"simulate"}, append(args, "--gateway", g.URL, "--admin-secret", "0123456789abcdef")...)
	err = Streams{Out: &stdout, Err: &stderr}.Run(ctx, args)
	return stdout.String(), stderr.String(), err
}

func TestSimulatePrintsPlansAndSum(t *testing.T) {
	t.Parallel()
	g := newSimulateGateway(t)
	out, progress, err := g.run(t.Context(), "Quote sent", "--workspace", "workspaces/w", "--plans", "--show-zone", "America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	const want = `workspaces/w/leads/a
  Wed 2026-01-07 10:00 EST  step 1, sms: sent
  then the sequence ends
workspaces/w/leads/b
  Wed 2026-01-07 10:00 EST  step 1, sms: not sent, DND_ACTIVE
  then it waits: missing_availability
2 leads, 1 of them through the sequence in the simulated time
first step Wed 2026-01-07 10:00 EST, last step Wed 2026-01-07 10:00 EST
step 1       sms  not sent, DND_ACTIVE            1
step 1       sms  sent                            1
not through       waits for missing_availability  1
`
	if out != want || !strings.Contains(progress, "2/2") {
		t.Errorf("printed\n%s\nprogress %q", out, progress)
	}
	if len(g.asked.GetLeads()) != 0 {
		t.Errorf("asked about %v", g.asked.GetLeads())
	}
}

func TestSimulatePrintsJSON(t *testing.T) {
	t.Parallel()
	g := newSimulateGateway(t)
	out, _, err := g.run(t.Context(), simulatedSequence, "--json", "--lead", "workspaces/w/leads/a", "--from", "2026-01-07T15:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var sum struct {
		Summary struct {
			Leads, Ended int
			Steps        []struct{ Reason string }
			Waiting      map[string]int
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || len(lines) != 3 {
		t.Fatalf("%d lines, %v: %s", len(lines), err, out)
	}
	if sum.Summary.Leads != 2 || sum.Summary.Ended != 1 || len(sum.Summary.Steps) != 2 || sum.Summary.Waiting["missing_availability"] != 1 {
		t.Errorf("%+v", sum)
	}
	if len(g.asked.GetLeads()) != 1 || g.asked.GetFromTime() == nil || g.asked.GetToTime() != nil {
		t.Errorf("asked %v", g.asked)
	}
}

func TestSimulateChoosesItsCohort(t *testing.T) {
	t.Parallel()
	g := newSimulateGateway(t)
	file := filepath.Join(t.TempDir(), "leads")
	if err := os.WriteFile(file, []byte("workspaces/w/leads/x\n\nworkspaces/w/leads/y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--all", "--has", "sms"}, "a c"},
		{[]string{"--all", "--zone", "Europe/Berlin"}, "a"},
		{[]string{"--all", "--limit", "2"}, "a b"},
		{[]string{"--leads-file", file, "--lead", "workspaces/w/leads/z"}, "z x y"},
	} {
		if _, _, err := g.run(t.Context(), append([]string{simulatedSequence}, test.args...)...); err != nil {
			t.Errorf("%v: %v", test.args, err)
			continue
		}
		if got := strings.ReplaceAll(strings.Join(g.asked.GetLeads(), " "), "workspaces/w/leads/", ""); got != test.want {
			t.Errorf("%v asked about %q, want %q", test.args, got, test.want)
		}
	}
	for _, args := range [][]string{
		{"--all", "--lead", "workspaces/w/leads/a"}, {"--has", "sms"}, {"--all", "--state", "ZZ"}, {"--show-zone", "Mars/X"},
	} {
		if _, _, err := g.run(t.Context(), append([]string{simulatedSequence}, args...)...); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
	if _, _, err := g.run(t.Context(), "No such", "--workspace", "workspaces/w"); err == nil || !strings.Contains(err.Error(), "No such") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestSimulateEndsWithAnErrorWhenTheAnswerDoes(t *testing.T) {
	t.Parallel()
	g := newSimulateGateway(t)
	g.parts = 1
	out, progress, err := g.run(t.Context(), simulatedSequence)
	if err == nil || !strings.Contains(err.Error(), "broke off") || !strings.Contains(out, "1 leads") || !strings.Contains(progress, "not complete") {
		t.Errorf("%v, printed %q, %q", err, out, progress)
	}
	g.parts = -1
	if _, _, err := g.run(t.Context(), simulatedSequence, "--strict"); !errors.Is(err, errStuck) {
		t.Errorf("strict: %v", err)
	}
}

func TestSimulateIsInterrupted(t *testing.T) {
	t.Parallel()
	g := newSimulateGateway(t)
	g.hang = true
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	out, progress, err := g.run(ctx, simulatedSequence)
	if !errors.Is(err, errStopped) || !strings.Contains(out, "1 leads") || !strings.Contains(progress, "not complete") {
		t.Errorf("%v, printed %q, %q", err, out, progress)
	}
}
