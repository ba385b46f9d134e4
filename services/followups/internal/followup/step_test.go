package followup

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The delays of the original count from the start, where day 1 is the start's day, and 0 is 1. Between two steps that is:
func TestDelaysOfTheOriginal(t *testing.T) {
	t.Parallel()
	startTime := at(t, "2026-01-07T15:00:00Z")
	step := func(day, minute int) Step {
		return Step{Anchor: FromStart, DelayDays: max(0, day-1), DelayMinutes: minute}
	}
	for _, tt := range []struct {
		first, second Step
		want          int
	}{
		{step(1, 2), step(1, 60), 58},
		{step(1, 60), step(2, 0), 1380},
		{step(2, 0), step(5, 0), 4320},
		{step(0, 0), step(1, 0), 0},
		{step(5, 0), step(2, 0), 0}, // never back in time
	} {
		first := Due(Anchors{Start: startTime, Previous: startTime}, tt.first, zone(t, "UTC"))
		second := Due(Anchors{Start: startTime, Previous: first}, tt.second, zone(t, "UTC"))
		if got := int(second.Sub(first).Minutes()); got != tt.want {
			t.Errorf("%+v, %+v: %d minutes, want %d", tt.first, tt.second, got, tt.want)
		}
	}
}

func TestDelaysKeepTheClockOfTheLead(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	startTime := at(t, "2026-03-27T09:00:00Z") // 10:00, two days before the clocks go forward
	for _, tt := range []struct {
		step Step
		want string
	}{
		{Step{Anchor: FromStart, DelayDays: 3}, "2026-03-30T08:00:00Z"},
		{Step{Anchor: FromPrevious, DelayDays: 1}, "2026-03-30T10:00:00Z"},
		{Step{Anchor: FromStart, DelayDays: 1}, "2026-03-29T10:00:00Z"}, // not before the step before it
	} {
		got := Due(Anchors{Start: startTime, Previous: at(t, "2026-03-29T10:00:00Z")}, tt.step, berlin)
		if !got.Equal(at(t, tt.want)) {
			t.Errorf("%+v: %v, want %s", tt.step, got, tt.want)
		}
	}
}

// Steps keep their order in every zone, whatever they are anchored to.
func TestDelaysAreMonotone(t *testing.T) {
	t.Parallel()
	zones := []string{"America/New_York", "Europe/London", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "UTC"}
	rapid.Check(t, func(rt *rapid.T) {
		z, err := Zone(rapid.SampledFrom(zones).Draw(rt, "zone"))
		if err != nil {
			rt.Fatal(err)
		}
		from := Anchors{Start: time.Unix(rapid.Int64Range(1_600_000_000, 1_900_000_000).Draw(rt, "start"), 0)}
		from.Previous = from.Start
		for range 5 {
			due := Due(from, Step{
				Anchor:    rapid.SampledFrom([]Anchor{FromStart, FromPrevious}).Draw(rt, "anchor"),
				DelayDays: rapid.IntRange(0, 40).Draw(rt, "days"), DelayMinutes: rapid.IntRange(0, 1439).Draw(rt, "minutes"),
			}, z)
			if due.Before(from.Previous) {
				rt.Fatalf("%v is before %v", due, from.Previous)
			}
			from.Previous = due
		}
	})
}

func TestSupplyIsChecked(t *testing.T) {
	t.Parallel()
	seq := Sequence{DisplayName: "x", Trigger: Trigger{Kind: TriggerDNDSet, Channel: SMS}, Steps: []Step{
		{Channel: Email, SubjectTemplate: "{company}", BodyTemplate: "{senderName} {calendarLink} {firstName}", DelayDays: 3},
		{Channel: SMS, BodyTemplate: "{company|us} {availability|soon}", Anchor: FromStart, DelayDays: 1, SendWithin: time.Hour},
		{Channel: Wait, DelayDays: 1},
	}}.WithDefaults()
	codes := func(supply Supply) map[string]int {
		out := map[string]int{}
		for _, v := range seq.CheckSupply(supply) {
			if v.Step == "" || v.Remedy == "" || v.Description == "" {
				t.Errorf("%+v", v)
			}
			out[v.Code]++
		}
		return out
	}
	night := DefaultSettings()
	night.Hours.Start, night.Hours.End = 22*60, 6*60
	want := map[string]int{CodeMissingValue: 3, CodeUnreachable: 3, CodeWindow: 1}
	if diff := cmp.Diff(want, codes(Supply{Settings: night, Calendar: "NO_DEFAULT_CALENDAR"})); diff != "" {
		t.Error(diff)
	}
	set := DefaultSettings()
	set.SenderName, set.CompanyName = "Sam", "Acme"
	if diff := cmp.Diff(map[string]int{CodeUnreachable: 3}, codes(Supply{Settings: set})); diff != "" {
		t.Error(diff)
	}
}

func TestSupplyOfCalendarsAndChannels(t *testing.T) {
	t.Parallel()
	seq := Sequence{DisplayName: "x", Steps: []Step{
		{Channel: Email, SubjectTemplate: "S", BodyTemplate: "{calendarLink}"},
		{Channel: SMS, BodyTemplate: "{availability}"},
		{Channel: Call, BodyTemplate: "Call"},
	}}.WithDefaults()
	for _, test := range []struct {
		supply Supply
		want   string
	}{
		{Supply{}, ""},
		{Supply{Calendar: "NO_DEFAULT_CALENDAR"}, "step-1 missing_workspace_value step-2 missing_workspace_value "},
		{Supply{Calendar: "CALENDAR_INACTIVE"}, "step-2 missing_workspace_value "},
		{Supply{Calendar: CalendarUnreachable}, ""}, // may be there in a moment
		{Supply{Closed: map[Channel]string{SMS: "PROVIDER_NOT_CONNECTED", Email: "PROVIDER_AUTH_REVOKED"}}, "step-1 missing_channel step-2 missing_channel "},
		{Supply{Closed: map[Channel]string{SMS: "LOCATION_INACTIVE"}}, ""},
	} {
		test.supply.Settings = DefaultSettings()
		got := ""
		for _, v := range seq.CheckSupply(test.supply) {
			got += v.Step + " " + v.Code + " "
			if v.Remedy == "" || v.Field == "" {
				t.Errorf("%+v", v)
			}
		}
		if got != test.want {
			t.Errorf("%+v: %q, want %q", test.supply, got, test.want)
		}
	}
}

func TestPolicyLayers(t *testing.T) {
	t.Parallel()
	layers := Layers{
		Workspace: Policy{"DND_ACTIVE": {Action: ActPause}, "NO_PHONE": {Action: ActDefer}, "OPTED_OUT": {Action: ActSkip}},
		Sequence:  Policy{"DND_ACTIVE": {Action: ActHold}, "QUIET_HOURS": {Action: ActDefer}},
		Step:      Policy{"QUIET_HOURS": {Action: ActSkip}},
	}
	for reason, want := range map[string]Resolved{
		"DND_ACTIVE":  {"DND_ACTIVE", Rule{Action: ActHold, Max: 72 * time.Hour}, OriginSequence},
		"QUIET_HOURS": {"QUIET_HOURS", Rule{Action: ActSkip}, OriginStep},
		"NO_PHONE":    {"NO_PHONE", Rule{Action: ActSkip}, OriginDefault},      // what a reason does not allow is passed over,
		"OPTED_OUT":   {"OPTED_OUT", Rule{Action: ActStopLead}, OriginDefault}, // however it came to be stored
	} {
		if got, ok := layers.Resolve(reason); !ok || got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if len(layers.Step.Check("")) != 0 || len(layers.Workspace.Check("")) != 2 {
		t.Errorf("%v", layers.Workspace.Check(""))
	}
}
