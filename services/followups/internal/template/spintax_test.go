package template

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpintaxIsDeterministic(t *testing.T) {
	t.Parallel()
	const text = "[[Hi|Hey|Hello]] {firstName}, [[quick note|short one]]"
	for seed, want := range map[string]string{
		"lead-1:step-1": "Hey Ada, quick note",
		"lead-2:step-1": "Hello Ada, short one",
		"lead-3:step-1": "Hi Ada, quick note",
	} {
		for range 3 {
			got, err := Text(text, Data{Values: Values{FirstName: "Ada"}, Seed: seed})
			if err != nil || got != want {
				t.Errorf("%s: %q, %v; want %q", seed, got, err, want)
			}
		}
	}
	if choose("é🙂", 1<<30) == choose("é", 1<<30) {
		t.Error("a surrogate pair must count")
	}
}

func TestSpintaxProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"[[a|b":               {"Spintax group is not closed (missing ]])"},
		"[[a|[[b|c]]|d]]":     {"Spintax nesting is not supported"},
		"[[a||b]]":            {"Spintax option cannot be empty"},
		"[[]]":                {"Spintax option cannot be empty"},
		"[[a| ]] and [[||]]":  {"Spintax option cannot be empty"},
		"[[a|b]] {nope} [[":   {"Spintax group is not closed (missing ]])", "Unknown template variable: {nope}"},
		`a ]] b [ c ] d | e`:  nil,
		`[[{firstName|x}|b]]`: nil,
		`\[[a|b]]`:            nil,
	} {
		var got []string
		for _, problem := range Parse(text).Problems() {
			got = append(got, problem.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		_, err := Text(text, Data{Values: Values{FirstName: "Ada"}})
		var bad *Error
		if errors.As(err, &bad) != (len(want) > 0) {
			t.Errorf("%s: rendering says %v", text, err)
		}
	}
}

func TestFallbacksAndEscapes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, value, want string }{
		{"Hi {firstName|there}", "", "Hi there"},
		{"Hi {firstName|there}", "Ada", "Hi Ada"},
		{"Hi {firstName|}!", " ", "Hi !"},
		{"{{contact.first_name|friend}}", "", "friend"},
		{`{FIRST\_NAME|you}`, "", "you"},
		{"{firstName|a|b}", "", "a|b"},
		{"Hi {firstName|{x} y", "", "Hi {x y"},
		{`[[a\|b|a\|b]]`, "", "a|b"},
		{`\{firstName} \[[a|b]] C:\dir \\`, "", `{firstName} [[a|b]] C:\dir \`},
		{"[[Hi {firstName|you}|Hi {firstName|you}]]", "", "Hi you"},
		{"{firstName|[[a|b]]}", "", "[[a|b]]"},
		{"{firstName|x}", "[[a|b]] {email} \\|", "[[a|b]] {email} \\|"},
	} {
		got, err := Text(tt.text, Data{Values: Values{FirstName: tt.value}})
		if err != nil || got != tt.want {
			t.Errorf("%s with %q: %q, %v; want %q", tt.text, tt.value, got, err, tt.want)
		}
	}
	uses := Parse("{firstName|there} {company} {nope}").Uses()
	want := []Use{
		{Written: "{firstName}", Token: FirstName, Fallback: "there", HasFallback: true},
		{Written: "{company}", Token: CompanyName},
		{Written: "{nope}"},
	}
	if diff := cmp.Diff(want, uses); diff != "" {
		t.Error(diff)
	}
}

// Every spelling that imported templates use, and each only once in the table.
func TestEveryAlias(t *testing.T) {
	t.Parallel()
	values := Values{}
	for alias, token := range aliases() {
		if token.hint() == "" {
			t.Errorf("%s has no hint", token)
		}
		values[token] = "value of " + string(token)
		got, err := Text(strings.ReplaceAll(alias, "_", `\_`), Data{Values: values})
		if err != nil || got != values[token] {
			t.Errorf("%s: %q, %v", alias, got, err)
		}
	}
	if len(values) != 15 {
		t.Errorf("%d tokens", len(values))
	}
}

// FuzzSpintax: parsing never panics, a text without problems and with every value renders, the same seed renders the same,
// and what was rendered comes from the options or the values.
func FuzzSpintax(f *testing.F) {
	f.Add("[[Hi|Hey]] {firstName|there}, [[a {email}|b]]", "seed")
	f.Add(`[[a\||b]] \[[ ]] [[`, "")
	f.Add("[[[[]]|]] {[[a|b]]}", "x")
	f.Fuzz(func(t *testing.T, text, seed string) {
		values := Values{}
		for _, token := range aliases() {
			values[token] = "v"
		}
		parsed := Parse(text)
		data := Data{Values: values, Seed: seed}
		got, err := Text(text, data)
		if again, errAgain := Text(text, data); again != got || (err == nil) != (errAgain == nil) {
			t.Fatalf("%q, then %q", got, again)
		}
		if len(parsed.Problems()) == 0 && err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("a text without problems does not render: %v", err)
		}
		if len(parsed.Problems()) > 0 && err == nil {
			t.Fatal("a text with problems renders")
		}
		if err == nil && !strings.ContainsAny(text, "[{\\") && got != text {
			t.Fatalf("plain text was changed: %q", got)
		}
		unknown := slices.ContainsFunc(parsed.Uses(), func(u Use) bool { return u.Token == "" })
		if unknown != (len(Unknown(text)) > 0) {
			t.Fatal("uses and problems differ about unknown tokens")
		}
	})
}
