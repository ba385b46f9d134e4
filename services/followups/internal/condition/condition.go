// Package condition evaluates the CEL expressions of steps over what is known of a lead and its enrollment. An expression
// can read the facts and nothing else: there is no I/O, no clock but the one handed in, and its cost is limited.
package condition

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// Limits of an expression.
const (
	// MaxCost is the largest cost of one evaluation, in CEL's units; a comparison costs about one.
	MaxCost = 10_000
	// maxPrograms bounds the memory of compiled expressions.
	maxPrograms = 4096
)

// Lead is the variable lead. The tags are the names in CEL; docs/sequences.md lists them and a test compares.
type Lead struct {
	FirstName         string    `cel:"first_name"`
	LastName          string    `cel:"last_name"`
	Email             string    `cel:"email"`
	Phone             string    `cel:"phone"`
	Company           string    `cel:"company"`
	TimeZone          string    `cel:"time_zone"`
	Replied           bool      `cel:"replied"`
	LastInbound       time.Time `cel:"last_inbound"`
	LinkedInConnected bool      `cel:"linkedin_connected"`
}

// Enrollment is the variable enrollment.
type Enrollment struct {
	StartTime time.Time `cel:"start_time"`
	Step      string    `cel:"step"`
	Position  int64     `cel:"position"`
	Replied   bool      `cel:"replied"`
}

// Facts are all that an expression can read.
type Facts struct {
	// Lead and Enrollment are the variables of these names.
	Lead       Lead
	Enrollment Enrollment
	// Now is the variable now: the business time.
	Now time.Time
}

// Errors of expressions.
var (
	// ErrInvalid: the expression does not compile, or does not answer true or false.
	ErrInvalid = errors.New("invalid expression")
	// ErrEvaluation: the expression failed or cost too much for these facts.
	ErrEvaluation = errors.New("expression cannot be evaluated")
)

var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		ext.NativeTypes(reflect.TypeFor[Lead](), reflect.TypeFor[Enrollment](), ext.ParseStructTags(true)),
		ext.Strings(ext.StringsVersion(4)),
		cel.Variable("lead", cel.ObjectType("condition.Lead")),
		cel.Variable("enrollment", cel.ObjectType("condition.Enrollment")),
		cel.Variable("now", cel.TimestampType),
	)
})

// compiled remembers programs by their text: compiling is a pure function that costs a hundred evaluations.
var compiled = &programs{byText: map[string]program{}}

type programs struct {
	mu     sync.Mutex
	byText map[string]program
}

type program struct {
	program cel.Program
	err     error
}

func (p *programs) get(expression string) (cel.Program, error) {
	p.mu.Lock()
	known, ok := p.byText[expression]
	p.mu.Unlock()
	if ok {
		return known.program, known.err
	}
	known.program, known.err = compile(expression)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byText) >= maxPrograms {
		clear(p.byText)
	}
	p.byText[expression] = known
	return known.program, known.err
}

func compile(expression string) (cel.Program, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%w: %s", ErrInvalid, firstLines(issues))
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("%w: it gives %s, not true or false", ErrInvalid, ast.OutputType())
	}
	prog, err := env.Program(ast, cel.CostLimit(MaxCost), cel.EvalOptions(cel.OptOptimize, cel.OptPartialEval))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return prog, nil
}

// firstLines are the messages of the compiler without its drawings of the source.
func firstLines(issues *cel.Issues) string {
	var texts []string
	for _, issue := range issues.Errors() {
		texts = append(texts, fmt.Sprintf("line %d, column %d: %s", issue.Location.Line(), issue.Location.Column()+1, issue.Message))
	}
	return strings.Join(texts, "; ")
}

// Check compiles an expression. Error: ErrInvalid, with every fault and where it stands.
func Check(expression string) error {
	_, err := compiled.get(expression)
	return err
}

// NeverHolds reports whether a valid expression is false whatever the facts are.
func NeverHolds(expression string) bool {
	prog, err := compiled.get(expression)
	if err != nil {
		return false
	}
	open, err := cel.PartialVars(map[string]any{}, cel.AttributePattern("lead"), cel.AttributePattern("enrollment"), cel.AttributePattern("now"))
	if err != nil {
		return false
	}
	result, _, err := prog.Eval(open)
	return err == nil && result == types.False
}

// Holds evaluates an expression. Errors: ErrInvalid, ErrEvaluation.
func Holds(expression string, facts Facts) (bool, error) {
	prog, err := compiled.get(expression)
	if err != nil {
		return false, err
	}
	result, _, err := prog.Eval(map[string]any{"lead": facts.Lead, "enrollment": facts.Enrollment, "now": facts.Now})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrEvaluation, err)
	}
	return result == types.True, nil
}
