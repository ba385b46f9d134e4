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

// Reference is a Markdown table of every field of a kong struct: flag, variable, default, meaning.
func Reference(command any) (string, error) {
	parser, err := kong.New(command, Options("")...)
	if err != nil {
		return "", fmt.Errorf("read configuration fields: %w", err)
	}
	var out strings.Builder
	out.WriteString("| flag | environment | default | meaning |\n|---|---|---|---|\n")
	for _, flags := range parser.Model.AllFlags(true) {
		for _, f := range flags {
			if f.Name == "help" {
				continue
			}
			_, _ = fmt.Fprintf(&out, "| `--%s` | %s | %s | %s |\n", f.Name, code(f.Envs), code(nonEmpty(f.Default)), f.Help)
		}
	}
	return out.String(), nil
}

func nonEmpty(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func code(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "`" + v + "`"
	}
	return strings.Join(quoted, ", ")
}
