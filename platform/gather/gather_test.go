package gather_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relance/relance/platform/gather"
)

// recorder doubles numbers and writes down the batches it got; each batch waits for gate.
type recorder struct {
	mu      sync.Mutex
	batches [][]int
	gate    chan struct{}
}

func (r *recorder) run(_ context.Context, _ string, items []int) ([]int, error) {
	r.mu.Lock()
	r.batches = append(r.batches, items)
	r.mu.Unlock()
	<-r.gate
	out := make([]int, len(items))
	for i, n := range items {
		out[i] = 2 * n
	}
	return out, nil
}

func (r *recorder) sizes() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []int
	for _, b := range r.batches {
		out = append(out, len(b))
	}
	return out
}

// Who comes while a batch is under way is in the next one, and everyone gets the result of its own item.
func TestCallsGatherWhileABatchIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{gate: make(chan struct{})}
		g := gather.New(gather.Config[string, int, int]{Run: r.run, Size: 4})
		var group sync.WaitGroup
		call := func(n int) {
			group.Go(func() {
				if got, err := g.Do(t.Context(), "a", n); err != nil || got != 2*n {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
		}
		call(1)
		synctest.Wait()
		for n := 2; n <= 7; n++ {
			call(n)
		}
		synctest.Wait()
		if got := r.sizes(); len(got) != 1 || got[0] != 1 {
			t.Fatalf("batches before the first ended: %v, want one of 1", got)
		}
		close(r.gate)
		group.Wait()
		if got := r.sizes(); len(got) != 3 || got[1] != 4 || got[2] != 2 {
			t.Errorf("batches = %v, want 1 4 2", got)
		}
	})
}

// A key does not wait for another, and lanes bound how many batches of a key run at once.
func TestKeysAndLanes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{gate: make(chan struct{})}
		g := gather.New(gather.Config[string, int, int]{Run: r.run, Lanes: 2})
		var group sync.WaitGroup
		for _, key := range []string{"a", "a", "a", "b"} {
			group.Go(func() {
				if _, err := g.Do(t.Context(), key, 1); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if got := r.sizes(); len(got) != 3 {
			t.Errorf("%d batches under way, want 3: two of a, one of b", len(got))
		}
		close(r.gate)
		group.Wait()
	})
}

// While a batch is under way the next begins when enough wait, and not before; the last ones are not left.
func TestEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{gate: make(chan struct{})}
		g := gather.New(gather.Config[string, int, int]{Run: r.run, Lanes: 2, Enough: 3})
		var group sync.WaitGroup
		come := func(calls int) []int {
			for range calls {
				group.Go(func() {
					if _, err := g.Do(t.Context(), "a", 1); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			return r.sizes()
		}
		for _, step := range []struct {
			calls int
			want  []int
		}{
			{1, []int{1}}, {2, []int{1}}, {1, []int{1, 3}}, // a lone one at once, two wait, three begin
			{2, []int{1, 3}},
		} {
			if got := come(step.calls); !slices.Equal(got, step.want) {
				t.Fatalf("batches = %v, want %v", got, step.want)
			}
		}
		r.gate <- struct{}{} // one of two ends: too few wait for it to begin again
		synctest.Wait()
		if got := r.sizes(); !slices.Equal(got, []int{1, 3}) {
			t.Errorf("batches = %v, want no third while one is under way", got)
		}
		r.gate <- struct{}{}
		synctest.Wait()
		if got := r.sizes(); !slices.Equal(got, []int{1, 3, 2}) {
			t.Errorf("batches = %v, want the last two when nothing is under way", got)
		}
		close(r.gate)
		group.Wait()
	})
}

// A batch waits for those who are about to come: until there are enough, until nobody is coming, or until its patience ends.
func TestPatience(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		coming bool
		calls  int
		took   time.Duration
		sizes  []int
	}{
		"nobody comes":     {false, 2, time.Millisecond, []int{1, 1}},
		"enough have come": {true, 3, 2 * time.Millisecond, []int{3}},
		"patience ends":    {true, 2, 5 * time.Millisecond, []int{2}},
		"both, in turn":    {true, 4, 7 * time.Millisecond, []int{3, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{gate: make(chan struct{})}
				close(r.gate)
				g := gather.New(gather.Config[string, int, int]{
					Run: r.run, Patience: 5 * time.Millisecond, Coming: func(_ string, waiting int) bool { return c.coming && waiting < 3 },
				})
				began := time.Now()
				var group sync.WaitGroup
				for n := range c.calls {
					group.Go(func() {
						if _, err := g.Do(t.Context(), "a", n); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
					if n < min(c.calls-1, 2) {
						time.Sleep(time.Millisecond)
					}
				}
				group.Wait()
				if got := r.sizes(); !slices.Equal(got, c.sizes) {
					t.Errorf("batches = %v, want %v", got, c.sizes)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

func TestErrorsAndPanicsReachEveryCaller(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	for name, run := range map[string]func(context.Context, int, []int) ([]int, error){
		"error":      func(context.Context, int, []int) ([]int, error) { return nil, away },
		"panic":      func(context.Context, int, []int) ([]int, error) { panic("away") },
		"no results": func(context.Context, int, []int) ([]int, error) { return nil, nil },
	} {
		g := gather.New(gather.Config[int, int, int]{Run: run})
		for range 2 { // the line goes on after the first
			if _, err := g.Do(t.Context(), 1, 1); err == nil || (name != "no results" && !strings.Contains(err.Error(), "away")) {
				t.Errorf("%s: error = %v", name, err)
			}
		}
	}
}

// A caller that goes away does not end the work of others, nor its own.
func TestCancelledCallerIsServed(t *testing.T) {
	t.Parallel()
	g := gather.New(gather.Config[int, int, int]{Run: func(ctx context.Context, _ int, items []int) ([]int, error) { return items, ctx.Err() }})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := g.Do(ctx, 1, 7); err != nil || got != 7 {
		t.Errorf("Do = %d, %v, want 7", got, err)
	}
}

// An error that is shared reaches who waits behind the batch, without a batch of its own; the line goes on afterwards.
func TestSharedErrorsReachWhoWaits(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	for shared, want := range map[bool]int32{true: 2, false: 3} {
		synctest.Test(t, func(t *testing.T) {
			gate, batches := make(chan struct{}), atomic.Int32{}
			g := gather.New(gather.Config[int, int, int]{Size: 1, Run: func(context.Context, int, []int) ([]int, error) {
				batches.Add(1)
				<-gate
				return nil, away
			}, Shared: func(err error) bool { return shared && errors.Is(err, away) }})
			var group sync.WaitGroup
			call := func() {
				if _, err := g.Do(t.Context(), 1, 1); !errors.Is(err, away) {
					t.Errorf("error = %v, want away", err)
				}
			}
			group.Go(call)
			synctest.Wait()
			group.Go(call)
			synctest.Wait()
			close(gate)
			group.Wait()
			call()
			if got := batches.Load(); got != want {
				t.Errorf("shared %v: %d batches, want %d", shared, got, want)
			}
		})
	}
}

// A batch is bounded by what its items weigh, but for one that is too heavy by itself.
func TestWeight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{gate: make(chan struct{})}
		g := gather.New(gather.Config[string, int, int]{Run: r.run, Weight: func(n int) int { return n }, Limit: 10})
		var group sync.WaitGroup
		for _, n := range []int{1, 4, 6, 1, 50, 2} {
			group.Go(func() {
				if got, err := g.Do(t.Context(), "a", n); err != nil || got != 2*n {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
			synctest.Wait()
		}
		close(r.gate)
		group.Wait()
		if want := [][]int{{1}, {4, 6}, {1}, {50}, {2}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("batches = %v, want %v", r.batches, want)
		}
	})
}

// Items that come at once are in one batch, as far as it goes, and have their results in order.
func TestDoAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{gate: make(chan struct{})}
		close(r.gate)
		g := gather.New(gather.Config[string, int, int]{Run: r.run, Size: 3})
		if got := g.DoAll(t.Context(), "a", nil); got != nil {
			t.Errorf("DoAll of nothing = %v", got)
		}
		for n, got := range g.DoAll(t.Context(), "a", []int{0, 1, 2, 3}) {
			if got.Err != nil || got.Out != 2*n {
				t.Errorf("result %d = %v", n, got)
			}
		}
		if got := r.sizes(); !slices.Equal(got, []int{3, 1}) {
			t.Errorf("batches = %v, want 3 1", got)
		}
	})
}

// Who may leave does so when its context ends: what had not begun is not done, what had goes on for the others.
func TestLeave(t *testing.T) {
	t.Parallel()
	for leave, want := range map[bool][]int{true: {1, 1}, false: {1, 2}} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{gate: make(chan struct{})}
			g := gather.New(gather.Config[string, int, int]{Run: r.run, Leave: leave})
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			left := make(chan error, 2)
			call := func(ctx context.Context, n int) {
				group.Go(func() {
					_, err := g.Do(ctx, "a", n)
					if ctx.Err() != nil && err != nil {
						left <- err
					} else if err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			call(ctx, 1)         // is under way
			call(ctx, 2)         // waits
			call(t.Context(), 3) // stays
			cancel()
			synctest.Wait()
			if gone := len(left) == 2; gone != leave {
				t.Errorf("leave %v: %d left before the batch ended", leave, len(left))
			}
			close(r.gate)
			group.Wait()
			if got := r.sizes(); !slices.Equal(got, want) {
				t.Errorf("leave %v: batches = %v, want %v", leave, got, want)
			}
			close(left)
			for err := range left {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("who left got %v, want the context's error", err)
				}
			}
		})
	}
}
