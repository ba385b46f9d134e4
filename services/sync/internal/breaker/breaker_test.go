package breaker_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/relance/relance/services/sync/internal/breaker"
)

var start = time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)

const limit, lease = 5, 30 * time.Second

func TestOpensProbesAndCloses(t *testing.T) {
	t.Parallel()
	var s breaker.State
	for range limit - 1 {
		s = s.Failed(start, limit)
	}
	if s.Kind(start) != breaker.Closed {
		t.Fatal("opened too early")
	}
	s = s.Failed(start, limit)
	if _, wait := s.Enter(start, lease); wait != 10*time.Second {
		t.Fatalf("wait = %s", wait)
	}
	later := start.Add(10 * time.Second)
	s, wait := s.Enter(later, lease)
	if wait != 0 {
		t.Fatalf("no probe: wait %s", wait)
	}
	if _, wait := s.Enter(later, lease); wait == 0 {
		t.Error("a second probe passed")
	}
	failed := s.Failed(later, limit)
	if _, wait := failed.Enter(later, lease); wait != 20*time.Second {
		t.Errorf("second wait = %s, want twice the first", wait)
	}
	if s = s.Answered(later); s != (breaker.State{}) {
		t.Errorf("after an answer: %+v", s)
	}
}

func TestAProbeThatDiedIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	s := breaker.State{Score: limit, Opens: 1, Until: start}
	s, _ = s.Enter(start, lease)
	if _, wait := s.Enter(start.Add(lease), lease); wait != 0 {
		t.Errorf("wait = %s", wait)
	}
	if _, wait := s.Left().Enter(start, lease); wait != 0 {
		t.Error("a probe that was not made still holds the others")
	}
}

func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s breaker.State
		now, failures := start, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "step")))
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				s, failures = s.Failed(now, limit), failures+1
			case 1:
				s = s.Answered(now)
			case 2:
				s = s.Left()
			default:
				var wait time.Duration
				s, wait = s.Enter(now, lease)
				if wait < 0 || wait > 5*time.Minute {
					t.Fatalf("wait %s", wait)
				}
				if _, again := s.Enter(now, lease); s.Kind(now) == breaker.HalfOpen && again == 0 {
					t.Fatal("two probes at once")
				}
			}
			if failures < limit && s.Kind(now) != breaker.Closed {
				t.Fatalf("open after %d failures", failures)
			}
		}
	})
}
