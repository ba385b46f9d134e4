package budget

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Key names a budget.
type Key struct {
	// Provider is "ghl", "emailbison", "smartlead" or "instantly".
	Provider string
	// App is the application at the provider whose limit it is: "pit" for private integration tokens, or the OAuth client id.
	App string
	// Account is what the provider counts by: a GHL location, an instance, a workspace.
	Account string
}

// Rows keeps the states. Update MUST run fn on the locked row of key, made with the initial limit when there is none, with
// the database's clock, and store what fn answers; fn may run again.
type Rows interface {
	Update(ctx context.Context, key Key, initial Limit, fn func(State, time.Time) State) error
}

// Clock is the machine's clock, with its monotonic reading.
type Clock interface{ Now() time.Time }

// Config is what a limiter is made of.
type Config struct {
	Rows Rows
	// Clock is the machine's clock: permits end by it.
	Clock Clock
	// Initial is the limit of a budget about which the provider has said nothing yet.
	Initial func(Key) Limit
	// Wait is how long Take waits for a permit at most. Default 2 s.
	Wait time.Duration
}

// Limiter leases permits for this process. It is safe for concurrent use.
type Limiter struct {
	cfg   Config
	mu    sync.Mutex
	pools map[Key]*pool
}

// New makes a limiter. Every replica has its own, on the same rows.
func New(cfg Config) *Limiter {
	if cfg.Wait <= 0 {
		cfg.Wait = 2 * time.Second
	}
	return &Limiter{cfg: cfg, pools: map[Key]*pool{}}
}

// ExceededError says that the budget is used up.
type ExceededError struct {
	Window Window
	// Retry is when asking again makes sense.
	Retry time.Duration
}

// Error names the window.
func (e *ExceededError) Error() string { return "provider budget used up: " + string(e.Window) }

// Permit lets one call leave. It cannot be used after its end.
type Permit struct {
	until time.Time
	pool  *pool
	class Class
	clock Clock
}

// Covers reports whether the permit is of this budget.
func (p *Permit) Covers(key Key) bool { return p.pool.key == key }

// Use spends the permit and reports whether it still held. Call it right before the call leaves.
func (p *Permit) Use() bool { return !p.clock.Now().After(p.until) }

// Release gives an unused permit to the next caller of this process. Nothing goes back to the row: a permit that was
// granted twice could be used twice in one window.
func (p *Permit) Release() { p.pool.put(p.class, p.until) }

// Take gives a permit, waiting a little for one. Errors: ExceededError, the context's, the database's.
func (l *Limiter) Take(ctx context.Context, key Key, class Class) (*Permit, error) {
	p := l.pool(key)
	defer p.enter(class)()
	deadline := l.cfg.Clock.Now().Add(l.cfg.Wait)
	for {
		until, denied := p.take(class, l.cfg.Clock.Now())
		if !until.IsZero() {
			return &Permit{until: until, pool: p, class: class, clock: l.cfg.Clock}, nil
		}
		if denied == nil {
			if err := l.lease(ctx, p, class); err != nil {
				return nil, err
			}
			continue
		}
		if l.cfg.Clock.Now().Add(denied.Retry).After(deadline) {
			return nil, denied
		}
		if err := sleep(ctx, denied.Retry); err != nil {
			return nil, err
		}
	}
}

// lease asks the row for as many permits as this process can use now. One caller asks at a time; the others find what it got.
func (l *Limiter) lease(ctx context.Context, p *pool, class Class) error {
	select {
	case p.leasing <- struct{}{}:
		defer func() { <-p.leasing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	n, learn, needed := p.demand(class, l.cfg.Clock.Now())
	if !needed {
		return nil
	}
	// The permits end L after this moment, which is before the database grants them: no clock has to agree with another.
	began := l.cfg.Clock.Now()
	var grant Grant
	var limit Limit
	err := l.cfg.Rows.Update(ctx, p.key, l.cfg.Initial(p.key), func(s State, now time.Time) State {
		s, grant = s.Apply(learn, now).Take(class, n, now)
		limit = s.Limit
		return s
	})
	if err != nil {
		p.relearn(learn)
		return fmt.Errorf("lease permits: %w", err)
	}
	p.granted(class, grant, limit, began)
	return nil
}

// Observe takes in what an answer of the provider says about the budget. A hold is stored at once, for the other replicas;
// the rest with the next lease.
func (l *Limiter) Observe(ctx context.Context, key Key, learn Learn) error {
	if learn.Empty() {
		return nil
	}
	p := l.pool(key)
	p.observe(learn, l.cfg.Clock.Now())
	if learn.Hold <= 0 {
		return nil
	}
	err := l.cfg.Rows.Update(ctx, key, l.cfg.Initial(key), func(s State, now time.Time) State { return s.Apply(learn, now) })
	if err != nil {
		return fmt.Errorf("store hold: %w", err)
	}
	return nil
}

func (l *Limiter) pool(key Key) *pool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pools[key]
	if p == nil {
		p = &pool{key: key, leasing: make(chan struct{}, 1)}
		l.pools[key] = p
	}
	return p
}

// sleep waits a little longer than d, so that replicas do not ask in step.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d + time.Duration(rand.Int64N(int64(d)/4+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
