package reconcile_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/telemetry"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

// takenLate is a send whose call was given up and whose message the provider took d later.
func (r *rig) takenLate(phone string, d time.Duration) uuid.UUID {
	r.Helper()
	p := r.person(phone)
	intent := p.lost(p.request(text), gone)
	taken := r.clock.Now().Add(r.timing.Write + r.timing.Call + d)
	r.clock.Advance(d + time.Minute)
	if !p.observe(reconcile.Evidence{ProviderID: "late" + phone[1:], Text: text, Source: "api", At: taken}) {
		r.Fatal("not taken for ours")
	}
	r.is(intent, sending.Accepted, "")
	return intent
}

func (r *rig) lateness(assumption string) time.Duration {
	r.Helper()
	return time.Duration(r.count(`SELECT coalesce(max(seen_ms), 0) FROM provider_lateness WHERE provider = 'ghl' AND assumption = $1`, assumption)) * time.Millisecond
}

// A provider that was late once may be late again: absence counts only after what was seen, doubled. Another replica acts on it.
func TestALateMessageLengthensTheWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// Control: while the provider keeps to D, S settles.
	r.takenLate("+12025550101", 2*time.Minute)
	if seen := r.lateness("A1"); seen != 0 {
		t.Errorf("%s after a find within D", seen)
	}
	p := r.person("+12025550102")
	first := p.lost(p.request(text), gone)
	r.looksUntil(first, 15*time.Minute)
	r.is(first, sending.Retryable, "")

	r.takenLate("+12025550103", 10*time.Minute)
	if seen := r.lateness("A1"); seen != 10*time.Minute {
		t.Errorf("seen %s", seen)
	}
	r.reconcile = r.newReconciler()
	q := r.person("+12025550104")
	second := q.lost(q.request(text), gone)
	r.looksUntil(second, 15*time.Minute)
	r.is(second, sending.Unknown, "")
	// D is 20 min now, 18 more, and S has grown by as much and 2 %. The margin is above what a busy machine takes.
	r.age(second, 16*time.Minute)
	r.due(second)
	r.is(second, sending.Unknown, "")
	if s := r.watch(); s.Resting["unknown"] != 0 {
		t.Errorf("waiting longer counts as resting: %+v", s)
	}
	r.age(second, 3*time.Minute)
	r.due(second)
	r.is(second, sending.Retryable, "")
	if q.posts() != 1 {
		t.Errorf("%d posts", q.posts())
	}
}

// due makes the next look of a send, now.
func (r *rig) due(intent uuid.UUID) {
	r.Helper()
	r.exec(`UPDATE send_intent SET next_look = now() WHERE id = $1`, intent)
	if n := r.tick(); n != 1 {
		r.Fatalf("%d looks", n)
	}
}

// What was seen counts for a week, then the configured constants are trusted again, and what is seen next counts for itself.
func TestLatenessIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.takenLate("+12025550101", 10*time.Minute)
	r.takenLate("+12025550102", 5*time.Minute)
	if seen := r.lateness("A1"); seen != 10*time.Minute {
		t.Errorf("the longest is not kept: %s", seen)
	}
	r.exec(`UPDATE provider_lateness SET seen_time = seen_time - interval '8 days'`)
	p := r.person("+12025550103")
	intent := p.lost(p.request(text), gone)
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Retryable, "")
	r.takenLate("+12025550104", 3*time.Minute)
	if seen := r.lateness("A1"); seen != 3*time.Minute {
		t.Errorf("what was forgotten counts again: %s", seen)
	}
}

// A provider's clock may say anything: what lies in the future is no lateness, and what was seen is bounded.
func TestWrongTimesAreNoLateness(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550101")
	p.lost(p.request(text), gone)
	if !p.observe(reconcile.Evidence{ProviderID: "future1", Text: text, Source: "api", At: r.clock.Now().Add(24 * time.Hour)}) {
		t.Fatal("not taken for ours")
	}
	if seen := r.lateness("A1"); seen != 0 {
		t.Errorf("seen %s", seen)
	}
	r.takenLate("+12025550102", 1000*time.Hour)
	if seen := r.lateness("A1"); seen != 100*time.Minute {
		t.Errorf("seen %s", seen)
	}
}

// A complete look that passed over a message which had been taken says that lists lag, as the sample does.
func TestAMessageThatALookPassedOverLengthensV(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550101")
	request := p.request(text)
	request.Policy = sending.Hold
	intent, claimed := p.lost(request, gone), r.clock.Now()
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Parked, sending.SendAmbiguous)
	r.clock.Advance(20 * time.Minute)
	if !p.observe(reconcile.Evidence{ProviderID: "hidden1", Text: text, Source: "api", At: claimed.Add(time.Second)}) {
		t.Fatal("not taken for ours")
	}
	if seen := r.lateness("A2"); seen < 14*time.Minute || seen > 18*time.Minute { // the clock runs on, well below the 35 minutes of the evidence
		t.Errorf("V seen as %s", seen)
	}
	if seen := r.lateness("A1"); seen != 0 {
		t.Errorf("D seen as %s", seen)
	}
}

// A list that does not show a message within V is asked on, and V becomes longer than it took.
func TestAHiddenMessageLengthensV(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hidden := func(phone string) uuid.UUID {
		p := r.person(phone)
		r.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(p.contact), Kind: simulator.LaggingList, Delay: time.Hour, Times: 1})
		return p.send(p.request(text)).Message
	}
	look := func(intent uuid.UUID, age time.Duration) time.Duration {
		t.Helper()
		r.exec(`UPDATE send_intent SET state_time = now() - $2::interval WHERE id = $1`, intent, age)
		wait, err := r.reconcile.Visible(t.Context(), r.workspace, intent)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	intent := hidden("+12025550101")
	if wait := look(intent, 11*time.Minute); wait <= 0 {
		t.Error("no look after V")
	}
	if seen := r.lateness("A2"); seen < 11*time.Minute || seen > 12*time.Minute {
		t.Errorf("V seen as %s", seen)
	}
	r.clock.Advance(2 * time.Hour)
	if wait := look(intent, 20*time.Minute); wait != 0 {
		t.Errorf("looked for again in %s", wait)
	}
	if seen := r.lateness("A2"); seen < 11*time.Minute || seen > 12*time.Minute {
		t.Errorf("a look that found it says nothing about how long it was hidden: %s", seen)
	}
	// At the bound the search ends.
	if wait := look(hidden("+12025550102"), 101*time.Minute); wait != 0 {
		t.Errorf("looked for again in %s", wait)
	}
}

// The rules name metrics that are served, and each says what to do.
func TestSendAlertRules(t *testing.T) {
	metrics, err := telemetry.Setup(context.Background(), telemetry.Config{Service: "sync"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.takenLate("+12025550101", 10*time.Minute)
	r.watch()
	scraped := httptest.NewRecorder()
	metrics.MetricsHandler().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	page := scraped.Body.String()
	stretch := regexp.MustCompile(`(?m)^send_assumption_stretch\{assumption="(A\d)",.*provider="ghl"\} (\S+)`).FindAllStringSubmatch(page, -1)
	if len(stretch) != 2 || stretch[0][2] != "10" || stretch[1][2] != "1" {
		t.Errorf("stretch = %v", stretch)
	}
	rules, err := os.ReadFile("../../../../docs/alerts/sends.yaml")
	if err != nil {
		t.Fatal(err)
	}
	exprs := regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllStringSubmatch(string(rules), -1)
	alerts := strings.Count(string(rules), "- alert: ")
	if alerts != 6 || len(exprs) != alerts || strings.Count(string(rules), "remedy: ") != alerts {
		t.Fatalf("%d alerts, %d expressions", alerts, len(exprs))
	}
	for _, expr := range exprs {
		name := regexp.MustCompile(`sends?_[a-z_]+`).FindString(expr[1])
		if name == "" || !regexp.MustCompile(`(?m)^`+name+`[ {]`).MatchString(page) {
			t.Errorf("%q: nothing of that name is served", expr[1])
		}
	}
}
