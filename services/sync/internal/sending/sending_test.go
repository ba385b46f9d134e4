package sending_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/sending"
)

func TestEveryArrowHasOneGuardAndSources(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range sending.Moves() {
		key := string(m.Rule) + string(m.From) + string(m.To)
		if m.Guard == "" || seen[key] {
			t.Errorf("%s %s -> %s: no guard, or twice in the table", m.Rule, m.From, m.To)
		}
		seen[key] = true
		if !slices.Contains(sending.Sources(m.To, m.Rule), string(m.From)) {
			t.Errorf("%s: %s is no source of %s", m.Rule, m.From, m.To)
		}
	}
	if got := sending.Sources(sending.Retryable, sending.T13); len(got) != 1 || got[0] != string(sending.Unknown) {
		t.Errorf("T13 leads from %v", got)
	}
}

func TestTerminalStatesAbsorb(t *testing.T) {
	t.Parallel()
	for _, m := range sending.Moves() {
		late := m.From == sending.Parked && m.To == sending.Accepted && len(m.Only) == 2
		delivery := m.From == sending.Accepted && m.Rule == sending.T15
		if m.From.Terminal() && !late && !delivery {
			t.Errorf("%s leads out of the terminal %s", m.Rule, m.From)
		}
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	good := sending.Facts{
		Channel: sending.SMS, Content: sending.Content{Body: "hi"}, ContactID: "c", Phone: "+12025550123",
		Connection: sending.Connected, Now: now,
	}
	cases := []struct {
		name   string
		change func(*sending.Facts)
		reason sending.Reason
		to     sending.State
	}{
		{"open", func(*sending.Facts) {}, "", ""},
		{"blocked", func(f *sending.Facts) { f.Blocked = true }, sending.LeadBlocked, sending.Skipped},
		{"dnd", func(f *sending.Facts) { f.Flag = sending.DND }, sending.DNDActive, sending.Skipped},
		{"opted", func(f *sending.Facts) { f.Flag = sending.Opted }, sending.OptedOut, sending.Skipped},
		{"no phone", func(f *sending.Facts) { f.Phone = "" }, sending.NoPhone, sending.Skipped},
		{"blank", func(f *sending.Facts) { f.Content.Body = " \n" }, sending.EmptyContent, sending.Skipped},
		{"email without html", func(f *sending.Facts) {
			f.Channel, f.Email, f.Content.Subject = sending.Email, "a@example.com", "s"
		}, sending.EmptyContent, sending.Skipped},
		{"replied", func(f *sending.Facts) { f.LastInbound, f.RepliedSince = now, now.Add(-time.Second) }, sending.LeadReplied, sending.Skipped},
		{"reply not newer", func(f *sending.Facts) { f.LastInbound, f.RepliedSince = now, now }, "", ""},
		{"expired at the moment", func(f *sending.Facts) { f.Expire = now }, sending.MessageExpired, sending.Expired},
		{"not connected", func(f *sending.Facts) { f.Connection = "" }, sending.ProviderNotConnected, ""},
		{"switched off", func(f *sending.Facts) { f.SendingDisabled = true }, sending.LocationInactive, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := good
			c.change(&f)
			d := sending.Gate(f)
			var reason sending.Reason
			if d.Refusal != nil {
				reason = d.Refusal.Reason
			}
			if reason != c.reason || d.To != c.to {
				t.Errorf("gate = %q to %q, want %q to %q", reason, d.To, c.reason, c.to)
			}
		})
	}
}

func TestTimingInequality(t *testing.T) {
	t.Parallel()
	ok := sending.Timing{Write: 5, Pause: 60, Call: 15, Delay: 120, Visible: 600, Settle: 816}
	if err := ok.Check(); err != nil {
		t.Error(err)
	}
	ok.Settle--
	if ok.Check() == nil {
		t.Error("a settle time below W+P+R+D+V and its margin was taken")
	}
}

// A pause shows on one of the two clocks at least: the wall clock may have been set, the monotonic one may have stood still.
func TestMayWriteByBothClocks(t *testing.T) {
	t.Parallel()
	timing := sending.Timing{Write: 5 * time.Second}
	began := time.Now()
	wall := began.Round(0) // without its monotonic reading: only the wall clock is compared
	for name, c := range map[string]struct {
		began, now time.Time
		want       bool
	}{
		"at once":                     {began, began, true},
		"just in time":                {began, began.Add(5*time.Second - 1), true},
		"too late":                    {began, began.Add(5 * time.Second), false},
		"too late by the wall":        {wall, wall.Add(5 * time.Second), false},
		"the wall clock was set back": {wall, wall.Add(-5 * time.Second), false},
	} {
		if got := timing.MayWrite(c.began, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestContentDifferences(t *testing.T) {
	t.Parallel()
	a := sending.Content{Subject: "s", Body: "b", HTML: "h"}.Hash()
	b := sending.Content{Subject: "s", Body: "B", HTML: "H"}.Hash()
	if got := strings.Join(a.Differ(b), ","); got != "body,html" {
		t.Errorf("differ = %q", got)
	}
}
