package template

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTextReplacesInOnePass(t *testing.T) {
	t.Parallel()
	emoji := strings.Repeat("🙂", 2500)
	tests := []struct {
		name, text string
		values     Values
		want       string
	}{
		{"injection vector", "Hi {firstName} {email}", Values{FirstName: "{email}", Email: "a@example.com"}, "Hi {email} a@example.com"},
		{"replacement pattern", "Hi {firstName}!", Values{FirstName: "$& $1 \\1 %s"}, "Hi $& $1 \\1 %s!"},
		{"aliases", `{FIRST_NAME}{FIRST\_NAME}{{contact.first_name}}{{contact.first\_name}}`, Values{FirstName: "a"}, "aaaa"},
		{"spaced aliases", "{x day x time} or {time 2 day 2}, {achieving result}", Values{SlotOne: "Mon", SlotTwo: "Tue", Result: "x"}, "Mon or Tue, x"},
		{"literal braces", "a {} b { c", nil, "a {} b { c"},
		{"emoji name", "{firstName}", Values{FirstName: emoji}, emoji},
		{"64 KiB template", strings.Repeat("x", MaxText), nil, strings.Repeat("x", MaxText)},
		{"only opening braces", strings.Repeat("{", MaxText), nil, strings.Repeat("{", MaxText)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Text(tt.text, Data{Values: tt.values})
			if err != nil || got != tt.want {
				t.Fatalf("Text = %.80q, %v; want %.80q", got, err, tt.want)
			}
		})
	}
}

func TestTextReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := Text("Hi {FIRST_NAME}, {company} {foo} {availability} {foo} {lastName}",
		Data{Values: Values{FirstName: "A", CompanyName: "B", LastName: " "}})
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("error = %v, want *Error", err)
	}
	want := []Problem{
		{UnknownToken, "{foo}", ""},
		{MissingValue, "{availability}", Availability},
		{MissingValue, "{lastName}", LastName},
	}
	if diff := cmp.Diff(want, got.Problems); diff != "" {
		t.Fatal(diff)
	}
	if !strings.Contains(err.Error(), "Unknown template variable: {foo}") {
		t.Fatalf("text = %q", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if _, err := Text(strings.Repeat("x", MaxText+1), Data{}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("template over the limit: %v", err)
	}
	long := Values{FirstName: strings.Repeat("🙂", 2500)}
	if _, err := Text(strings.Repeat("{firstName}", 100), Data{Values: long}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("output over the limit: %v", err)
	}
	if got, err := HTML(strings.Repeat("<xxx", MaxText/4), Data{}); err != nil || len(got) != 7*MaxText/4+7 {
		t.Fatalf("a full template must fit when escaped: %d, %v", len(got), err)
	}
	if _, err := HTML(strings.Repeat("<", MaxText), Data{}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("HTML over the limit: %v", err)
	}
	if _, err := Subject("{firstName}", Data{Values: long}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("subject over the limit: %v", err)
	}
}

func TestHTMLEscapesTemplateAndValues(t *testing.T) {
	t.Parallel()
	got, err := HTML("a & {firstName}\n<b>", Data{Values: Values{FirstName: `<script>"x"`}})
	if want := "<p>a &amp; &lt;script&gt;&#34;x&#34;<br>\n&lt;b&gt;</p>"; err != nil || got != want {
		t.Fatalf("HTML = %q, %v; want %q", got, err, want)
	}
	subject, err := Subject("Hi {firstName}", Data{Values: Values{FirstName: "a\r\nBcc: x"}})
	if err != nil || subject != "Hi a Bcc: x" {
		t.Fatalf("Subject = %q, %v", subject, err)
	}
}

func TestTokensAndUnknown(t *testing.T) {
	t.Parallel()
	text := "{firstName} {name} {nope} {{no.such}} {link} {firstName}"
	if diff := cmp.Diff([]Token{FirstName, SenderName, CalendarLink}, Tokens(text)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]string{"{nope}", "{{no.such}}"}, Unknown(text)); diff != "" {
		t.Fatal(diff)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("Hi {firstName} {email}", "{email}")
	f.Add("{{contact.first_name}} {}", "{{")
	f.Add("{", "}")
	f.Add("{{}} {firstName", "$&")
	f.Fuzz(func(t *testing.T, text, name string) {
		values := Values{FirstName: name, Email: "a@example.com"}
		got, err := Text(text, Data{Values: values})
		if err != nil {
			return
		}
		if len(got) > MaxText {
			t.Fatalf("%d bytes", len(got))
		}
		if utf8.ValidString(text) && utf8.ValidString(name) && !utf8.ValidString(got) {
			t.Fatal("made invalid UTF-8")
		}
		if strings.TrimSpace(name) == "" {
			return
		}
		// One pass: marking the value shows that nothing inside it was replaced.
		marked, err := Text(text, Data{Values: Values{FirstName: "\x01", Email: "\x02"}})
		if err != nil {
			return
		}
		if !strings.ContainsAny(text, "\x01\x02") && strings.NewReplacer("\x01", name, "\x02", "a@example.com").Replace(marked) != got {
			t.Fatalf("a value was expanded again: %q", got)
		}
	})
}
