package sending_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/relance/relance/services/sync/internal/sending"
)

func timing() sending.Timing {
	return sending.Timing{
		Write: 5 * time.Second, Pause: time.Minute, Call: 15 * time.Second, Delay: 2 * time.Minute, Visible: 10 * time.Minute, Settle: 15 * time.Minute,
	}
}

func TestLooksAreAtTheirAges(t *testing.T) {
	t.Parallel()
	want := []time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}
	for i, age := range timing().Looks() {
		if age != want[i] {
			t.Errorf("look %d at %s, want %s", i, age, want[i])
		}
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	one := []sending.Found{{ID: "a"}}
	two := []sending.Found{{ID: "a"}, {ID: "b"}}
	const late, young = 15 * time.Minute, 5 * time.Minute
	cases := []struct {
		name   string
		u      sending.Unresolved
		s      sending.Sighting
		rule   sending.Rule
		reason sending.Reason
		next   time.Duration
	}{
		{"found", sending.Unresolved{}, sending.Sighting{Complete: true, Matches: one}, sending.T11, "", 0},
		{"found in a partial read", sending.Unresolved{}, sending.Sighting{Matches: one}, sending.T11, "", 0},
		{"two", sending.Unresolved{}, sending.Sighting{Complete: true, Matches: two}, sending.T12, "", 0},
		{"absent, first look", sending.Unresolved{Age: 30 * time.Second}, sending.Sighting{Complete: true}, "", "", 2 * time.Minute},
		{"absent, young", sending.Unresolved{Age: young, Looks: 2}, sending.Sighting{Complete: true}, "", "", late},
		{"absent often, but young", sending.Unresolved{Age: late - 1, Looks: 9}, sending.Sighting{Complete: true}, "", "", late},
		{"absent, too few looks", sending.Unresolved{Age: late, Looks: 1}, sending.Sighting{Complete: true}, "", "", late + 30*time.Second},
		{"absent", sending.Unresolved{Age: late, Looks: 2}, sending.Sighting{Complete: true}, sending.T13, "", 0},
		{"absent, hold", sending.Unresolved{Age: late, Looks: 2, Hold: true}, sending.Sighting{Complete: true}, sending.T14, sending.SendAmbiguous, 0},
		{"absent, second time", sending.Unresolved{Age: late, Looks: 2, Resends: 1}, sending.Sighting{Complete: true}, sending.T14, sending.SendAmbiguous, 0},
		{"absent, expired", sending.Unresolved{Age: late, Looks: 2, Expired: true}, sending.Sighting{Complete: true}, sending.T14, sending.SendAmbiguous, 0},
		{"other words", sending.Unresolved{Age: late, Looks: 3}, sending.Sighting{Complete: true, Others: one}, sending.T14, sending.SendNeedsEyes, 0},
		{"other words, young", sending.Unresolved{Age: young}, sending.Sighting{Complete: true, Others: one}, "", "", late},
		{"failed", sending.Unresolved{Age: late, Looks: 3}, sending.Sighting{}, "", "", late + 30*time.Second},
		{"failed for long", sending.Unresolved{Age: 25 * time.Minute, Looks: 3, Failed: 2}, sending.Sighting{}, sending.T14, sending.SendAmbiguous, 0},
		{"failed for long, first look", sending.Unresolved{Age: time.Hour}, sending.Sighting{}, "", "", time.Hour + 30*time.Second},
	}
	for _, c := range cases {
		got := sending.Settle(timing(), c.u, c.s)
		if got.Rule != c.rule || got.Reason != c.reason || got.Next != c.next {
			t.Errorf("%s: %+v", c.name, got)
		}
		if got.Rule != "" && !sending.CanMove(sending.Unknown, "", got.To) {
			t.Errorf("%s: the table has no arrow to %s", c.name, got.To)
		}
	}
}

// Whatever is seen: never sent again before S, never after a failed or a sighted look, never twice, never with HOLD; and
// what waits is looked at again later.
func TestSettleNeverSendsAgainTooEarly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u := sending.Unresolved{
			Age:   time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "age")),
			Looks: rapid.IntRange(0, 6).Draw(t, "looks"), Failed: rapid.IntRange(0, 6).Draw(t, "failed"),
			Hold: rapid.Bool().Draw(t, "hold"), Resends: rapid.IntRange(0, 1).Draw(t, "resends"), Expired: rapid.Bool().Draw(t, "expired"),
		}
		s := sending.Sighting{
			Complete: rapid.Bool().Draw(t, "complete"), Matches: make([]sending.Found, rapid.IntRange(0, 2).Draw(t, "matches")),
			Others: make([]sending.Found, rapid.IntRange(0, 2).Draw(t, "others")),
		}
		got := sending.Settle(timing(), u, s)
		again := u.Age >= timing().Settle && u.Looks+1 >= sending.MinLooks && s.Complete && !u.Hold && u.Resends == 0 && !u.Expired &&
			len(s.Matches)+len(s.Others) == 0
		if (got.Rule == sending.T13) != again {
			t.Fatalf("%+v, %+v: %+v", u, s, got)
		}
		if got.Rule == "" && got.Next <= u.Age {
			t.Fatalf("looked at again at %s, at age %s", got.Next, u.Age)
		}
	})
}

func TestDeliveryRanksOnlyRise(t *testing.T) {
	t.Parallel()
	cases := []struct {
		state            sending.State
		stored, reported string
		changes          bool
		to               sending.State
	}{
		{sending.Accepted, "", "pending", true, ""},
		{sending.Accepted, "pending", "sent", true, ""},
		{sending.Accepted, "sent", "pending", false, ""},
		{sending.Accepted, "sent", "DELIVERED", true, sending.Delivered},
		{sending.Accepted, "sent", "failed", true, sending.FailedAfterAccept},
		{sending.Delivered, "delivered", "failed", false, ""},
		{sending.Delivered, "delivered", "read", true, ""},
		{sending.FailedAfterAccept, "failed", "delivered", false, ""},
		{sending.Accepted, "sent", "never heard of", false, ""},
		{sending.Unknown, "", "delivered", false, ""},
	}
	for _, c := range cases {
		got, changes := sending.Raise(c.state, c.stored, c.reported)
		if changes != c.changes || got.To != c.to && changes {
			t.Errorf("%+v: %+v, %v", c, got, changes)
		}
	}
}

func TestMarkerStandsInTheBody(t *testing.T) {
	t.Parallel()
	for html, want := range map[string]string{
		"<p>x</p>":                           `<p>x</p><span id="rl-7"></span>`,
		"<html><body><p>x</p></BODY></html>": `<html><body><p>x</p><span id="rl-7"></span></BODY></html>`,
		"":                                   "",
	} {
		if got := (sending.Content{HTML: html}).Marked(sending.Email, "7").HTML; got != want {
			t.Errorf("%q -> %q", html, got)
		}
	}
	if got := (sending.Content{HTML: "x", Body: "y"}).Marked(sending.SMS, "7"); got.HTML != "x" || got.Body != "y" {
		t.Errorf("sms = %+v", got)
	}
}
