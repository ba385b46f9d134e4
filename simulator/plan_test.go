package simulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

func TestPlanPlaysEveryFaultAtItsRate(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	sim := simulator.New(simulator.Config{
		Now: time.Now, Seed: 7, RateLimit: simulator.RateLimit{Disabled: true},
		OnReceive: func(simulator.Entry) { seen.Add(1) },
	})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() { server.Close(); _ = sim.Close() })
	const location = "locationPlan00000001"
	if err := sim.AddLocation(simulator.Location{ID: location, Token: "pit-plan"}); err != nil {
		t.Fatal(err)
	}
	contact, err := sim.AddContact(location, simulator.Contact{Phone: "+12025550123"})
	if err != nil {
		t.Fatal(err)
	}
	handles := sim.AddPlan(simulator.Plan{Rate: 0.05})
	const posts = 400
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for n := range posts {
		body := fmt.Sprintf(`{"type":"SMS","contactId":%q,"message":"mark-%03d"}`, contact.ID, n)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/conversations/messages", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer pit-plan")
		req.Header.Set("Version", "2021-04-15")
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}
	hits := map[string]int{}
	for id, list := range handles {
		for _, h := range list {
			hits[id] += h.Hits()
		}
	}
	for _, id := range []string{"F1", "F2", "F3", "F4", "F5", "F6", "F10", "F11", "F13", "F20", "F21"} {
		if hits[id] == 0 || hits[id] > posts/3 {
			t.Errorf("%s played %d times in %d sends at 5 %%", id, hits[id], posts)
		}
	}
	if hits["F12"] != 0 {
		t.Error("F12 is for lists and played on sends")
	}
	by := sim.SendsBy(func(text string) string { mark, _, _ := strings.Cut(text, "\n"); return mark })
	// A connection cut before the request was read leaves no text to join by.
	if got := len(by); got != posts-hits["F6"]+1 {
		t.Errorf("texts in the ledger = %d, want %d and one for the unread", got, posts-hits["F6"])
	}
	if seen.Load() != posts {
		t.Errorf("observed = %d, want %d", seen.Load(), posts)
	}
}

// A fault without a probability plays always; a plan at rate 0 is no plan.
func TestPlanAtRateZeroPlaysNothing(t *testing.T) {
	t.Parallel()
	if faults := (simulator.Plan{}).Faults(); len(faults) != 0 {
		t.Errorf("plan at rate 0 has %d faults, want none", len(faults))
	}
	if faults := (simulator.Plan{Rate: 0.01}).Faults(); len(faults) == 0 {
		t.Error("plan at rate 0.01 has no faults")
	}
}
