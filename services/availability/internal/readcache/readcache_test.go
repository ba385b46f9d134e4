package readcache_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/availability/internal/readcache"
	"github.com/relance/relance/services/availability/internal/slots"
)

func trusted(limit int) *readcache.Cache[int] {
	c := readcache.New(limit, func(weight int) int { return weight })
	c.Trust(clock.System().Now(), time.Hour)
	return c
}

func put(c *readcache.Cache[int], workspace uuid.UUID, value int) {
	c.Put(c.Begin(slots.Default(workspace)), value)
}

func TestNothingIsKeptWithoutTrust(t *testing.T) {
	t.Parallel()
	c := readcache.New(64*1000, func(int) int { return 1 })
	w := uuid.New()
	has := func(want bool, when string) {
		t.Helper()
		if _, ok := c.Get(slots.Default(w)); ok != want {
			t.Errorf("%s: known %v, want %v", when, ok, want)
		}
	}
	put(c, w, 7)
	has(false, "never trusted")
	c.Trust(clock.System().Now(), time.Hour)
	has(false, "put before trust")
	put(c, w, 7)
	has(true, "trusted")
	// Trust that ran out: the listener is cut off and does not know it.
	c.Trust(clock.System().Now().Add(-2*time.Second), time.Second)
	has(false, "trust ran out")
	c.Trust(clock.System().Now(), time.Hour)
	has(true, "heard of every change since")
	c.Distrust()
	c.Trust(clock.System().Now(), time.Hour)
	has(false, "changes may have been missed")
}

// A value read before a change is not put in after it, whichever comes first: the change or the put.
func TestChangeDuringRead(t *testing.T) {
	t.Parallel()
	c := trusted(10_000)
	w := uuid.New()
	ticket := c.Begin(slots.Default(w))
	c.Forget(w)
	c.Put(ticket, 1)
	if v, ok := c.Get(slots.Default(w)); ok {
		t.Errorf("old value %d kept", v)
	}
	ticket = c.Begin(slots.Default(w))
	c.Distrust()
	c.Trust(clock.System().Now(), time.Hour)
	c.Put(ticket, 1)
	if v, ok := c.Get(slots.Default(w)); ok {
		t.Errorf("value %d kept over a loss", v)
	}
	put(c, w, 2)
	if v, ok := c.Get(slots.Default(w)); !ok || v != 2 {
		t.Errorf("control: %d %v", v, ok)
	}
}

func TestWeightIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 64 * 1000
	c := trusted(limit)
	last := uuid.New()
	for range 5000 {
		put(c, uuid.New(), 100)
		put(c, last, 100)
		put(c, uuid.New(), 0)
		if _, ok := c.Get(slots.Default(last)); !ok {
			t.Fatal("the one used last left first")
		}
	}
	entries, weight := c.Len()
	if weight > limit || weight < limit/2 || entries < 100 {
		t.Errorf("%d entries weigh %d of %d", entries, weight, limit)
	}
	huge := uuid.New()
	put(c, huge, limit)
	if _, ok := c.Get(slots.Default(huge)); ok {
		t.Error("a value heavier than its share was kept")
	}
	c.Distrust()
	if entries, weight := c.Len(); entries != 0 || weight != 0 {
		t.Errorf("after distrust %d entries weigh %d", entries, weight)
	}
}

// Readers that race with changes never see a value older than the last change that they know to be over.
func TestRaces(t *testing.T) {
	t.Parallel()
	c := trusted(1 << 20)
	w := uuid.New()
	var truth struct {
		sync.Mutex
		value int
	}
	read := func() int {
		truth.Lock()
		defer truth.Unlock()
		return truth.value
	}
	var work sync.WaitGroup
	work.Go(func() {
		for range 2000 {
			truth.Lock()
			truth.value++
			truth.Unlock()
			c.Forget(w)
		}
	})
	for range 4 {
		work.Go(func() {
			for range 2000 {
				ticket := c.Begin(slots.Default(w))
				c.Put(ticket, read())
			}
		})
	}
	work.Wait()
	if v, ok := c.Get(slots.Default(w)); ok && v != read() {
		t.Errorf("%d is cached, %d is true", v, read())
	}
}
