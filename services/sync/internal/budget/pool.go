package budget

import (
	"sync"
	"time"
)

const classes = 4

// batchShare bounds what one process takes ahead of its callers, so that it does not starve the others.
const batchShare = 20

// pool holds the permits that this process leased from one row and has not used.
type pool struct {
	key     Key
	leasing chan struct{}

	mu      sync.Mutex
	limit   Limit
	learn   Learn
	hold    time.Time
	holding Window
	lanes   [classes]lane
}

// lane is one class's part of a pool.
type lane struct {
	free    []time.Time // ends of permits, oldest first
	waiting int
	ahead   int // permits to take beyond the callers that wait
	denied  *ExceededError
	retryAt time.Time
}

// enter counts a caller in; what it returns counts it out.
func (p *pool) enter(class Class) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[class].waiting++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lanes[class].waiting--
	}
}

// take gives the end of a free permit, or why there is none for now; neither means that the row has to be asked.
func (p *pool) take(class Class, now time.Time) (time.Time, *ExceededError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.hold) {
		return time.Time{}, &ExceededError{Window: p.holding, Retry: p.hold.Sub(now)}
	}
	q := &p.lanes[class]
	q.expire(now)
	if len(q.free) > 0 {
		until := q.free[0]
		q.free = q.free[1:]
		if len(q.free) == 0 {
			q.ahead = min(max(2*q.ahead, 1), max(p.limit.Calls/batchShare, 1))
		}
		return until, nil
	}
	if now.Before(q.retryAt) {
		return time.Time{}, &ExceededError{Window: q.denied.Window, Retry: q.retryAt.Sub(now)}
	}
	return time.Time{}, nil
}

// expire drops permits whose time is over; taking ahead was then too much.
func (q *lane) expire(now time.Time) {
	dropped := false
	for len(q.free) > 0 && now.After(q.free[0]) {
		q.free, dropped = q.free[1:], true
	}
	if dropped {
		q.ahead = 0
	}
}

func (p *pool) put(class Class, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &p.lanes[class]
	i := 0
	for i < len(q.free) && q.free[i].Before(until) {
		i++
	}
	q.free = append(q.free[:i], append([]time.Time{until}, q.free[i:]...)...)
}

// demand tells how many permits to ask for and what to store with them; not needed when another caller has just asked.
func (p *pool) demand(class Class, now time.Time) (int, Learn, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &p.lanes[class]
	q.expire(now)
	if len(q.free) > 0 || now.Before(q.retryAt) || now.Before(p.hold) {
		return 0, Learn{}, false
	}
	learn := p.learn
	p.learn = Learn{}
	return max(q.waiting, 1) + q.ahead, learn, true
}

func (p *pool) relearn(old Learn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learn = old.merge(p.learn)
}

func (p *pool) granted(class Class, g Grant, limit Limit, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	q := &p.lanes[class]
	if g.Permits == 0 {
		q.denied, q.retryAt = &ExceededError{Window: g.Window, Retry: g.Retry}, began.Add(g.Retry)
		return
	}
	for range g.Permits {
		q.free = append(q.free, began.Add(limit.Life()))
	}
}

// observe keeps what was learned for the next lease. A limit that is lower than thought, and a hold, end the permits in hand.
func (p *pool) observe(l Learn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.Limit == p.limit {
		l.Limit = Limit{}
	}
	changed := l.Limit.Valid()
	p.learn = p.learn.merge(l)
	if until := now.Add(l.Hold); l.Hold > 0 && until.After(p.hold) {
		p.hold, p.holding = until, l.HoldWindow
	}
	for i := range p.lanes {
		if l.Hold > 0 || changed {
			p.lanes[i].free = nil
		}
		if changed {
			p.lanes[i].retryAt = time.Time{}
		}
	}
}
