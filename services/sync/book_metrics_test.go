package sync_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/relance/relance/platform/telemetry"
)

// Bookings are counted by where they went, and the alert rules name metrics that are served, with labels that these have.
func TestBookingMetrics(t *testing.T) {
	page := served(t)
	d := newRig(t, noPolls).diary("locationBookMetric1")
	if b, why := d.made(d.ask(0)); b.GetState() != stateBooked {
		t.Fatal(why)
	}
	d.eventually("the sweep shows what is open", func() bool { return strings.Contains(page(), `bookings_open{`) })
	for _, want := range []string{
		`(?m)^booking_outcomes_total\{.*provider="ghl".*state="BOOKED".*\} [1-9]`, `(?m)^bookings_open\{.*state="PARKED".*\} \d`, `(?m)^bookings_open\{.*state="UNKNOWN".*\} \d`,
	} {
		if !regexp.MustCompile(want).MatchString(page()) {
			t.Errorf("no %s in what is served", want)
		}
	}
	rulesServed(t, page(), "bookings.yaml")
}

// served gives what is scraped of the metrics that are made from now on.
func served(t *testing.T) (page func() string) {
	t.Helper()
	metrics, err := telemetry.Setup(t.Context(), telemetry.Config{Service: "sync"})
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		scraped := httptest.NewRecorder()
		metrics.MetricsHandler().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return scraped.Body.String()
	}
}

// rulesServed holds a page of two alert rules to the metrics that are served, with the states they ask for.
func rulesServed(t *testing.T, page, file string) {
	t.Helper()
	rules, err := os.ReadFile("../../docs/alerts/" + file)
	if err != nil {
		t.Fatal(err)
	}
	exprs := regexp.MustCompile(`(?m)^ +expr: .*?([a-z_]+)\{state="([A-Z]+)"\}`).FindAllStringSubmatch(string(rules), -1)
	if alerts := strings.Count(string(rules), "- alert: "); alerts != 2 || len(exprs) != alerts || strings.Count(string(rules), "remedy: ") != alerts {
		t.Fatalf("%d alerts, %d expressions", alerts, len(exprs))
	}
	for _, expr := range exprs {
		if !regexp.MustCompile(`(?m)^` + expr[1] + `\{.*state="` + expr[2] + `"`).MatchString(page) {
			t.Errorf("%s with state %s is not served", expr[1], expr[2])
		}
	}
}
