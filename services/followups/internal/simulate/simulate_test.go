package simulate

import (
	"context"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
)

// TestNothingReachableSends walks the imports of this package: pure packages of this service only, no transport, no
// database. What the server learns for it, it learns through two interfaces that only read.
func TestNothingReachableSends(t *testing.T) {
	t.Parallel()
	const module = "github.com/relance/relance/"
	seen := map[string]bool{}
	var walk func(dir string)
	walk = func(dir string) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if strings.HasPrefix(path, "net") || path == "os" || path == "os/exec" || strings.Contains(path, "grpc") || strings.Contains(path, "pgx") {
					t.Errorf("%s imports %s", file, path)
				}
				rest, ours := strings.CutPrefix(path, module)
				if !ours || seen[rest] {
					continue
				}
				seen[rest] = true
				if !strings.HasPrefix(rest, "services/followups/internal/") {
					t.Errorf("%s imports %s", file, path)
					continue
				}
				walk(filepath.Join("..", strings.TrimPrefix(rest, "services/followups/internal/")))
			}
		}
	}
	walk(".")
	if !seen["services/followups/internal/followup"] || len(seen) > 5 {
		t.Errorf("reaches %v", seen)
	}
	for _, check := range []struct {
		reader reflect.Type
		want   []string
	}{
		{reflect.TypeFor[learn.Sync](), []string{"BatchGetLeads", "CheckSend", "GetMessage", "GetWorkspace"}},
		{reflect.TypeFor[learn.Availability](), []string{"GetSlots"}},
	} {
		var got []string
		for i := range check.reader.NumMethod() {
			got = append(got, check.reader.Method(i).Name)
		}
		if !slices.Equal(got, check.want) {
			t.Errorf("%v can %v", check.reader, got)
		}
	}
}

func cohort(steps int) Cohort {
	zone, _ := time.LoadLocation("America/New_York")
	from := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	c := Cohort{Settings: followup.DefaultSettings(), Zone: zone, Active: true, From: from, To: from.AddDate(0, 3, 0), Try: followup.Try{Max: 5}, Gate: letThrough}
	for i := range steps {
		c.Steps = append(c.Steps, followup.Step{Position: i + 1, ID: "s" + strconv.Itoa(i), Channel: followup.SMS, DelayDays: 1, BodyTemplate: "Hi {firstName}"})
	}
	return c
}

// letThrough is a gate that lets everything leave.
func letThrough(_ context.Context, groups [][]followup.Ask) ([][]followup.Said, error) {
	out := make([][]followup.Said, len(groups))
	for i, group := range groups {
		out[i] = make([]followup.Said, len(group))
	}
	return out, nil
}

func TestNoCommonHourIsSaid(t *testing.T) {
	t.Parallel()
	c := cohort(2)
	c.Gate = func(_ context.Context, groups [][]followup.Ask) ([][]followup.Said, error) {
		out := make([][]followup.Said, len(groups))
		for i, group := range groups {
			for _, ask := range group {
				out[i] = append(out[i], followup.Said{NoCommonHour: true, Waits: true, Refusal: followup.Refusal{
					Reason: "QUIET_HOURS", Metadata: map[string]string{"next_allowed_time": ask.At.Add(24 * time.Hour).Format(time.RFC3339)},
				}})
			}
		}
		return out, nil
	}
	plans, err := Run(t.Context(), c, []Subject{c.Begin(uuid.New(), &followup.Lead{FirstName: "Ada"})})
	if err != nil || plans[0].Ends || plans[0].Waits != NoCommonHour || len(plans[0].Touches) != 0 {
		t.Fatalf("%+v, %v", plans, err)
	}
	var counts Counts
	counts.Add(plans[0])
	if got := counts.Waits(); len(got) != 1 || got[0] != (Count{Result: followup.Waiting, Reason: NoCommonHour, Count: 1}) {
		t.Fatalf("%+v", got)
	}
}

func TestPlanTellsEveryStep(t *testing.T) {
	t.Parallel()
	c := cohort(3)
	c.Steps[1].Channel, c.Steps[1].SubjectTemplate = followup.Email, "S"
	c.Gate = func(_ context.Context, groups [][]followup.Ask) ([][]followup.Said, error) {
		out := make([][]followup.Said, len(groups))
		for i, group := range groups {
			for _, ask := range group {
				var said followup.Said
				if ask.Channel == followup.Email {
					said.Refusal.Reason = "DND_ACTIVE"
				}
				out[i] = append(out[i], said)
			}
		}
		return out, nil
	}
	lead := &followup.Lead{FirstName: "Ada", Phone: "x", Email: "y"}
	silent := *lead
	silent.FirstName = ""
	plans, err := Run(t.Context(), c, []Subject{c.Begin(uuid.New(), lead), c.Begin(uuid.New(), &silent), c.Begin(uuid.New(), nil)})
	if err != nil {
		t.Fatal(err)
	}
	first := plans[0]
	if len(first.Touches) != 3 || !first.Ends || first.Touches[1].Reason != "DND_ACTIVE" || first.Touches[2].Result != followup.Succeeded {
		t.Fatalf("%+v", first)
	}
	// Thursday, Friday, and Saturday's step on Monday morning.
	if want := time.Date(2026, 1, 12, 14, 0, 0, 0, time.UTC); !first.Touches[2].At.Equal(want) {
		t.Fatalf("third at %v", first.Touches[2].At)
	}
	if plans[1].Ends || plans[1].Waits != "missing_value: {firstName}" || len(plans[1].Touches) != 1 {
		t.Fatalf("%+v", plans[1])
	}
	if !plans[2].Ends || plans[2].Touches[0].Reason != followup.ReasonLeadGone {
		t.Fatalf("%+v", plans[2])
	}
	var counts Counts
	for _, plan := range plans {
		counts.Add(plan)
	}
	total := 0
	for _, count := range counts.All() {
		total += count.Count
	}
	if counts.Leads != 3 || counts.Ended != 2 || total != 5 {
		t.Fatalf("%+v", counts.All())
	}
}

// BenchmarkSimulate is 10,000 leads through 10 steps.
func BenchmarkSimulate(b *testing.B) {
	c := cohort(10)
	subjects := make([]Subject, 10_000)
	for i := range subjects {
		subjects[i] = c.Begin(uuid.New(), &followup.Lead{FirstName: "Ada", Phone: "x"})
	}
	for b.Loop() {
		plans, err := Run(b.Context(), c, subjects)
		if err != nil || len(plans[0].Touches) != 10 {
			b.Fatalf("%v %+v", err, plans[0])
		}
	}
}
