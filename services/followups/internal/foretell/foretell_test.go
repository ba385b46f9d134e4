package foretell

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
)

// law is a gate of its own: hours by lead, a cap of texts in 24 hours, channels that are closed for good.
type law struct {
	open, close int
	cap         int
	closed      followup.Channel
}

func (l law) one(ask followup.Ask, before []time.Time) (said followup.Said, at time.Time) {
	defer func() { said.Waits = !at.IsZero() && said.Refusal.Reason != "" }()
	refuse := func(reason, key string, until time.Time) (followup.Said, time.Time) {
		out := followup.Said{Refusal: followup.Refusal{Reason: reason, Metadata: map[string]string{}}}
		if key != "" {
			out.Refusal.Metadata[key] = until.Format(time.RFC3339)
		}
		return out, until
	}
	if ask.Channel == l.closed {
		return refuse("DND_ACTIVE", "", time.Time{})
	}
	if hour := ask.At.Hour(); hour < l.open || hour >= l.close {
		until := time.Date(ask.At.Year(), ask.At.Month(), ask.At.Day(), l.open, 0, 0, 0, time.UTC)
		if !until.After(ask.At) {
			until = until.AddDate(0, 0, 1)
		}
		return refuse("QUIET_HOURS", "next_allowed_time", until)
	}
	var last []time.Time
	for _, sent := range before {
		if ask.At.Sub(sent) < 24*time.Hour {
			last = append(last, sent)
		}
	}
	if l.cap > 0 && len(last) >= l.cap {
		return refuse("FREQUENCY_CAP", "resets_at", last[len(last)-l.cap].Add(24*time.Hour))
	}
	return said, ask.At
}

// gate answers groups as sync does: what is let through or put off counts for what comes after it.
func gate(laws map[uuid.UUID]law, calls *int) Gate {
	return func(_ context.Context, groups [][]followup.Ask) ([][]followup.Said, error) {
		*calls++
		out := make([][]followup.Said, len(groups))
		for i, group := range groups {
			before := map[followup.Channel][]time.Time{}
			for _, ask := range group {
				said, at := laws[ask.Lead].one(ask, before[ask.Channel])
				if !at.IsZero() {
					before[ask.Channel] = append(before[ask.Channel], at)
				}
				out[i] = append(out[i], said)
			}
		}
		return out, nil
	}
}

// oneByOne asks the law in the moment of each message, as runs do.
func oneByOne(l law, look Look) []followup.Foreseen {
	look.Outlook.Gate = func(ask followup.Ask, before []followup.Ask) followup.Said {
		var times []time.Time
		for _, sent := range before {
			if sent.Channel == ask.Channel {
				times = append(times, sent.At)
			}
		}
		said, _ := l.one(ask, times)
		return said
	}
	return followup.Foresee(look.In, look.Outlook)
}

func randomLook(r *rand.Rand, lead uuid.UUID) Look {
	from := time.Date(2026, 1, 7, r.IntN(24), r.IntN(60), 0, 0, time.UTC)
	var steps []followup.Step
	for i := range 1 + r.IntN(8) {
		step := followup.Step{
			Position: i + 1, ID: fmt.Sprint("s", i), Channel: followup.SMS, DelayDays: r.IntN(2), DelayMinutes: r.IntN(400),
			SubjectTemplate: "S", BodyTemplate: "B",
		}
		if r.IntN(3) == 0 {
			step.Channel = followup.Email
		}
		steps = append(steps, step)
	}
	settings := followup.DefaultSettings()
	settings.DailyCap = r.IntN(3)
	e := followup.Enroll(followup.Enrollment{ID: uuid.New(), Lead: lead}, &steps[0], time.UTC, from)
	return Look{
		In:      followup.Input{Now: from, Enrollment: e, SequenceActive: true, Lead: &followup.Lead{}, Settings: settings, Zone: time.UTC},
		Outlook: followup.Outlook{Steps: steps, Until: from.AddDate(0, 3, 0), Try: followup.Try{Max: 3}},
	}
}

// TestAskingInBulkIsAskingOneByOne compares, for many leads under many laws, what is foretold by asking about all at once
// with what is foretold by asking about each message in its moment.
func TestAskingInBulkIsAskingOneByOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	laws := map[uuid.UUID]law{}
	var looks []Look
	for range 600 {
		lead := uuid.New()
		l := law{open: r.IntN(12), close: 13 + r.IntN(11), cap: r.IntN(4)}
		if r.IntN(4) == 0 {
			l.closed = followup.SMS
		}
		laws[lead], looks = l, append(looks, randomLook(r, lead))
	}
	calls := 0
	got, err := Run(t.Context(), gate(laws, &calls), looks)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i, look := range looks {
		want := oneByOne(laws[look.In.Enrollment.Lead], look)
		if !reflect.DeepEqual(got[i], want) {
			t.Fatalf("lead %d:\n got %+v\nwant %+v", i, got[i], want)
		}
		for _, seen := range want {
			if seen.Effect.Reason == "QUIET_HOURS" || seen.Effect.Reason == "FREQUENCY_CAP" {
				refused++
			}
		}
	}
	if refused < 150 || calls > 60 {
		t.Fatalf("%d deferrals foretold in %d calls", refused, calls)
	}
	t.Logf("%d looks, %d deferrals, %d calls", len(looks), refused, calls)
}

func TestAFailingGateFailsTheLook(t *testing.T) {
	t.Parallel()
	look := randomLook(rand.New(rand.NewPCG(3, 4)), uuid.New())
	look.In.Settings.DailyCap = 0
	away := errors.New("away")
	_, err := Run(t.Context(), func(context.Context, [][]followup.Ask) ([][]followup.Said, error) { return nil, away }, []Look{look})
	if !errors.Is(err, away) {
		t.Fatalf("%v", err)
	}
	short := func(context.Context, [][]followup.Ask) ([][]followup.Said, error) {
		return make([][]followup.Said, 1), nil
	}
	if _, err := Run(t.Context(), short, []Look{look}); err == nil {
		t.Fatal("an answer that is too short was taken")
	}
}
