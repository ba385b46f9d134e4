package stack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/cmd/relance/internal/cli"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

// cohortSize is the number of leads; RELANCE_FORETELL_LEADS makes it larger.
func cohortSize(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("RELANCE_FORETELL_LEADS"))
	if err != nil {
		return 55
	}
	return n
}

// foretold is one decision, as it is foretold or as it happened.
type foretold struct {
	lead, what string
	at         time.Time
}

// TestForetoldIsWhatHappens foretells what a sequence does to a cohort with every kind of obstacle that is known
// beforehand, lets a week pass on a moved clock over the real services, and compares every decision.
func TestForetoldIsWhatHappens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	connected := w.workspace("Acme", "pit-acme")
	bare := w.workspace("Bare", "pit-bare")
	leads := map[string]string{} // name to kind
	for n := range cohortSize(t) {
		kind := kinds()[n%len(kinds())]
		leads[w.lead(connected, n, kind)] = kind.name
	}
	for n := range 5 {
		leads[w.lead(bare, n, plant{name: "token revoked", area: "212", zone: "America/New_York"})] = "token revoked"
	}
	w.settle(leads)
	enrollments := map[string]string{}
	for _, workspace := range []*tenant{connected, bare} {
		workspace.sequence = w.sequence(workspace.name, steps())
	}
	for lead, kind := range leads {
		of := connected
		if kind == "token revoked" {
			of = bare
		}
		enrollments[lead] = w.enroll(lead, of.sequence)
	}
	w.revoke(bare)
	told := w.told()
	w.printed(connected.sequence)
	touches := append(w.simulate(connected.sequence), w.simulate(bare.sequence)...)
	var looks []foretold
	for lead, enrollment := range enrollments {
		looks = append(looks, w.decisions(lead, enrollment, true)...)
	}
	if now := w.told(); now != told {
		t.Fatalf("foretelling told the provider %d things", now-told)
	}
	w.week(connected, bare)
	happened := map[string]time.Time{}
	for lead, enrollment := range enrollments {
		for _, d := range w.decisions(lead, enrollment, false) {
			key := d.lead + " " + d.what
			if first, seen := happened[key]; !seen || d.at.Before(first) { // the same is found again by later looks
				happened[key] = d.at
			}
		}
	}
	w.compare("steps settled", touches, happened, leads)
	w.compare("decisions, deferrals too", looks, happened, leads)
}

// told counts what the provider was told. It is also read meanwhile, by the sync of new conversations and of calendars.
func (w *world) told() (n int) {
	for _, request := range w.sim.Ledger() {
		if request.Method != http.MethodGet {
			n++
		}
	}
	return n
}

// compare counts what came as foretold: the same outcome for the same reason, at the tick that follows the time.
func (w *world) compare(what string, told []foretold, happened map[string]time.Time, leads map[string]string) {
	w.t.Helper()
	right, reasons, wrong := 0, map[string]int{}, 0
	for _, one := range told {
		reasons[one.what[2:]]++
		at, ok := happened[one.lead+" "+one.what]
		if late := at.Sub(one.at); ok && late > -time.Minute && late < 15*time.Minute {
			right++
		} else if wrong++; wrong <= 8 {
			w.t.Logf("%s: foretold %q at %v; came %v at %v", leads[one.lead], one.what, one.at, ok, at)
			for what, at := range happened {
				if strings.HasPrefix(what, one.lead) {
					w.t.Logf("  came: %s at %v", strings.TrimPrefix(what, one.lead), at)
				}
			}
		}
	}
	w.t.Logf("figure foretold_right %.4f of %s n=%d, %d leads: %v", float64(right)/float64(len(told)), what, len(told), len(leads), reasons)
	if len(told) < 2*len(leads) || right*100 < 99*len(told) {
		w.t.Errorf("%s: only %d of %d came as foretold", what, right, len(told))
	}
	for _, reason := range []string{"succeeded ", "skipped DND_ACTIVE", "skipped NO_PHONE"} {
		if reasons[reason] == 0 {
			w.t.Errorf("%s: nobody was foretold %q", what, reason)
		}
	}
}

// printed runs the command of operators, whose sum must be that of the plans.
func (w *world) printed(sequence string) {
	w.t.Helper()
	var out, progress bytes.Buffer
	end := w.clock.Now().AddDate(0, 0, 5).Format(time.RFC3339)
	args := []string{"simulate", sequence, "--to", end, "--show-zone", "America/New_York", "--gateway", w.url, "--admin-secret", w.admin}
	if err := (cli.Streams{Out: &out, Err: &progress}).Run(w.t.Context(), args); err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("relance simulate printed:\n%s", out.String())
	if text := out.String(); !strings.Contains(text, "leads, ") || !strings.Contains(text, "not sent, DND_ACTIVE") || !strings.Contains(text, "waits for missing_value") {
		w.t.Errorf("relance simulate printed:\n%s", text)
	}
}

// simulate reads the plans over REST.
func (w *world) simulate(sequence string) (out []foretold) {
	w.t.Helper()
	until := timestamppb.New(w.clock.Now().AddDate(0, 0, 5))
	req := &followupsv1.SimulateSequenceRequest{ToTime: until}
	var counts *followupsv1.SimulationCounts
	err := w.api.Stream(w.t.Context(), "/v1/"+sequence+":simulate", req, func(raw json.RawMessage) error {
		var part followupsv1.SimulateSequenceResponse
		if err := protojson.Unmarshal(raw, &part); err != nil {
			return err
		}
		counts = part.GetCounts()
		for _, plan := range part.GetPlans() {
			for _, touch := range plan.GetTouches() {
				out = append(out, foretold{
					plan.GetLead(), fmt.Sprintf("%d %s %s", touch.GetStepPosition(), touch.GetOutcome(), touch.GetReason()), touch.GetTime().AsTime(),
				})
			}
		}
		return nil
	})
	if err != nil || counts.GetLeads() == 0 {
		w.t.Fatalf("simulate: %v, counts %v", err, counts)
	}
	return out
}

// decisions are those of an enrollment that were taken, or that are foreseen for the week without assuming anything.
func (w *world) decisions(lead, enrollment string, foreseen bool) (out []foretold) {
	w.t.Helper()
	var answer followupsv1.ExplainEnrollmentResponse
	if err := w.api.Get(w.t.Context(), "/v1/"+enrollment+":explain", nil, &answer); err != nil {
		w.t.Fatal(err)
	}
	end := w.clock.Now().AddDate(0, 0, 5)
	for _, step := range answer.GetExplanation().GetSteps() {
		for _, d := range step.GetDecisions() {
			if d.GetForeseen() != foreseen || d.GetAssumption() != "" || d.GetFirstTime().AsTime().After(end) {
				continue
			}
			out = append(out, foretold{
				lead, fmt.Sprintf("%d %s %s", step.GetPosition(), d.GetOutcome(), d.GetReason()), d.GetFirstTime().AsTime(),
			})
		}
	}
	return out
}
