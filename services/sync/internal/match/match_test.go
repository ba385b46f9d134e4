package match_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/relance/relance/services/sync/internal/match"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	const text = "Hi Ann, is Tuesday at 10 still good for you?"
	cases := []struct {
		name, intent, found string
		want                match.Kind
	}{
		{"same", text, text, match.Equal},
		{"white space", text, "  Hi Ann,\u00a0is Tuesday\n at 10 still good for you? ", match.Equal},
		{"composed", "café at five o'clock", "cafe\u0301 at five o'clock", match.Equal},
		{"invisible", text, "\ufeffHi Ann, is Tues\u200bday at 10 still good for you?", match.Equal},
		{"link rewritten", "See https://example.com/a?b=c now", "See https://lc.example/x7 now", match.Equal},
		{"www link", "See www.example.com/a", "See https://lc.example/x7", match.Equal},
		{"opt-out line", text, text + "\nReply STOP to unsubscribe.", match.Extended},
		{"opt-out line after little", "Hi", "Hi\nReply STOP to opt out", match.Extended},
		{"signature", text, text + "\n-- sent by Acme", match.Extended},
		{"end cut", text, strings.TrimSuffix(text, " you?"), match.Different}, // 88 %
		{"little of the end changed", text, strings.TrimSuffix(text, "u?") + "u…", match.Extended},
		{"another short text", "Hi", "Hi Bob, this is about your invoice", match.Different},
		{"a word goes on", "Are you free on Monday", "Are you free on Mondays in general, or only sometimes?", match.Different},
		{"other", text, "Your invoice is due.", match.Different},
		{"prefix missing", text, "Re: " + text, match.Different},
		{"much appended", text, text + strings.Repeat(" and so on", 40), match.Different},
		{"one figure changed", "ok 10", "ok 11", match.Different},
		{"case matters", "OK", "ok", match.Different},
		{"blank", " ", " ", match.Different},
		{"emoji", "See you 👍🏽 then, all right?", "See you 👍🏽 then, all right?", match.Equal},
	}
	for _, c := range cases {
		if got := match.Compare(c.intent, c.found); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func FuzzCompare(f *testing.F) {
	for _, seed := range [][2]string{{"Hi", "Hi"}, {"a\u0301", "á"}, {"https://x", "x"}, {"\xff", "\xfe"}, {"", ""}, {strings.Repeat("a ", 50), "a"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got := match.Compare(a, b)
		normal := match.Normalise(a)
		if !utf8.ValidString(normal) || match.Normalise(normal) != normal {
			t.Fatalf("normalising %q gives %q and then %q", a, normal, match.Normalise(normal))
		}
		if normal != "" && match.Compare(a, a) != match.Equal {
			t.Fatalf("%q is not equal to itself", a)
		}
		if normal == "" && got.Matches() {
			t.Fatalf("a blank text matches %q", b)
		}
		if (got == match.Equal) != (match.Compare(b, a) == match.Equal) {
			t.Fatalf("equality of %q and %q depends on the order", a, b)
		}
	})
}
