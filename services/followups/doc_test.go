package followups_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/condition"
	"github.com/relance/relance/services/followups/internal/template"
	"github.com/relance/relance/services/followups/sequencefile"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/sequences.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func blocks(text, language string) []string {
	var out []string
	for _, match := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		out = append(out, match[1])
	}
	return out
}

// Every YAML example of the page, and every default sequence, reads and may be made active.
func TestExamplesAndDefaultsMayBeActive(t *testing.T) {
	t.Parallel()
	w := setup(t)
	texts := blocks(page(t), "yaml")
	if len(texts) == 0 {
		t.Fatal("no examples")
	}
	for _, name := range sequencefile.Defaults() {
		text, err := sequencefile.Default(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	planted{world: w}.settings(&followupsv1.Settings{
		SenderName: "Sam", CompanyName: "Acme", TargetResult: "more calls", QualificationQuestions: []string{"How many?", "Since when?"},
	}, "sender_name", "company_name", "target_result", "qualification_questions")
	for _, text := range texts {
		sequences, err := sequencefile.Parse([]byte(text))
		if err != nil || len(sequences) == 0 {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, seq := range sequences {
			seq.Active = true
			if _, err := w.admin.CreateSequence(t.Context(), &followupsv1.CreateSequenceRequest{Parent: w.workspace, Sequence: seq}); err != nil {
				t.Errorf("%s: %v", seq.GetDisplayName(), err)
			}
		}
	}
}

func TestPageKnowsTokensAndSchema(t *testing.T) {
	t.Parallel()
	text := page(t)
	for _, alias := range template.Spellings() {
		if !strings.Contains(text, "`"+alias+"`") {
			t.Errorf("the page lacks the token %s", alias)
		}
	}
	for variable, facts := range map[string]reflect.Type{"lead": reflect.TypeFor[condition.Lead](), "enrollment": reflect.TypeFor[condition.Enrollment]()} {
		for i := range facts.NumField() {
			if field := variable + "." + facts.Field(i).Tag.Get("cel"); !strings.Contains(text, "`"+field+"`") {
				t.Errorf("the page lacks %s", field)
			}
		}
	}
	examples := 0
	for _, block := range blocks(text, "cel") {
		for line := range strings.Lines(block) {
			examples++
			if err := condition.Check(strings.TrimSpace(line)); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if examples < 4 {
		t.Errorf("%d examples of expressions", examples)
	}
}
