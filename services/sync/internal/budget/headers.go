package budget

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// lowShare is the part of a window's calls below which the provider's count is not trusted to be ours alone.
const lowShare = 10

// dailyHold is how long a used-up day stops everything before one call asks again. The provider does not say when its day
// begins.
const dailyHold = time.Hour

// maxHold bounds a Retry-After that makes no sense.
const maxHold = time.Hour

// FromAnswer tells what an answer's status and headers say about the budget: X-RateLimit-* as GHL documents them, and
// Retry-After, which it does not.
func FromAnswer(status int, h http.Header, known Limit) Learn {
	var l Learn
	calls, hasCalls := number(h, "X-RateLimit-Max")
	interval, hasInterval := number(h, "X-RateLimit-Interval-Milliseconds")
	if limit := (Limit{Calls: calls, Interval: time.Duration(interval) * time.Millisecond}); hasCalls && hasInterval && limit.Valid() {
		l.Limit, known = limit, limit
	}
	day, hasDay := number(h, "X-RateLimit-Limit-Daily")
	left, hasLeft := number(h, "X-RateLimit-Daily-Remaining")
	if hasDay && hasLeft && day > 0 {
		l.DailyLimit, l.DailyLeft = day, left
	}
	remaining, hasRemaining := number(h, "X-RateLimit-Remaining")
	switch {
	case status == http.StatusTooManyRequests:
		l.Drained, l.HoldWindow = true, Burst
		l.Hold = max(retryAfter(h), known.Interval)
		if hasLeft && left == 0 {
			l.HoldWindow, l.Hold = Daily, max(l.Hold, dailyHold)
		}
		l.Hold = min(max(l.Hold, time.Second), maxHold)
	case hasRemaining && remaining == 0:
		l.Drained, l.Hold, l.HoldWindow = true, known.Interval/burstShare, Burst
	case hasRemaining && known.Valid() && remaining <= known.Calls/lowShare:
		l.Drained = true
	}
	return l
}

func number(h http.Header, name string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(h.Get(name)))
	return min(n, maxLimit*100), err == nil && n >= 0
}

// retryAfter reads seconds; a date or nonsense gives 0, and the window's length is used.
func retryAfter(h http.Header) time.Duration {
	n, ok := number(h, "Retry-After")
	if !ok || n > int(maxHold/time.Second) {
		return 0
	}
	return time.Duration(n) * time.Second
}
