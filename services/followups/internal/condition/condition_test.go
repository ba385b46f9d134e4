package condition

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func facts() Facts {
	now := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	return Facts{
		Lead: Lead{
			FirstName: "Ada", Email: "ada@example.com", Phone: "+12025550123", Company: "Acme Inc", TimeZone: "America/New_York",
			Replied: true, LastInbound: now.Add(-48 * time.Hour),
		},
		Enrollment: Enrollment{StartTime: now.Add(-24 * time.Hour), Step: "day-2", Position: 2},
		Now:        now,
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"true":               true,
		"false":              false,
		"lead.company != ''": true,
		"lead.company.lowerAscii().contains('acme')":                       true,
		"lead.email.endsWith('@example.org')":                              false,
		"lead.replied && !enrollment.replied":                              true,
		"now - enrollment.start_time >= duration('24h')":                   true,
		"lead.last_inbound > now - duration('24h')":                        false,
		"now.getDayOfWeek(lead.time_zone) == 3":                            true,
		"now.getHours(lead.time_zone) == 10":                               true,
		"enrollment.position > 2 || enrollment.step == 'day-2'":            true,
		"lead.linkedin_connected":                                          false,
		"lead.phone.matches('^[+]1') && lead.first_name in ['Ada', 'Bob']": true,
	} {
		got, err := Holds(expression, facts())
		if err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", expression, got, err, want)
		}
	}
}

func TestRefusesWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		"", "lead", "1 + 1", "lead.nope", "lead.first_name > 3", "settings.x", "lead.first_name ==", "now()", "'a'",
	} {
		if err := Check(expression); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", expression, err)
		}
		if NeverHolds(expression) {
			t.Errorf("%q: never holds", expression)
		}
	}
	if err := Check("lead.nope && lead.first_name == 3"); err == nil || !strings.Contains(err.Error(), "undefined field 'nope'") ||
		!strings.Contains(err.Error(), "column 30") {
		t.Errorf("both faults must be told: %v", err)
	}
}

func TestFailuresAreErrors(t *testing.T) {
	t.Parallel()
	zoneless := facts()
	zoneless.Lead.TimeZone = "Mars/X"
	if _, err := Holds("now.getHours(lead.time_zone) > 8", zoneless); !errors.Is(err, ErrEvaluation) {
		t.Errorf("a zone that does not exist: %v", err)
	}
	list := "[" + strings.Repeat("1,", 200) + "1]"
	loop := list + ".all(a, " + list + ".all(b, " + list + ".all(c, a + b + c < 9)))"
	if len(loop) > 2000 {
		t.Fatalf("%d bytes", len(loop))
	}
	if _, err := Holds(loop, facts()); !errors.Is(err, ErrEvaluation) {
		t.Errorf("eight million rounds: %v", err)
	}
	if ok, err := Holds(list+".all(a, a < 9)", facts()); !ok || err != nil {
		t.Errorf("the control must hold: %v, %v", ok, err)
	}
}

func TestNeverHolds(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"false": true, "1 > 2": true, "lead.replied && false": true, "false && lead.replied": true,
		"true": false, "lead.replied": false, "lead.replied || false": false, "lead.company == 'x' && 1 < 2": false,
		"now.getHours() > 25": false,
	} {
		if got := NeverHolds(expression); got != want {
			t.Errorf("%s: %v", expression, got)
		}
	}
}

func TestMemoryOfProgramsIsBounded(t *testing.T) {
	t.Parallel()
	p := &programs{byText: map[string]program{}}
	for i := range maxPrograms + 2 {
		p.byText[strings.Repeat("x", i+1)] = program{}
		if len(p.byText) >= maxPrograms {
			break
		}
	}
	if _, err := p.get("true"); err != nil || len(p.byText) != 1 {
		t.Fatalf("%d programs, %v", len(p.byText), err)
	}
}

// FuzzExpression: no text makes the evaluator panic, hang or cost more than the limit.
func FuzzExpression(f *testing.F) {
	f.Add("lead.company.contains('a') && now.getHours('UTC') > 3")
	f.Add("[1,2,3].all(x, x < lead.first_name.size())")
	f.Add("'%s'.format([lead.email]) == ''")
	f.Add("enrollment.start_time + duration('1h') < now ? true : false")
	f.Fuzz(func(t *testing.T, expression string) {
		if len(expression) > 2000 {
			return
		}
		_, err := Holds(expression, facts())
		if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrEvaluation) {
			t.Fatal(err)
		}
		if Check(expression) == nil && NeverHolds(expression) {
			if holds, err := Holds(expression, facts()); err == nil && holds {
				t.Fatal("what never holds held")
			}
		}
	})
}
