package simulate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/relance/relance/cmd/relance/internal/plain"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

const shown = "Mon 2006-01-02 15:04 MST"

// PrintPlan writes a lead's plan for people, with times in zone.
func PrintPlan(w io.Writer, plan *followupsv1.LeadPlan, zone *time.Location) error {
	var b strings.Builder
	fmt.Fprintln(&b, plain.Line(plan.GetLead()))
	for _, touch := range plan.GetTouches() {
		fmt.Fprintf(&b, "  %s  step %d, %s: %s\n", touch.GetTime().AsTime().In(zone).Format(shown), touch.GetStepPosition(), channel(touch.GetChannel()),
			plain.Line(what(touch.GetOutcome(), touch.GetReason())))
	}
	switch {
	case plan.GetEnds():
		fmt.Fprintln(&b, "  then the sequence ends")
	case plan.GetWaitsFor() != "":
		fmt.Fprintf(&b, "  then it waits: %s\n", plain.Line(plan.GetWaitsFor()))
	default:
		fmt.Fprintln(&b, "  then it goes on after the simulated time")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintPlanJSON writes a plan as one line.
func PrintPlanJSON(w io.Writer, plan *followupsv1.LeadPlan) error {
	raw, err := protojson.Marshal(plan)
	if err == nil {
		_, err = fmt.Fprintf(w, "{\"plan\":%s}\n", raw)
	}
	return err
}

// Print writes the sum for people.
func (s *Sum) Print(out io.Writer, zone *time.Location) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d leads, %d of them through the sequence in the simulated time\n", s.Leads, s.Ended)
	if s.Beside > 0 {
		fmt.Fprintf(&b, "%d of them run through other sequences too, whose messages count for their caps\n", s.Beside)
	}
	if !s.First.IsZero() {
		fmt.Fprintf(&b, "first step %s, last step %s\n", s.First.In(zone).Format(shown), s.Last.In(zone).Format(shown))
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, step := range s.sortedSteps() {
		_, _ = fmt.Fprintf(w, "step %d\t%s\t%s\t%d\n", step.position, channel(step.channel), plain.Line(what(step.outcome, step.reason)), s.steps[step])
	}
	for _, reason := range slices.Sorted(maps.Keys(s.waits)) {
		_, _ = fmt.Fprintf(w, "not through\t\twaits for %s\t%d\n", plain.Line(reason), s.waits[reason])
	}
	return w.Flush()
}

// PrintJSON writes the sum as one line.
func (s *Sum) PrintJSON(out io.Writer) error {
	type stepCount struct {
		Step    int32  `json:"step"`
		Channel string `json:"channel"`
		Outcome string `json:"outcome"`
		Reason  string `json:"reason,omitempty"`
		Count   int    `json:"count"`
	}
	sum := struct {
		Leads   int            `json:"leads"`
		Ended   int            `json:"ended"`
		Steps   []stepCount    `json:"steps"`
		Waiting map[string]int `json:"waiting"`
	}{Leads: s.Leads, Ended: s.Ended, Steps: []stepCount{}, Waiting: s.waits}
	for _, step := range s.sortedSteps() {
		sum.Steps = append(sum.Steps, stepCount{step.position, channel(step.channel), step.outcome, step.reason, s.steps[step]})
	}
	raw, err := json.Marshal(sum)
	if err == nil {
		_, err = fmt.Fprintf(out, "{\"summary\":%s}\n", raw)
	}
	return err
}

func channel(c followupsv1.StepChannel) string {
	name := strings.ToLower(strings.TrimPrefix(c.String(), "STEP_CHANNEL_"))
	if name == "unspecified" {
		return "-"
	}
	return name
}

func what(outcome, reason string) string {
	words := map[string]string{"succeeded": "sent", "skipped": "not sent", "failed": "failed", "unknown": "outcome open"}
	text := cmp.Or(words[outcome], outcome)
	if outcome == "succeeded" && reason != "" {
		return reason // a task for a person
	}
	if reason != "" {
		text += ", " + reason
	}
	return text
}
