package poll_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/relance/relance/services/sync/internal/poll"
)

var noon = time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC)

// TestCursorAlwaysReachesNow: whatever happens to the polls, as long as the provider answers again in the end, the windows
// that were read cover all time without a hole, and the cursor reaches the present.
func TestCursorAlwaysReachesNow(t *testing.T) {
	t.Parallel()
	set := poll.DefaultSettings()
	rapid.Check(t, func(t *rapid.T) {
		s := poll.State{Cursor: noon.Add(-time.Duration(rapid.IntRange(1, 10000).Draw(t, "behind")) * time.Minute)}
		now, covered := noon, s.Cursor
		for range rapid.IntRange(0, 200).Draw(t, "polls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "pass")) * time.Second)
			w, ok := s.Window(now, set)
			if !ok {
				s = s.Idle(now, set, "")
				continue
			}
			if w.Fresh.After(covered) || w.To.After(now.Add(-set.Grace)) || w.To.Sub(w.Fresh) > set.MaxSpan {
				t.Fatalf("window %+v at %s with everything before %s read", w, now, covered)
			}
			before := s
			switch rapid.SampledFrom([]string{"done", "much", "refused", "failed", "deferred"}).Draw(t, "outcome") {
			case "done":
				s = s.Done(w, now, set)
			case "much":
				s, _ = s.TooMuch(w, now, set)
			case "refused":
				s, _ = s.Refused(w, now, set)
			case "failed":
				s, _ = s.Counted(1, 1).Failed(now, set, "X")
			case "deferred":
				s = s.Deferred(now, time.Second, set)
			}
			if s.Cursor.Before(before.Cursor) || s.Next.After(now.Add(2*time.Hour)) || s.Next.Before(now) {
				t.Fatalf("from %+v to %+v at %s", before, s, now)
			}
			covered = s.Cursor
		}
		for range 20000 {
			w, ok := s.Window(now, set)
			if !ok {
				break
			}
			s = s.Done(w, now, set)
		}
		if s.Cursor.Before(now.Add(-set.Grace)) {
			t.Fatalf("cursor stays at %s, now is %s", s.Cursor, now)
		}
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	set := poll.DefaultSettings()
	fail := func(s poll.State, ok int) (poll.State, bool) { return s.Counted(1+ok, 1).Failed(noon, set, "X") }
	var s poll.State
	var opened bool
	for i := range 5 {
		if s, opened = fail(s, 0); opened != (i == 4) {
			t.Fatalf("failure %d: open = %v", i+1, opened)
		}
	}
	if !s.BreakerEnd.Equal(noon.Add(2*set.Every)) || !s.Next.Equal(s.BreakerEnd) {
		t.Errorf("open until %s", s.BreakerEnd)
	}
	if s, opened = fail(s, 0); !opened || !s.BreakerEnd.Equal(noon.Add(4*set.Every)) {
		t.Errorf("the trial after it failed: open = %v until %s", opened, s.BreakerEnd)
	}
	if s = s.Done(poll.Window{To: noon}, noon, set); !s.BreakerEnd.IsZero() || s.Trips != 0 {
		t.Errorf("closed by a success: %+v", s)
	}
	s = poll.State{}
	for range 50 {
		if s, opened = fail(s, 2); opened {
			t.Fatal("one failure in three reads opens it")
		}
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	var s poll.State
	changes := 0
	step := func(found int, webhook bool) {
		var changed bool
		if s, changed = s.Heard(found, webhook, noon); changed {
			changes++
		}
	}
	step(2, false)
	if !s.Silent.IsZero() {
		t.Error("two messages are an alarm")
	}
	step(1, false)
	step(5, false)
	if s.Silent.IsZero() || changes != 1 {
		t.Errorf("silent since %s after %d changes", s.Silent, changes)
	}
	step(4, true)
	if !s.Silent.IsZero() || changes != 2 {
		t.Errorf("a webhook came: silent since %s after %d changes", s.Silent, changes)
	}
	for range 100 {
		step(0, false)
	}
	if !s.Silent.IsZero() {
		t.Error("a location where nobody writes is an alarm")
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		delivered, found, late int
		want                   float64
	}{{0, 0, 0, 0}, {10, 0, 0, 0}, {90, 10, 0, 0.1}, {90, 10, 10, 0}, {0, 4, 1, 0.75}, {0, 1, 2, 0}} {
		if got := poll.Loss(c.delivered, c.found, c.late); got != c.want {
			t.Errorf("Loss(%d, %d, %d) = %v, want %v", c.delivered, c.found, c.late, got, c.want)
		}
	}
}
