package plain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/relance/relance/cmd/relance/internal/plain"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Café Zoë — 日本 👩‍🔧":         "Café Zoë — 日本 👩‍🔧",
		"a\nb\tc\r\nd\u2028e\u0085": "a b c  d e ",
		"\x1b[31mred\x1b]0;title\a": "�[31mred�]0;title�",
		"\u009b2J":                  "�2J",
		"\u202egnp.exe\u2066\ufeff": "�gnp.exe��",
		"bad \xff utf-8":            "bad � utf-8",
		"":                          "",
	} {
		if got := plain.Line(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := plain.Lines("+ a\x1b\n- b\t\n"); got != "+ a�\n- b \n" {
		t.Errorf("lines: %q", got)
	}
	got := fmt.Sprintf("%s %d %v", plain.Args("a\x1b", 7, errors.New("b\n"))...)
	if got != "a� 7 b " {
		t.Errorf("%q", got)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b[0m\n\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := plain.Line(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || plain.Line(got) != got {
			t.Fatalf("%q: %q", text, got)
		}
	})
}
