package sequencefile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

func TestDefaultsAreCanonical(t *testing.T) {
	t.Parallel()
	if len(Defaults()) != 4 {
		t.Fatalf("%v", Defaults())
	}
	for _, name := range Defaults() {
		text, err := Default(name)
		if err != nil {
			t.Fatal(err)
		}
		sequences, err := Parse(text)
		if err != nil || len(sequences) != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		written, err := Format(sequences...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(written)); diff != "" {
			t.Errorf("%s is not as Format writes it: %s", name, diff)
		}
	}
	if _, err := Default("nope"); err == nil {
		t.Error("a default that does not exist")
	}
}

func TestProblemsNameTheirLine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"unknown key": {"sequence: A\nactive: true\nstepz: []\n", []string{"line 3", "stepz"}},
		"unknown key of a step": {
			"sequence: A\nsteps:\n  - channel: sms\n    boddy: x\n", []string{"line 4", "boddy"},
		},
		"unknown key of a refusal": {
			"sequence: A\nrefusals:\n  DND_ACTIVE: {action: hold, maximum: 3d}\nsteps: []\n", []string{"line 3", "maximum"},
		},
		"unknown words": {
			"sequence: A\ntrigger:\n  type: never\nsteps:\n  - channel: fax\n    if: perhaps\n    delay: soon\n    from: here\n",
			[]string{"line 3: trigger", "line 5: channel \"fax\" is not known; use one of sms, email", "line 6", "line 7", "line 8"},
		},
		"doubled key":        {"sequence: A\nsequence: B\n", []string{"line 2", "sequence"}},
		"wrong type":         {"sequence: A\nsteps:\n  - channel: [sms]\n", []string{"line 3"}},
		"not YAML":           {"sequence: A\n\tsteps", []string{"line 2"}},
		"no name":            {"active: true\n", []string{"needs a name"}},
		"in the second file": {"sequence: A\nsteps: []\n---\nsequence: B\nfoo: 1\n", []string{"line 5", "foo"}},
		"upper case":         {"sequence: A\nsteps:\n  - channel: SMS\n", []string{"line 3", "SMS"}},
		"hours before days":  {"sequence: A\nsteps:\n  - channel: sms\n    delay: 3h 2d\n", []string{"line 4", "2d 3h 30m"}},
		"parts of a day":     {"sequence: A\ntrigger:\n  type: tag_added\n  re_enroll: 36h\nsteps: []\n", []string{"line 4", "whole days"}},
	} {
		_, err := Parse([]byte(tt.text))
		var bad *Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not tell %q", name, err, want)
			}
		}
	}
	if got, err := Parse(nil); err != nil || len(got) != 0 {
		t.Errorf("an empty file: %v, %v", got, err)
	}
}

func anyText(rt *rapid.T, name string) string {
	return strings.ToValidUTF8(rapid.StringMatching(`[a-zA-Z0-9 {}|\[\]#:'"\\\n\t,.!?äß🙂-]{0,60}`).Draw(rt, name), "")
}

func enumOf[E enum](rt *rapid.T, name string, from, to int32) E {
	return E(rapid.Int32Range(from, to).Draw(rt, name))
}

func anyRules(rt *rapid.T) []*followupsv1.RefusalRule {
	var out []*followupsv1.RefusalRule
	if rapid.Bool().Draw(rt, "hold") {
		out = append(out, &followupsv1.RefusalRule{
			Reason: "DND_ACTIVE", Action: followupsv1.RefusalAction_REFUSAL_ACTION_HOLD,
			MaxHold: durationpb.New(time.Duration(rapid.Int64Range(60, 90000).Draw(rt, "max")) * time.Minute),
		})
	}
	if rapid.Bool().Draw(rt, "skip") {
		out = append(out, &followupsv1.RefusalRule{Reason: "NO_PHONE", Action: enumOf[followupsv1.RefusalAction](rt, "action", 1, 7)})
	}
	return out
}

func anySequence(rt *rapid.T) *followupsv1.Sequence {
	out := &followupsv1.Sequence{
		DisplayName: "x" + anyText(rt, "name"), Description: anyText(rt, "description"), Active: rapid.Bool().Draw(rt, "active"), ContinueOnReply: rapid.Bool().Draw(rt, "continue"),
		Trigger: enumOf[followupsv1.Trigger](rt, "trigger", 1, 9), RefusalRules: anyRules(rt),
	}
	if rapid.Bool().Draw(rt, "options") {
		out.TriggerOptions = &followupsv1.TriggerOptions{
			NoResponseMinutes: rapid.Int32Range(1, 525600).Draw(rt, "minutes"), Tag: anyText(rt, "tag"),
			Channel: enumOf[followupsv1.StepChannel](rt, "trigger channel", 0, 2), ReEnroll: enumOf[followupsv1.ReEnroll](rt, "again", 1, 3),
		}
		if out.TriggerOptions.ReEnroll == followupsv1.ReEnroll_RE_ENROLL_AFTER {
			out.TriggerOptions.ReEnrollAfterDays = rapid.Int32Range(1, 3650).Draw(rt, "days")
		}
	}
	for range rapid.IntRange(0, 4).Draw(rt, "steps") {
		out.Steps = append(out.Steps, &followupsv1.SequenceStep{
			StepId: rapid.StringMatching(`[a-z0-9-]{1,9}`).Draw(rt, "id"), Channel: enumOf[followupsv1.StepChannel](rt, "channel", 1, 5),
			DelayDays: rapid.Int32Range(0, 365).Draw(rt, "days"), DelayMinutes: rapid.Int32Range(0, 1439).Draw(rt, "minutes"),
			Anchor: enumOf[followupsv1.StepAnchor](rt, "anchor", 1, 2), Condition: enumOf[followupsv1.StepCondition](rt, "condition", 1, 5),
			Expression: anyText(rt, "expression"), RequiresApproval: rapid.Bool().Draw(rt, "approval"),
			SendWithinMinutes: rapid.Int32Range(0, 525600).Draw(rt, "within"), RefusalRules: anyRules(rt),
			SubjectTemplate: anyText(rt, "subject"), BodyTemplate: anyText(rt, "body"),
		})
	}
	return out
}

// What is written reads back the same, to the last space, and is written the same again.
func TestRoundTripIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		in := []*followupsv1.Sequence{anySequence(rt), anySequence(rt)}
		text, err := Format(in...)
		if err != nil {
			rt.Fatal(err)
		}
		out, err := Parse(text)
		if err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
		for _, seq := range out { // the words that are left out are the defaults
			for _, s := range seq.Steps {
				if s.Anchor == 0 {
					s.Anchor = followupsv1.StepAnchor_STEP_ANCHOR_PREVIOUS
				}
				if s.Condition == 0 {
					s.Condition = followupsv1.StepCondition_STEP_CONDITION_ALWAYS
				}
			}
		}
		if diff := cmp.Diff(in, out, protocmp.Transform()); diff != "" {
			rt.Fatalf("%s\n%s", diff, text)
		}
		if again, err := Format(out...); err != nil || string(again) != string(text) {
			rt.Fatalf("written differently: %v\n%s\n%s", err, text, again)
		}
	})
}

// FuzzParse: no file makes the reader panic, and what it accepts can be written and read again.
func FuzzParse(f *testing.F) {
	for _, name := range Defaults() {
		text, _ := Default(name)
		f.Add(text)
	}
	f.Add([]byte("sequence: A\nsteps:\n  - {channel: sms, body: &x a}\n  - {channel: sms, body: *x}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sequences, err := Parse(data)
		if err != nil {
			return
		}
		text, err := Format(sequences...)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(sequences, again, protocmp.Transform()); diff != "" {
			t.Fatal(diff)
		}
	})
}
