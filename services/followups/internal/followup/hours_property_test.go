package followup

import (
	stdflag "flag"
	"math/rand/v2"
	"testing"
	"time"
)

var scheduleCases = stdflag.Int("schedule-cases", 50_000, "number of random (zone, hours, delay) cases")

// TestScheduleNeverOutsideTheWindow draws zones, hours, delays and times of day around every kind of clock change: a step
// is never opened outside its window, never early, and later work never comes earlier.
func TestScheduleNeverOutsideTheWindow(t *testing.T) {
	t.Parallel()
	names := []string{
		"America/New_York", "America/Los_Angeles", "Europe/London", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo",
		"Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "America/Havana", "Asia/Tehran", "Pacific/Chatham", "UTC", "Asia/Beirut",
	}
	zones := make([]*time.Location, len(names))
	for i, name := range names {
		zones[i] = zone(t, name)
	}
	n := *scheduleCases
	workers := 4
	results := make(chan string, workers)
	for worker := range workers {
		go func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1)) //nolint:gosec // cases, not secrets
			for range n / workers {
				if problem := scheduleCase(random, zones); problem != "" {
					results <- problem
					return
				}
			}
			results <- ""
		}()
	}
	for range workers {
		if problem := <-results; problem != "" {
			t.Error(problem)
		}
	}
	if !t.Failed() {
		t.Logf("0 violations in %d cases", n/workers*workers)
	}
}

func scheduleCase(random *rand.Rand, zones []*time.Location) string {
	loc := zones[random.IntN(len(zones))]
	hours := Hours{Start: random.IntN(1440), End: random.IntN(1440)}
	for day := time.Sunday; day <= time.Saturday; day++ {
		if random.IntN(3) > 0 {
			hours.Days = append(hours.Days, day)
		}
	}
	base := time.Unix(1_600_000_000+random.Int64N(600_000_000), 0)
	step := Step{DelayDays: random.IntN(40), DelayMinutes: random.IntN(1440)}
	due := Due(Anchors{Start: base, Previous: base}, step, loc)
	later := Due(Anchors{Start: base, Previous: base}, Step{DelayDays: step.DelayDays + 1, DelayMinutes: step.DelayMinutes}, loc)
	at := func(what string) string {
		return what + ": " + loc.String() + " " + base.UTC().String() + " " + FormatClock(hours.Start) + "-" + FormatClock(hours.End) +
			" due " + due.String()
	}
	if due.Before(base) || later.Before(due) {
		return at("early or out of order")
	}
	opening, ok := hours.NextOpening(due, loc)
	if !ok {
		if len(hours.Days) > 0 && hours.Start != hours.End {
			return at("never opens")
		}
		return ""
	}
	if opening.Before(due) || !hours.Open(opening, loc) {
		return at("outside the window")
	}
	next, ok := hours.NextOpening(due.Add(time.Duration(random.IntN(5000))*time.Minute), loc)
	if ok && next.Before(opening) {
		return at("not monotone")
	}
	return ""
}
