package sender

import (
	"testing"
	"time"
)

// TestBatchesWaitForHalfOfWhatWasLatelyPresent: between two waves nobody is there, and still the first of the next wave waits
// for company; a send that is alone, or after the traffic has ended, waits for nobody.
func TestBatchesWaitForHalfOfWhatWasLatelyPresent(t *testing.T) {
	t.Parallel()
	var r traffic
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	claims := func(when string, waiting int, want bool) {
		t.Helper()
		if got := r.claimsComing(waiting, now); got != want {
			t.Errorf("%s: a claim of %d waits: %v, want %v", when, waiting, got, want)
		}
	}
	r.enter(now)
	claims("alone", 1, false)
	for range 63 {
		r.enter(now)
	}
	claims("64 present", 31, true)
	claims("64 present", 32, false)
	for range 64 {
		r.leave()
	}
	now = now.Add(lately / 2)
	r.enter(now)
	claims("the first of the next wave", 1, true)
	r.leave()
	now = now.Add(lately)
	r.enter(now)
	claims("a period later", 1, true)
	r.leave()
	now = now.Add(lately)
	r.enter(now)
	claims("two periods later", 1, false)
	r.leave()
	now = now.Add(10 * lately)
	r.enter(now)
	claims("long after", 1, false)
}

// TestAcceptancesWaitForNobodyWhoIsNotOut: when all calls have ended, the batch begins, however few they are.
func TestAcceptancesWaitForNobodyWhoIsNotOut(t *testing.T) {
	t.Parallel()
	var r traffic
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for range 64 {
		r.enter(now)
	}
	r.claim(10)
	if !r.acceptancesComing(9, now) {
		t.Error("9 of 10 calls have ended: the batch does not wait")
	}
	if r.acceptancesComing(10, now) {
		t.Error("10 of 10 calls have ended: the batch waits")
	}
	r.claim(54)
	if !r.acceptancesComing(31, now) || r.acceptancesComing(32, now) {
		t.Error("of 64 calls the batch does not wait for 32")
	}
	r.claim(-63)
	if r.acceptancesComing(1, now) {
		t.Error("the last call has ended: the batch waits")
	}
}
