// Package sequencefile reads and writes sequences as YAML, the form in which people keep, compare and share them. Reading is
// strict: unknown keys, unknown words and doubled keys are errors with their line. Writing is canonical: what was written
// reads back the same, and the same sequence is always written the same. docs/sequences.md is the reference.
package sequencefile

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

//go:embed defaults/*.yaml
var defaults embed.FS

// document is one sequence as it is written.
type document struct {
	Sequence    string          `yaml:"sequence"`
	Description string          `yaml:"description,omitempty"`
	Active      bool            `yaml:"active"`
	Continue    bool            `yaml:"continue_on_reply,omitempty"`
	Trigger     *trigger        `yaml:"trigger,omitempty"`
	Refusals    map[string]rule `yaml:"refusals,omitempty"`
	Steps       []step          `yaml:"steps"`
}

type trigger struct {
	Type     word `yaml:"type"`
	After    word `yaml:"after,omitempty"`
	Channel  word `yaml:"channel,omitempty"`
	Tag      word `yaml:"tag,omitempty"`
	ReEnroll word `yaml:"re_enroll,omitempty"`
}

type step struct {
	ID         string          `yaml:"id,omitempty"`
	Channel    word            `yaml:"channel"`
	Delay      word            `yaml:"delay,omitempty"`
	From       word            `yaml:"from,omitempty"`
	If         word            `yaml:"if,omitempty"`
	Expression string          `yaml:"expression,omitempty"`
	Approval   bool            `yaml:"approval,omitempty"`
	SendWithin word            `yaml:"send_within,omitempty"`
	Refusals   map[string]rule `yaml:"refusals,omitempty"`
	Subject    string          `yaml:"subject,omitempty"`
	Body       string          `yaml:"body,omitempty"`
}

// rule is written as its action alone, or as a mapping when it has durations.
type rule struct {
	Action word `yaml:"action"`
	Max    word `yaml:"max,omitempty"`
	Delay  word `yaml:"delay,omitempty"`
}

// UnmarshalYAML reads "skip" or {action: hold, max: 72h}.
func (r *rule) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&r.Action)
	}
	type plain rule
	for i := 0; i+1 < len(node.Content); i += 2 { // Decode of a node does not know of strictness
		if key := node.Content[i]; key.Value != "action" && key.Value != "max" && key.Value != "delay" {
			return fmt.Errorf("line %d: %q is no key of a refusal; use action, max, delay", key.Line, key.Value)
		}
	}
	return node.Decode((*plain)(r))
}

// MarshalYAML writes the short form where it says all.
func (r rule) MarshalYAML() (any, error) {
	if r.Max.text == "" && r.Delay.text == "" {
		return r.Action.text, nil
	}
	type plain rule
	return plain(r), nil
}

// word is a text of which the line is known, so that what is wrong with it can be told with its place.
type word struct {
	text string
	line int
}

// UnmarshalYAML reads a scalar.
func (w *word) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: must be a single word", node.Line)
	}
	w.text, w.line = node.Value, node.Line
	return nil
}

// MarshalYAML writes the text.
func (w word) MarshalYAML() (any, error) { return w.text, nil }

// IsZero lets empty words be left out.
func (w word) IsZero() bool { return w.text == "" }

// Error lists what is wrong with a file.
type Error struct {
	// Problems begin with their line: `line 3: ...`.
	Problems []string
}

// Error joins the problems, one a line.
func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// Parse reads the sequences of a file, one a YAML document. Error: *Error with every problem of the first document that has
// one.
func Parse(data []byte) ([]*followupsv1.Sequence, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields(), yaml.WithUniqueKeys())
	if err != nil {
		return nil, fmt.Errorf("make YAML loader: %w", err)
	}
	var out []*followupsv1.Sequence
	for {
		var doc document
		err := loader.Load(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, &Error{Problems: problemsOf(err)}
		}
		seq, problems := doc.sequence()
		if len(problems) > 0 {
			return nil, &Error{Problems: problems}
		}
		out = append(out, seq)
	}
}

// place is where the scanner and the parser of YAML stopped: " at L1.C11-L2.C1: ".
var place = regexp.MustCompile(`^.* at (?:L[0-9]+[.]C[0-9]+-)?L([0-9]+)[.]C[0-9]+: `)

// problemsOf takes the loader's errors apart.
func problemsOf(err error) []string {
	text := place.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "line $1: ")
	lines := strings.Split(text, "\n")
	var out []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasSuffix(line, "errors:") {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		return []string{text}
	}
	return out
}

// Format writes sequences, one YAML document each. Output-only fields are left out.
func Format(sequences ...*followupsv1.Sequence) ([]byte, error) {
	var out bytes.Buffer
	if len(sequences) == 0 {
		return nil, nil
	}
	dumper, err := yaml.NewDumper(&out, yaml.WithIndent(2), yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("make YAML dumper: %w", err)
	}
	for _, seq := range sequences {
		if err := dumper.Dump(documentOf(seq)); err != nil {
			return nil, fmt.Errorf("write sequence: %w", err)
		}
	}
	if err := dumper.Close(); err != nil {
		return nil, fmt.Errorf("write sequences: %w", err)
	}
	return out.Bytes(), nil
}

// Defaults names the embedded sequences.
func Defaults() []string {
	entries, err := fs.ReadDir(defaults, "defaults")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	var names []string
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".yaml"))
	}
	return names
}

// Default is the text of an embedded sequence.
func Default(name string) ([]byte, error) {
	text, err := fs.ReadFile(defaults, "defaults/"+name+".yaml")
	if err != nil {
		return nil, fmt.Errorf("no default sequence %q; there are %s", name, strings.Join(Defaults(), ", "))
	}
	return text, nil
}
