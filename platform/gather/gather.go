// Package gather makes one piece of work of calls that come at the same time. While a batch is under way the calls that come
// wait, and are the next batch: the busier it is the larger the batches are. A lone call is a batch of one, at once. Where
// it is known that others are about to come, a batch can wait for them a little.
package gather

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Config is what a Gatherer is made of.
type Config[K comparable, In, Out any] struct {
	// Run does the work of a batch, all of one key, and gives one result for each item in their order. Its context is not
	// cancelled with any caller's. An error, or a panic, is the result of all of them.
	Run func(ctx context.Context, key K, items []In) ([]Out, error)
	// Size bounds a batch. Default 64.
	Size int
	// Weight and Limit bound a batch by what its items weigh together, such as their bytes: an item that would make it heavier is
	// the next one's, unless it is the first. Without Weight nothing is weighed.
	Weight func(In) int
	Limit  int
	// Lanes is how many batches of one key may be under way at once. Default 1.
	Lanes int
	// Enough is how many must wait for a batch to begin while another one is under way. More lanes make batches smaller, and what a
	// batch costs is paid more often; with Enough they do not get smaller than that. Default 0: whoever waits begins.
	Enough int
	// Shared, if set, tells an error that every batch would meet, such as a database that is away: all that wait for the key
	// get it with the batch, so that each learns of it as soon as one does.
	Shared func(error) bool
	// Leave lets a caller go when its context ends, with the context's error. An item that has not begun is dropped; one that has
	// goes on, and its outcome is lost: for work that may be asked for again. By default nobody leaves.
	Leave bool
	// Patience is how long a batch waits for more calls while Coming says that they are about to come. It counts from the lane's
	// last batch, or from the first call. Default 0: nobody waits for company.
	Patience time.Duration
	// Coming reports whether the calls that wait should be joined by others that may come soon. It is asked when one comes, must
	// be quick, and is needed with Patience.
	Coming func(key K, waiting int) bool
}

// Gatherer gathers calls by key. It is safe for concurrent use.
type Gatherer[K comparable, In, Out any] struct {
	cfg   Config[K, In, Out]
	mu    sync.Mutex
	lines map[K]*line[In, Out]
}

// line is who waits for a key.
type line[In, Out any] struct {
	waiting []*call[In, Out]
	running int
	// came is signalled when a call came.
	came chan struct{}
}

type call[In, Out any] struct {
	//nolint:containedctx // a call's values, such as its trace, go with the batch that it leads
	ctx  context.Context
	in   In
	out  Out
	err  error
	done chan struct{}
}

// New makes a Gatherer.
func New[K comparable, In, Out any](cfg Config[K, In, Out]) *Gatherer[K, In, Out] {
	if cfg.Size <= 0 {
		cfg.Size = 64
	}
	if cfg.Lanes <= 0 {
		cfg.Lanes = 1
	}
	return &Gatherer[K, In, Out]{cfg: cfg, lines: map[K]*line[In, Out]{}}
}

// Result is what became of one item.
type Result[Out any] struct {
	Out Out
	Err error
}

// Do puts the item into a batch and waits for its result. Unless Leave is set it does not end before: work that has begun has
// an outcome, which its caller must learn. Run bounds how long that takes.
func (g *Gatherer[K, In, Out]) Do(ctx context.Context, key K, in In) (Out, error) {
	r := g.DoAll(ctx, key, []In{in})[0]
	return r.Out, r.Err
}

// DoAll is Do for items that come at once. They may go in one batch or in several, with items of other callers; each has a
// result of its own, in their order.
func (g *Gatherer[K, In, Out]) DoAll(ctx context.Context, key K, items []In) []Result[Out] {
	if len(items) == 0 {
		return nil
	}
	calls := make([]*call[In, Out], len(items))
	for i, in := range items {
		calls[i] = &call[In, Out]{ctx: ctx, in: in, done: make(chan struct{})}
	}
	g.join(key, calls)
	var left <-chan struct{}
	if g.cfg.Leave {
		left = ctx.Done()
	}
	out := make([]Result[Out], len(calls))
	for i, c := range calls {
		select {
		case <-c.done:
			out[i] = Result[Out]{c.out, c.err}
		case <-left:
			out[i].Err = ctx.Err()
		}
	}
	return out
}

// join puts calls into the line of their key, and starts a lane for them if one is free.
func (g *Gatherer[K, In, Out]) join(key K, calls []*call[In, Out]) {
	g.mu.Lock()
	l := g.lines[key]
	if l == nil {
		l = &line[In, Out]{came: make(chan struct{}, 1)}
		g.lines[key] = l
	}
	l.waiting = append(l.waiting, calls...)
	if l.running == 0 || (l.running < g.cfg.Lanes && len(l.waiting) >= g.cfg.Enough) {
		l.running++
		go g.drain(key, l)
	}
	g.mu.Unlock()
	select {
	case l.came <- struct{}{}:
	default:
	}
}

// drain runs batches until nobody waits.
func (g *Gatherer[K, In, Out]) drain(key K, l *line[In, Out]) {
	for {
		g.wait(key, l)
		g.mu.Lock()
		var batch []*call[In, Out]
		if l.running == 1 || len(l.waiting) >= g.cfg.Enough {
			batch = g.take(l)
		}
		if len(batch) == 0 { // Nobody waits, or too few, whom another lane takes when its batch has ended.
			if l.running--; l.running == 0 {
				delete(g.lines, key)
			}
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		if err := g.serve(key, batch); err != nil && g.cfg.Shared != nil && g.cfg.Shared(err) {
			g.mu.Lock()
			behind := l.waiting
			l.waiting = nil
			g.mu.Unlock()
			fail(behind, err)
		}
	}
}

// take removes the next batch from a line; none when nobody waits who has not left.
func (g *Gatherer[K, In, Out]) take(l *line[In, Out]) []*call[In, Out] {
	var batch []*call[In, Out]
	taken, weight := 0, 0
	for _, c := range l.waiting {
		if len(batch) == g.cfg.Size {
			break
		}
		if g.cfg.Leave && c.ctx.Err() != nil {
			taken++
			continue
		}
		if g.cfg.Weight != nil {
			if weight += g.cfg.Weight(c.in); len(batch) > 0 && weight > g.cfg.Limit {
				break
			}
		}
		batch, taken = append(batch, c), taken+1
	}
	l.waiting = l.waiting[taken:]
	return batch
}

func fail[In, Out any](calls []*call[In, Out], err error) {
	for _, c := range calls {
		c.err = err
		close(c.done)
	}
}

// wait gives those a moment who are about to come.
func (g *Gatherer[K, In, Out]) wait(key K, l *line[In, Out]) {
	if g.cfg.Patience <= 0 {
		return
	}
	patience := time.NewTimer(g.cfg.Patience)
	defer patience.Stop()
	for {
		g.mu.Lock()
		n := len(l.waiting)
		g.mu.Unlock()
		if n == 0 || n >= g.cfg.Size || !g.cfg.Coming(key, n) {
			return
		}
		select {
		case <-l.came:
		case <-patience.C:
			return
		}
	}
}

func (g *Gatherer[K, In, Out]) serve(key K, batch []*call[In, Out]) error {
	items := make([]In, len(batch))
	for i, c := range batch {
		items[i] = c.in
	}
	out, err := g.run(context.WithoutCancel(batch[0].ctx), key, items)
	if err == nil && len(out) != len(batch) {
		err = fmt.Errorf("batch of %d has %d results", len(batch), len(out))
	}
	if err != nil {
		fail(batch, err)
		return err
	}
	for i, c := range batch {
		c.out = out[i]
		close(c.done)
	}
	return nil
}

func (g *Gatherer[K, In, Out]) run(ctx context.Context, key K, items []In) (out []Out, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("batch of %d: panic: %v", len(items), p)
		}
	}()
	return g.cfg.Run(ctx, key, items)
}
