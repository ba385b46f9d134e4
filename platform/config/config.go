// Package config reads flags and RELANCE_* environment variables into documented structs (kong), with secrets from
// files, and lists every field for the documentation.
package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/relance/relance/platform/redact"
)

// Prefix starts every environment variable.
const Prefix = "RELANCE"

// Secret is a configured secret: the value itself, or "@path" to read it from a file. Surrounding white space is cut,
// which files end with. It never prints.
type Secret struct{ redact.Secret }

// UnmarshalText reads the value or the file it names.
func (s *Secret) UnmarshalText(text []byte) error {
	value := string(text)
	if path, ok := strings.CutPrefix(value, "@"); ok {
		body, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read secret file: %w", err)
		}
		value = string(body)
	}
	s.Secret = redact.Secret(strings.TrimSpace(value))
	return nil
}

// Set reports whether there is a value.
func (s Secret) Set() bool { return s.Secret != "" }

// Validator is a config struct that can list its own problems.
type Validator interface {
	// Problems gives one line for each, saying what is wrong and what is accepted; none when all is well.
	Problems() []string
}

// Check asks every part and gives all problems of all parts as one error.
func Check(parts ...Validator) error {
	var problems []error
	for _, part := range parts {
		for _, problem := range part.Problems() {
			problems = append(problems, errors.New(problem))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("configuration: %w", errors.Join(problems...))
}

// Options are the kong options that every command shares.
func Options(description string) []kong.Option {
	return []kong.Option{
		kong.Name("relance"), kong.Description(description), kong.DefaultEnvars(Prefix),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	}
}

// Reference lists every field of a kong struct as Markdown, a table for each command: flag, variable, default, meaning.
func Reference(command any) (string, error) {
	parser, err := kong.New(command, Options("")...)
	if err != nil {
		return "", fmt.Errorf("read configuration fields: %w", err)
	}
	var out strings.Builder
	reference(&out, parser.Model.Node)
	return strings.TrimPrefix(out.String(), "\n"), nil
}

// reference writes a node's own flags, then its commands'.
func reference(out *strings.Builder, node *kong.Node) {
	var rows strings.Builder
	for _, f := range node.Flags {
		if f.Name == "help" || f.Hidden {
			continue
		}
		_, _ = fmt.Fprintf(&rows, "| `--%s` | %s | %s | %s |\n", f.Name, code(f.Envs), byDefault(f), f.Help)
	}
	if rows.Len() > 0 {
		_, _ = fmt.Fprintf(out, "\n### `relance %s`\n\n| flag | environment | default | meaning |\n|---|---|---|---|\n%s", node.Path(), rows.String())
	}
	for _, child := range node.Children {
		reference(out, child)
	}
}

func byDefault(f *kong.Flag) string {
	switch {
	case f.Required:
		return "required"
	case f.Default == "":
		return ""
	default:
		return code([]string{f.Default})
	}
}

func code(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "`" + v + "`"
	}
	return strings.Join(quoted, ", ")
}
