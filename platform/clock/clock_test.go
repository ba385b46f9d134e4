package clock_test

import (
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/platform/clock"
)

func TestMovable(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 8, 1, 59, 0, 0, time.UTC)
	c := clock.NewMovable(start)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { c.Advance(time.Minute); c.Now() })
	}
	group.Wait()
	if want := start.Add(8 * time.Minute); !c.Now().Equal(want) {
		t.Errorf("Now() = %s, want %s", c.Now(), want)
	}
	c.Set(start)
	if !c.Now().Equal(start) {
		t.Error("Set must move the clock back too")
	}
}

func TestSystemMoves(t *testing.T) {
	t.Parallel()
	before := time.Now()
	if now := clock.System().Now(); now.Before(before) || now.Sub(before) > time.Minute {
		t.Errorf("Now() = %s, want the machine's %s", now, before)
	}
}
