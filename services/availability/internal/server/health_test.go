package server_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	"github.com/relance/relance/platform/telemetry"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/gauges"
	"github.com/relance/relance/services/availability/internal/refresh"
)

// The alert rules name metrics that the service serves, and labels that those have.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, broken := w.workspace(t), w.workspace(t)
	w.workspace(t)
	w.link(t, good)
	w.link(t, broken)
	w.sync.set(func(f *fakeSync) { f.failFor = map[string]error{broken: errAway()} })
	w.tick(t)
	w.clock.Advance(90 * time.Second)
	metrics, err := telemetry.Setup(t.Context(), telemetry.Config{Service: "availability"})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := gauges.Register(gauges.Config{Meter: otel.Meter("test"), Clock: w.clock, Store: w.store, Census: w.refresher.Census})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	scraped := httptest.NewRecorder()
	metrics.MetricsHandler().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	page := scraped.Body.String()
	for metric, want := range map[string]string{
		`availability_workspaces\{.*state="ok".*\}`: "1", `availability_workspaces\{.*state="unreachable".*\}`: "1",
		`availability_workspaces\{.*state="unconfigured".*\}`: "1", `availability_oldest_look_age_seconds\{.*state="ok".*\}`: "90",
		`availability_hosts_resting\{.*class="ghl".*\}`: "0", `availability_low_workspaces\{.*\}`: "1",
		`availability_last_run_age_seconds\{.*\}`: "90", `availability_direct_book_unreachable\{.*\}`: "0",
	} {
		if !regexp.MustCompile(`(?m)^` + metric + ` ` + want + `$`).MatchString(page) {
			t.Errorf("%s is not %s", metric, want)
		}
	}
	rules, err := os.ReadFile("../../../../docs/alerts/availability.yaml")
	if err != nil {
		t.Fatal(err)
	}
	exprs := regexp.MustCompile(`(?m)^ +expr: (.+)$`).FindAllStringSubmatch(string(rules), -1)
	if alerts := strings.Count(string(rules), "- alert: "); alerts < 5 || len(exprs) != alerts || strings.Count(string(rules), "remedy: ") != alerts {
		t.Fatalf("%d alerts, %d expressions", alerts, len(exprs))
	}
	for _, expr := range exprs {
		used := regexp.MustCompile(`availability_[a-z_]+(?:\{([a-z]+)[!=])?`).FindAllStringSubmatch(expr[1], -1)
		if len(used) == 0 {
			t.Errorf("%s names no metric", expr[1])
		}
		for _, use := range used {
			name, _, _ := strings.Cut(use[0], "{")
			line := regexp.MustCompile(`(?m)^` + name + `\{(.*)\} `).FindStringSubmatch(page)
			if line == nil || (use[1] != "" && !strings.Contains(line[1], use[1]+"=")) {
				t.Errorf("%s is not served with label %q", name, use[1])
			}
		}
	}
}

func TestClassOfHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"api.calendly.com": "calendly", "calendly.com:443": "calendly", "api-eu1.hubspot.com": "hubspot", "api.hubapi.com": "hubspot",
		"services.leadconnectorhq.com": "ghl", "notcalendly.com": "other", "feeds.example.com": "other", "127.0.0.1:80": "other",
	} {
		if got := gauges.Class(host); got != want {
			t.Errorf("%s is %s, want %s", host, got, want)
		}
	}
}

// A workspace with few free times is told of once a week, by one of all replicas; one that has enough is not.
func TestFewFreeTimesAreToldOnceAWeek(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.newReplica(t, nil, w.db.DSN("availability"))
	few, content := w.workspace(t), w.workspace(t)
	w.link(t, few)
	w.link(t, content)
	threshold := func(name string, n int32) error {
		_, err := w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
			Parent: name, Settings: &availabilityv1.Settings{LowSlotsThreshold: n}, UpdateMask: mask("low_slots_threshold"),
		})
		return err
	}
	// Four times are free in the next 7 days: fewer than the default of 10, and enough for this one, even when some are over.
	if err := threshold(content, 2); err != nil {
		t.Fatal(err)
	}
	rpctest.RequireError(t, threshold(content, 1001), codes.InvalidArgument, "")
	told := func() (names []string) {
		t.Helper()
		w.tick(t)
		r.tickOf(t)
		for _, line := range w.logs.take() {
			if strings.Contains(line, "few free times") {
				names = append(names, line)
			}
		}
		return names
	}
	lines := told()
	if len(lines) != 1 || !strings.Contains(lines[0], few[len("workspaces/"):]) || !strings.Contains(lines[0], `"free":4,"threshold":10`) {
		t.Fatalf("told of %q", lines)
	}
	for range 3 {
		w.clock.Advance(7 * time.Hour)
		if lines := told(); len(lines) != 0 {
			t.Errorf("again in the week: %q", lines)
		}
	}
	next := refresh.Week(w.clock.Now()).AddDate(0, 0, 7)
	w.sync.set(func(f *fakeSync) {
		f.slots = []time.Time{next.Add(30 * time.Hour), next.Add(31 * time.Hour), next.Add(32 * time.Hour), next.Add(33 * time.Hour)}
	})
	w.clock.Advance(next.Sub(w.clock.Now()) + time.Minute)
	if lines := told(); len(lines) != 1 {
		t.Errorf("in the next week: %q", lines)
	}
}

// A workspace's own settings say how times are chosen and in which language they are said; an offer may say otherwise.
func TestOffersGoByTheWorkspacesSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	offer := func(strategy availabilityv1.OfferStrategy) *availabilityv1.Offer {
		t.Helper()
		out, err := w.followups.OfferSlots(t.Context(), &availabilityv1.OfferSlotsRequest{
			Lead: acme + "/leads/" + newID(t).String(), RequestId: newID(t).String(), TimeZone: "America/New_York", Strategy: strategy,
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.GetOffer()
	}
	plain := offer(availabilityv1.OfferStrategy_OFFER_STRATEGY_UNSPECIFIED)
	set := &availabilityv1.Settings{OfferStrategy: availabilityv1.OfferStrategy_OFFER_STRATEGY_EARLIEST, Locale: "fr-CA"}
	out, err := w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
		Parent: acme, Settings: set, UpdateMask: mask("offer_strategy", "locale"),
	})
	if got := out.GetSettings(); err != nil || got.GetOfferStrategy() != set.GetOfferStrategy() || got.GetLocale() != "fr-CA" || got.GetLowSlotsThreshold() != 10 {
		t.Fatalf("%v %v", out, err)
	}
	const first, second = "mer. 7 janv. à 11:00 (EST)", "mer. 7 janv. à 14:00 (EST)"
	if got := offer(availabilityv1.OfferStrategy_OFFER_STRATEGY_UNSPECIFIED); got.GetText() != first+" ou "+second {
		t.Errorf("by its settings: %q", got.GetText())
	}
	chosen := offer(availabilityv1.OfferStrategy_OFFER_STRATEGY_DISTRIBUTED)
	if a, b := chosen.GetSlots(), plain.GetSlots(); len(a) != 2 || len(b) != 2 || a[0].GetStartTime().AsTime().Day() == a[1].GetStartTime().AsTime().Day() {
		t.Errorf("as the offer says: %v, before %v", a, b)
	}
	if got, err := w.slots(t, acme); err != nil || got.GetSlots()[0].GetLabel() != first {
		t.Errorf("%v %v", got, err)
	}
	_, err = w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
		Parent: acme, Settings: &availabilityv1.Settings{Locale: "ja", OfferStrategy: 9}, UpdateMask: mask("offer_strategy", "locale"),
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Errorf("violations: %+v", e.Violations)
	}
}
