package followup

import (
	"testing"
	"time"
)

// A message that sync held back without trying it waits and uses no try; a provider that was tried and not reached does.
func TestHeldBackIsNoFailedTry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)
	step := &Step{Position: 1, Channel: SMS}
	try := Try{Now: now, Max: 3, Channel: SMS}
	e := Enrollment{State: Active, Position: 1, Due: now, Next: now, Attempts: 1}
	refuse := func(cause string, after time.Duration) Enrollment {
		r := Refusal{Reason: "PROVIDER_UNAVAILABLE", RetryAfter: after, Metadata: map[string]string{"provider": "ghl"}}
		if cause != "" {
			r.Metadata["cause"] = cause
		}
		return e.Apply(Refused(r, e, try).Since(e), step, time.UTC, try.Now)
	}
	for _, cause := range []string{"breaker_open", "token_refresh", "read_failed"} {
		got := refuse(cause, 5*time.Minute)
		if got.State != Active || got.Attempts != 1 || got.HeldBack != 1 || !got.Next.Equal(now.Add(5*time.Minute)) {
			t.Fatalf("%s: %+v", cause, got)
		}
	}
	if got := refuse("", 0); got.Attempts != 2 || got.HeldBack != 0 {
		t.Fatalf("a try that failed: %+v", got)
	}
	var waited time.Duration
	for e.State == Active {
		before := e
		if e = refuse("breaker_open", 5*time.Second); e.State != Active {
			break
		}
		wait := e.Next.Sub(try.Now)
		if wait < time.Minute || wait > 15*time.Minute || e.HeldBack != before.HeldBack+1 || e.Attempts != 1 {
			t.Fatalf("wait %d is %v: %+v", e.HeldBack, wait, e)
		}
		waited += wait
		try.Now = e.Next
	}
	if e.State != Paused || e.Reason != ReasonProviderAway || e.HeldBack != MaxHeldBack-1 || !e.Next.Equal(try.Now.Add(24*time.Hour)) {
		t.Fatalf("parked: %+v", e)
	}
	if waited < 22*time.Hour || waited > 26*time.Hour {
		t.Fatalf("parked after %v", waited)
	}
	try.Now = e.Next
	r := Refusal{Reason: "PROVIDER_UNAVAILABLE", Metadata: map[string]string{"cause": "breaker_open"}}
	if effect := Refused(r, e, try).Since(e); effect.Result != Waiting || e.Apply(effect, step, time.UTC, try.Now).State != Paused {
		t.Fatalf("a pause that lasts: %+v", effect)
	}
	resumed, err := e.Resume(time.Time{}, try.Now)
	if err != nil || resumed.HeldBack != 0 || resumed.Attempts != 0 {
		t.Fatalf("resumed: %+v, %v", resumed, err)
	}
	if done := e.GoOn(try.Now).Apply(Effect{Result: Succeeded, Move: Advance}, step, time.UTC, try.Now); done.HeldBack != 0 || done.Position != 2 {
		t.Fatalf("after the message left: %+v", done)
	}
}
