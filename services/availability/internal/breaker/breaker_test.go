package breaker_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/relance/relance/services/availability/internal/breaker"
)

func start() time.Time { return time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC) }

func TestFiveFailuresInARowOpen(t *testing.T) {
	t.Parallel()
	s, now := breaker.State{}, start()
	for i := range 4 {
		now = now.Add(10 * time.Minute)
		if s = s.Failure(now, 0); s.Kind(now) != breaker.Closed {
			t.Fatalf("open after %d", i+1)
		}
	}
	// Control: an answer in between makes the row begin anew.
	if calm := s.Answer(now).Failure(now, 0); calm.Kind(now) != breaker.Closed || calm.Failures != 1 {
		t.Errorf("%+v", calm)
	}
	now = now.Add(10 * time.Minute)
	s = s.Failure(now, 0)
	if s.Kind(now) != breaker.Open || s.Until.Sub(now) != 40*time.Minute/60 {
		t.Fatalf("%+v", s)
	}
	if s.Answer(now) != s || s.Failure(now, time.Hour) != s {
		t.Error("a look that was on its way changes an open breaker")
	}
	if s.Kind(s.Until) != breaker.HalfOpen || s.Answer(s.Until) != (breaker.State{}) {
		t.Error("an answer does not close it")
	}
}

func TestHalfOfManyOpens(t *testing.T) {
	t.Parallel()
	now := start()
	alternate := func(answers int) breaker.State {
		s := breaker.State{}
		for range 5 {
			s = s.Failure(now, 0)
			for range answers {
				s = s.Answer(now)
			}
		}
		return s
	}
	if s := alternate(1); s.Kind(now) != breaker.Open {
		t.Errorf("half of the calls failed: %+v", s)
	}
	if s := alternate(2); s.Kind(now) != breaker.Closed {
		t.Errorf("a third of the calls failed: %+v", s)
	}
}

// An outage of any length: the calls are few, and the host is found again within a sixtieth of it, or half a minute.
func TestOutage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.Int64Range(int64(time.Minute), int64(72*time.Hour)).Draw(t, "length"))
		s, now, calls := breaker.State{}, start(), 0
		for now.Sub(start()) < length {
			s = s.Failure(now, 0)
			calls++
			if now = now.Add(time.Second); s.Kind(now) != breaker.Closed {
				now = s.Until
			}
		}
		// Thirty seconds apart for half an hour, then by a sixtieth: 5 + 60 + 60 ln(length/30 min).
		if most := 5 + 2*int(min(length, time.Hour)/(30*time.Second)) + 60*5; calls > most {
			t.Fatalf("%d calls in %s", calls, length)
		}
		if late := now.Sub(start().Add(length)); late > breaker.CoolDown(length)+time.Second {
			t.Fatalf("found %s after an outage of %s", late, length)
		}
		if s = s.Answer(now); s != (breaker.State{}) {
			t.Fatalf("%+v", s)
		}
	})
}

func TestOwnDemandIsBounded(t *testing.T) {
	t.Parallel()
	for demand, want := range map[time.Duration]time.Duration{
		0: 30 * time.Second, time.Second: 30 * time.Second, 2 * time.Minute: 2 * time.Minute, 24 * time.Hour: 30 * time.Minute,
	} {
		s := breaker.State{}
		for range 5 {
			s = s.Failure(start(), demand)
		}
		if got := s.Until.Sub(start()); got != want {
			t.Errorf("demand %s: %s, want %s", demand, got, want)
		}
	}
}
