package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/cmd/relance/internal/plain"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

type explainCommand struct {
	Lead   string    `arg:"" help:"The lead, workspaces/<uuid>/leads/<uuid>, or one enrollment, workspaces/<uuid>/enrollments/<uuid>."`
	All    bool      `help:"Explain ended enrollments too; without it only those that run, or the last one when none does."`
	Rules  bool      `help:"Print every rule that was asked with what it looked at, not only the one that settled the step."`
	Output string    `default:"text" enum:"text,json" help:"text, as a person would read it, or json, one explanation a line."`
	API    api.Flags `embed:""`
}

// Run explains.
func (c explainCommand) Run(ctx context.Context, s Streams) error {
	client := api.New(c.API)
	names, err := c.enrollments(ctx, client)
	if err != nil {
		return err
	}
	for _, name := range names {
		var answer followupsv1.ExplainEnrollmentResponse
		if err := client.Get(ctx, "/v1/"+name+":explain", nil, &answer); err != nil {
			return fmt.Errorf("explain: %w", err)
		}
		if err := c.print(s.Out, answer.GetExplanation()); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func (c explainCommand) print(w io.Writer, x *followupsv1.EnrollmentExplanation) error {
	if c.Output == "json" {
		raw, err := protojson.Marshal(x)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(w, string(raw))
		return err
	}
	_, err := io.WriteString(w, explanationText(x, c.Rules))
	return err
}

// enrollments are the names of what is to be explained.
func (c explainCommand) enrollments(ctx context.Context, client *api.Client) ([]string, error) {
	if strings.Contains(c.Lead, "/enrollments/") {
		return []string{c.Lead}, nil
	}
	workspace, _, ok := strings.Cut(c.Lead, "/leads/")
	if !ok {
		return nil, errors.New("explain: name a lead as workspaces/<uuid>/leads/<uuid>")
	}
	var all, running []string
	for token := ""; ; {
		var page followupsv1.ListEnrollmentsResponse
		query := url.Values{"lead": {c.Lead}, "pageSize": {"500"}, "pageToken": {token}}
		if err := client.Get(ctx, "/v1/"+workspace+"/enrollments", query, &page); err != nil {
			return nil, fmt.Errorf("list enrollments: %w", err)
		}
		for _, e := range page.GetEnrollments() {
			all = append(all, e.GetName())
			if e.GetEndTime() == nil {
				running = append(running, e.GetName())
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("explain: the lead was never enrolled; sequences of its workspace do not concern it")
	case c.All:
		return all, nil
	case len(running) > 0:
		return running, nil
	}
	return all[len(all)-1:], nil
}

// page writes an explanation; times are shown in the enrollment's zone.
type page struct {
	strings.Builder
	zone *time.Location
	// rules shows every rule.
	rules bool
}

func explanationText(x *followupsv1.EnrollmentExplanation, rules bool) string {
	zone, err := time.LoadLocation(x.GetTimeZone())
	if err != nil || x.GetTimeZone() == "" {
		zone = time.UTC
	}
	p := &page{zone: zone, rules: rules}
	e := x.GetEnrollment()
	p.line("%s", e.GetName())
	p.line("  lead      %s", e.GetLead())
	p.line("  sequence  %s, version %d", e.GetSequence(), e.GetSequenceVersion())
	p.line("  started   %s", p.time(e.GetStartTime()))
	p.line("  now       %s", p.text(x.GetSummary()))
	switch {
	case x.GetNextLookTime() != nil:
		p.line("  next look %s", p.time(x.GetNextLookTime()))
	case e.GetEndTime() != nil:
		p.line("  ended     %s", p.time(e.GetEndTime()))
	case x.GetNeedsPerson():
		p.line("  next look when a person has acted")
	default:
		p.line("  next look when its event comes")
	}
	if x.GetWayOut() != "" {
		p.line("  way out   %s", x.GetWayOut())
	}
	for _, step := range x.GetSteps() {
		p.step(step)
	}
	p.line("")
	return p.String()
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(&p.Builder, format+"\n", plain.Args(args...)...)
}

func (p *page) time(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().In(p.zone).Format("Mon 2006-01-02 15:04 MST")
}

// text shows the RFC 3339 times in a sentence by the enrollment's zone.
func (p *page) text(sentence string) string {
	words := strings.Split(sentence, " ")
	for i, word := range words {
		bare := strings.TrimSuffix(word, ",")
		if at, err := time.Parse(time.RFC3339, bare); err == nil {
			words[i] = p.time(timestamppb.New(at)) + word[len(bare):]
		}
	}
	return strings.Join(words, " ")
}

func (p *page) step(step *followupsv1.StepExplanation) {
	phase := strings.ToLower(strings.TrimPrefix(step.GetPhase().String(), "STEP_PHASE_"))
	channel := strings.ToLower(strings.TrimPrefix(step.GetChannel().String(), "STEP_CHANNEL_"))
	p.line("  step %d, %s (%s): %s", step.GetPosition(), channel, phase, p.text(step.GetSummary()))
	for _, d := range step.GetDecisions() {
		p.decision(d)
	}
}

func (p *page) decision(d *followupsv1.StepDecision) {
	kind := "decided "
	if d.GetForeseen() {
		kind = "expected"
	}
	text := d.GetOutcome()
	if d.GetReason() != "" {
		text += ", " + d.GetReason()
	}
	if d.GetTimes() > 1 {
		text += fmt.Sprintf(", %d times since %s", d.GetTimes(), p.time(d.GetFirstTime()))
	}
	if d.GetUntilTime() != nil {
		text += ", until " + p.time(d.GetUntilTime())
	}
	if d.GetAssumption() != "" {
		text += ", if " + d.GetAssumption()
	}
	p.line("    %s %s: %s", kind, p.time(d.GetTime()), text)
	for _, check := range d.GetChecks() {
		if p.rules || !check.GetPassed() {
			p.check(check)
		}
	}
}

func (p *page) check(check *followupsv1.RuleCheck) {
	mark := "passed"
	if !check.GetPassed() {
		mark = check.GetMove()
	}
	facts := make([]string, 0, len(check.GetInputs()))
	for _, input := range check.GetInputs() {
		facts = append(facts, input.GetName()+"="+input.GetValue())
	}
	p.line("      rule %s v%d: %s (%s)", check.GetRule(), check.GetVersion(), mark, strings.Join(facts, ", "))
}
