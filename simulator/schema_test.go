package simulator_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// schema is the part of an OpenAPI schema that a body is checked against: required
// keys, types and enums. testdata/ghl_schemas.json holds those of the endpoints served,
// reduced from the provider's specification as corrected by what it really answers.
type schema struct {
	Ref        string            `json:"ref"`
	Type       string            `json:"type"`
	Enum       []any             `json:"enum"`
	Nullable   bool              `json:"nullable"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
}

func checkSchema(t *testing.T, name string, body any) {
	t.Helper()
	raw, err := os.ReadFile("testdata/ghl_schemas.json")
	must(t, err)
	var all map[string]schema
	must(t, json.Unmarshal(raw, &all))
	if _, ok := all[name]; !ok {
		t.Fatalf("no schema %s", name)
	}
	for _, problem := range check(all, schema{Ref: name}, name, body) {
		t.Error(problem)
	}
}

func check(all map[string]schema, s schema, at string, value any) []string {
	if s.Ref != "" {
		s = all[s.Ref]
	}
	if value == nil && (s.Nullable || s.Type == "") {
		return nil
	}
	var problems []string
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		problems = append(problems, fmt.Sprintf("%s: %v is not in the enum", at, value))
	}
	switch v := value.(type) {
	case map[string]any:
		problems = append(problems, wrongType(s, at, "object")...)
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				problems = append(problems, at+": "+key+" is required")
			}
		}
		for key, property := range s.Properties {
			if child, ok := v[key]; ok {
				problems = append(problems, check(all, property, at+"."+key, child)...)
			}
		}
	case []any:
		problems = append(problems, wrongType(s, at, "array")...)
		for i, item := range v {
			if s.Items != nil {
				problems = append(problems, check(all, *s.Items, fmt.Sprintf("%s[%d]", at, i), item)...)
			}
		}
	case string:
		problems = append(problems, wrongType(s, at, "string")...)
	case bool:
		problems = append(problems, wrongType(s, at, "boolean")...)
	case float64:
		problems = append(problems, wrongType(s, at, "number")...)
	}
	return problems
}

func wrongType(s schema, at, have string) []string {
	if s.Type == "" || s.Type == have || (s.Type == "integer" && have == "number") {
		return nil
	}
	return []string{at + ": is a " + have + ", the schema says " + s.Type}
}
