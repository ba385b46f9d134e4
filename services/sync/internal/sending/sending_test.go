package sending_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/sending"
)

func TestTheTriggerHoldsTheSameMoves(t *testing.T) {
	t.Parallel()
	sql, err := os.ReadFile("../store/migrations/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	text := string(sql)
	for _, from := range sending.States() {
		for _, to := range sending.States() {
			inTrigger := strings.Contains(text, "'"+string(from)+">"+string(to)+"'")
			if from == sending.Parked && to == sending.Accepted {
				inTrigger = strings.Contains(text, "OLD.state = 'PARKED' AND OLD.reason = 'AMBIGUOUS' AND NEW.state = 'ACCEPTED'")
			}
			if got := sending.CanMove(from, to); got != inTrigger {
				t.Errorf("%s -> %s: code %v, trigger %v", from, to, got, inTrigger)
			}
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
	ok := sending.Timing{Write: 5, Pause: 60, Call: 15, Delay: 120, Visible: 600, Settle: 800}
	if err := ok.Check(); err != nil {
		t.Error(err)
	}
	ok.Settle--
	if ok.Check() == nil {
		t.Error("a settle time below W+P+R+D+V was taken")
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
