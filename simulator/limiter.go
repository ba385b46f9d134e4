package simulator

import (
	"strconv"
	"sync"
	"time"
)

// limiter counts the requests of each location in a window and in a UTC day.
type limiter struct {
	cfg  RateLimit
	mu   sync.Mutex
	uses map[string]*usage
}

type usage struct {
	windowStart time.Time
	window      int
	day         string
	daily       int
}

// quota is the state after one request was counted.
type quota struct {
	limited       bool
	remaining     int
	dailyLeft     int
	untilInterval time.Duration
}

// unlimited is what the headers of a Disabled limit say, so that clients that go by them are not slowed down.
const unlimited = 1_000_000

func newLimiter(cfg RateLimit) *limiter {
	if cfg.Disabled {
		cfg.Burst, cfg.Daily = max(cfg.Burst, unlimited), max(cfg.Daily, unlimited)
	}
	if cfg.Burst <= 0 {
		cfg.Burst = 100
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 10 * time.Second
	}
	if cfg.Daily <= 0 {
		cfg.Daily = 200_000
	}
	return &limiter{cfg: cfg, uses: map[string]*usage{}}
}

// take counts one request. A window also ends when the clock jumped back, so that a
// test that moves time does not lock a location out.
func (l *limiter) take(location string, now time.Time) quota {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.uses[location]
	if u == nil {
		u = &usage{windowStart: now}
		l.uses[location] = u
	}
	if age := now.Sub(u.windowStart); age >= l.cfg.Interval || age < 0 {
		u.windowStart, u.window = now, 0
	}
	if day := now.UTC().Format(time.DateOnly); day != u.day {
		u.day, u.daily = day, 0
	}
	q := quota{untilInterval: l.cfg.Interval - now.Sub(u.windowStart)}
	if !l.cfg.Disabled && (u.window >= l.cfg.Burst || u.daily >= l.cfg.Daily) {
		q.limited = true
	} else {
		u.window++
		u.daily++
	}
	q.remaining = max(l.cfg.Burst-u.window, 0)
	q.dailyLeft = max(l.cfg.Daily-u.daily, 0)
	return q
}

// headers are the five of the published list. There is no …-Reset one.
func (l *limiter) headers(q quota) map[string]string {
	h := map[string]string{
		"X-RateLimit-Limit-Daily":           strconv.Itoa(l.cfg.Daily),
		"X-RateLimit-Daily-Remaining":       strconv.Itoa(q.dailyLeft),
		"X-RateLimit-Interval-Milliseconds": strconv.FormatInt(l.cfg.Interval.Milliseconds(), 10),
		"X-RateLimit-Max":                   strconv.Itoa(l.cfg.Burst),
		"X-RateLimit-Remaining":             strconv.Itoa(q.remaining),
	}
	if q.limited && l.cfg.RetryAfter {
		h["Retry-After"] = strconv.Itoa(int(q.untilInterval/time.Second) + 1)
	}
	return h
}
