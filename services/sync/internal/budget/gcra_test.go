package budget_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/relance/relance/services/sync/internal/budget"
)

var start = time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)

// arrivals plays replicas that lease permits at random times, from clocks that are not in order, use each at a random time
// before its end or not at all, and whose calls are on their way for a random time. It gives the arrivals by class.
func arrivals(t *rapid.T, limit budget.Limit) (all, reads []time.Time) {
	state := budget.State{Limit: limit, TAT: start, ReadTAT: start}
	now := start
	for range rapid.IntRange(50, 250).Draw(t, "leases") {
		// Mostly pressing, sometimes idle long enough for the burst to fill up.
		now = now.Add(time.Duration(rapid.OneOf(rapid.Int64Range(0, int64(limit.Interval)/100),
			rapid.Int64Range(0, 2*int64(limit.Interval))).Draw(t, "step"))).Truncate(time.Microsecond)
		class := budget.Class(rapid.IntRange(0, 3).Draw(t, "class"))
		seen := now.Add(-time.Duration(rapid.Int64Range(0, int64(limit.Life())).Draw(t, "clock read early"))).Truncate(time.Microsecond)
		var grant budget.Grant
		state, grant = state.Take(class, rapid.IntRange(1, 40).Draw(t, "n"), seen)
		for range grant.Permits {
			late := time.Duration(rapid.Int64Range(0, int64(limit.Life())).Draw(t, "late"))
			transit := time.Duration(rapid.Int64Range(0, int64(limit.Transit())).Draw(t, "transit"))
			if rapid.IntRange(0, 9).Draw(t, "unused") == 0 {
				continue
			}
			at := seen.Add(late + transit)
			all = append(all, at)
			if class == budget.Read || class == budget.Bulk {
				reads = append(reads, at)
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	slices.SortFunc(reads, time.Time.Compare)
	return all, reads
}

// most is the largest number of times in any closed window.
func most(times []time.Time, window time.Duration) int {
	best, first := 0, 0
	for i := range times {
		for times[i].Sub(times[first]) > window {
			first++
		}
		best = max(best, i-first+1)
	}
	return best
}

func TestNoSlidingWindowHoldsMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := budget.Limit{
			Calls:    rapid.SampledFrom([]int{1, 2, 3, 7, 20, 25, 60, 100}).Draw(t, "calls"),
			Interval: rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, time.Minute}).Draw(t, "interval"),
		}
		all, reads := arrivals(t, limit)
		if got := most(all, limit.Interval); got > limit.Calls {
			t.Fatalf("%d calls in a window of %s, limit %d", got, limit.Interval, limit.Calls)
		}
		if got, allowed := most(reads, limit.Interval), max(1, limit.Calls*30/100); got > allowed {
			t.Fatalf("%d reads in a window, allowed %d", got, allowed)
		}
	})
}

func TestThroughputUnderPressure(t *testing.T) {
	t.Parallel()
	// The control of the property above: the limiter is not simply shut.
	limit := budget.Limit{Calls: 100, Interval: 10 * time.Second}
	state := budget.State{Limit: limit, TAT: start, ReadTAT: start}
	var used, late []time.Time
	for now := start; now.Before(start.Add(time.Minute)); now = now.Add(50 * time.Millisecond) {
		var g budget.Grant
		state, g = state.Take(budget.Interactive, 100, now)
		for range g.Permits {
			used, late = append(used, now), append(late, now.Truncate(5*time.Second).Add(5*time.Second))
		}
	}
	if got := most(used, limit.Interval); got < 85 || got > 100 {
		t.Errorf("fullest window held %d, want 85 to 100", got)
	}
	if got := len(used); got < 420 {
		t.Errorf("%d calls in a minute, want 420 or more", got)
	}
	// Why permits end: kept for up to 5 s instead of half a second they would break the limit.
	if got := most(late, limit.Interval); got <= limit.Calls {
		t.Errorf("late use fits %d calls into a window; the end of permits is not needed", got)
	}
}

func TestAutomatedSendsLeaveAReserve(t *testing.T) {
	t.Parallel()
	limit := budget.Limit{Calls: 100, Interval: 10 * time.Second}
	state := budget.State{Limit: limit, TAT: start, ReadTAT: start}
	state, automated := state.Take(budget.Automated, 1000, start)
	state, more := state.Take(budget.Automated, 1, start)
	state, read := state.Take(budget.Read, 1, start)
	_, interactive := state.Take(budget.Interactive, 1000, start)
	if automated.Permits != 16 || more.Permits != 0 || read.Permits != 0 || interactive.Permits != 4 {
		t.Errorf("automated %d, more %d, read %d, interactive %d", automated.Permits, more.Permits, read.Permits, interactive.Permits)
	}
	if more.Window != budget.Burst || more.Retry <= 0 || more.Retry > time.Second {
		t.Errorf("denied = %+v", more)
	}
	if _, again := state.Take(budget.Automated, 1, start.Add(more.Retry)); again.Permits != 1 {
		t.Error("not granted at the time that was told")
	}
}

// However hard an import presses, a read that settles a send is served at once; and the import goes on.
func TestBulkReadsLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	state := budget.State{Limit: budget.Limit{Calls: 100, Interval: 10 * time.Second}, TAT: start, ReadTAT: start}
	bulk, denied := 0, 0
	for now := start; now.Before(start.Add(time.Minute)); now = now.Add(100 * time.Millisecond) {
		var g budget.Grant
		state, g = state.Take(budget.Bulk, 100, now)
		bulk += g.Permits
		if now.Sub(start)%time.Second == 0 {
			if state, g = state.Take(budget.Read, 1, now); g.Permits != 1 {
				denied++
			}
		}
	}
	if denied != 0 || bulk < 50 {
		t.Errorf("%d of 60 reads were denied, %d bulk reads served", denied, bulk)
	}
}

func TestHoldsAndTheDay(t *testing.T) {
	t.Parallel()
	limit := budget.Limit{Calls: 100, Interval: 10 * time.Second}
	fresh := budget.State{Limit: limit, TAT: start, ReadTAT: start}
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	take := func(l budget.Learn, class budget.Class, after time.Duration) budget.Grant {
		_, g := fresh.Apply(l, start).Take(class, 1, start.Add(after))
		return g
	}
	burst := budget.FromAnswer(429, header("X-RateLimit-Daily-Remaining", "5000", "X-RateLimit-Limit-Daily", "200000"), limit)
	if g := take(burst, budget.Interactive, 9*time.Second); g.Permits != 0 || g.Window != budget.Burst {
		t.Errorf("after a burst 429: %+v", g)
	}
	if g := take(burst, budget.Interactive, 15*time.Second); g.Permits != 1 {
		t.Errorf("after its interval: %+v", g)
	}
	told := budget.FromAnswer(429, header("Retry-After", "30"), limit)
	if g := take(told, budget.Interactive, 29*time.Second); g.Permits != 0 || g.Retry != time.Second {
		t.Errorf("before Retry-After: %+v", g)
	}
	day := budget.FromAnswer(429, header("X-RateLimit-Daily-Remaining", "0", "X-RateLimit-Limit-Daily", "200000"), limit)
	if g := take(day, budget.Interactive, 30*time.Minute); g.Permits != 0 || g.Window != budget.Daily {
		t.Errorf("a used-up day: %+v", g)
	}
	if g := take(day, budget.Interactive, 61*time.Minute); g.Permits != 1 {
		t.Errorf("one call must find out how the day stands: %+v", g)
	}
	low := budget.FromAnswer(200, header("X-RateLimit-Daily-Remaining", "15000", "X-RateLimit-Limit-Daily", "200000"), limit)
	if take(low, budget.Read, 0).Permits != 0 || take(low, budget.Automated, 0).Permits != 1 {
		t.Error("a day at 7.5 % stops reads only")
	}
	lower := budget.FromAnswer(200, header("X-RateLimit-Max", "25", "X-RateLimit-Interval-Milliseconds", "10000"), limit)
	if s := fresh.Apply(lower, start); s.Limit.Calls != 25 {
		t.Errorf("limit = %+v", s.Limit)
	} else if _, g := s.Take(budget.Interactive, 1, start); g.Permits != 0 {
		t.Error("a lower limit starts with an empty burst")
	}
}

func FuzzFromAnswer(f *testing.F) {
	f.Add(429, "100", "10000", "0", "200000", "0", "30")
	f.Add(200, "-1", "99999999999999999999", "x", "", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, status int, limit, interval, remaining, day, left, retry string) {
		h := http.Header{}
		for name, value := range map[string]string{
			"X-RateLimit-Max": limit, "X-RateLimit-Interval-Milliseconds": interval, "X-RateLimit-Remaining": remaining,
			"X-RateLimit-Limit-Daily": day, "X-RateLimit-Daily-Remaining": left, "Retry-After": retry,
		} {
			h.Set(name, value)
		}
		known := budget.Limit{Calls: 100, Interval: 10 * time.Second}
		learn := budget.FromAnswer(status, h, known)
		if learn.Hold < 0 || learn.Hold > time.Hour*24 || (learn.Limit != budget.Limit{} && !learn.Limit.Valid()) {
			t.Errorf("learned %+v", learn)
		}
		state := budget.State{Limit: known, TAT: start, ReadTAT: start}.Apply(learn, start)
		if _, g := state.Take(budget.Automated, 5, start); g.Permits == 0 && g.Retry <= 0 {
			t.Errorf("denied without a time: %+v", g)
		}
	})
}
