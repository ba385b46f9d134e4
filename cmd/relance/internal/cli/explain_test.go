package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

const (
	explainedLead = "workspaces/w/leads/l"
	explainedOne  = "workspaces/w/enrollments/e"
)

func explained() *followupsv1.EnrollmentExplanation {
	at := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	return &followupsv1.EnrollmentExplanation{
		Enrollment: &followupsv1.Enrollment{Name: explainedOne, Lead: explainedLead, SequenceVersion: 2},
		Summary:    "Active: step 2 is to be sent at 2026-01-09T15:00:00Z", TimeZone: "America/New_York",
		NextLookTime: timestamppb.New(at.AddDate(0, 0, 2)),
		Steps: []*followupsv1.StepExplanation{{
			Position: 1, Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, Phase: followupsv1.StepPhase_STEP_PHASE_PAST,
			Summary: "not sent: do-not-disturb is on for the channel at 2026-01-07T15:00:00Z",
			Decisions: []*followupsv1.StepDecision{{
				Time: timestamppb.New(at), Times: 1, Outcome: "skipped", Reason: "DND_ACTIVE",
				Checks: []*followupsv1.RuleCheck{
					{Rule: "lead_exists", Version: 1, Passed: true, Inputs: []*followupsv1.RuleInput{{Name: "found", Value: "true"}}},
					{Rule: "send", Version: 1, Move: "advance", Reason: "DND_ACTIVE", Inputs: []*followupsv1.RuleInput{{Name: "refusal", Value: "DND_ACTIVE"}}},
				},
			}},
		}},
	}
}

func explainGateway(t *testing.T) *httptest.Server {
	t.Helper()
	answer := func(w http.ResponseWriter, m proto.Message) {
		raw, err := protojson.Marshal(m)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(raw)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/workspaces/w/enrollments", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("lead") != explainedLead {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"message":"no such lead"}}`))
			return
		}
		answer(w, &followupsv1.ListEnrollmentsResponse{Enrollments: []*followupsv1.Enrollment{{Name: explainedOne}}})
	})
	mux.HandleFunc("GET /v1/"+explainedOne+":explain", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer 0123456789abcdef" {
			t.Error("without the secret")
		}
		answer(w, &followupsv1.ExplainEnrollmentResponse{Explanation: explained()})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestExplainPrintsForPeople(t *testing.T) {
	t.Parallel()
	server := explainGateway(t)
	run := func(args ...string) (string, error) {
		var out, problems bytes.Buffer
		err := Streams{Out: &out, Err: &problems}.Run(t.Context(), append([]string{
			"explain", "--gateway", server.URL, "--admin-secret", "0123456789abcdef",
		}, args...))
		return out.String(), err
	}
	text, err := run(explainedLead)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"step 2 is to be sent at Fri 2026-01-09 10:00 EST", "step 1, sms (past): not sent: do-not-disturb is on",
		"decided  Wed 2026-01-07 10:00 EST: skipped, DND_ACTIVE", "rule send v1: advance (refusal=DND_ACTIVE)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "lead_exists") {
		t.Error("rules that passed are shown without --rules")
	}
	if text, err = run(explainedOne, "--rules"); err != nil || !strings.Contains(text, "rule lead_exists v1: passed (found=true)") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err = run(explainedOne, "--output", "json"); err != nil || protojson.Unmarshal([]byte(text), &followupsv1.EnrollmentExplanation{}) != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err = run("workspaces/w/leads/other"); err == nil || !strings.Contains(err.Error(), "no such lead") {
		t.Errorf("error: %v", err)
	}
	if _, err = run("somebody"); err == nil {
		t.Error("took a name that is none")
	}
}
