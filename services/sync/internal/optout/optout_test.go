package optout

import (
	_ "embed"
	"strings"
	"testing"
)

//go:embed testdata/corpus.tsv
var corpus string

type line struct {
	want Kind
	text string
}

func lines(t testing.TB) []line {
	t.Helper()
	var out []line
	for l := range strings.Lines(corpus) {
		label, text, ok := strings.Cut(strings.TrimRight(l, "\n"), "\t")
		if ok && !strings.HasPrefix(l, "#") {
			out = append(out, line{Kind(label), text})
		}
	}
	return out
}

// TestCorpus measures what counts: a message after an opt-out is a violation, an opt-out nobody asked for a lost lead.
func TestCorpus(t *testing.T) {
	t.Parallel()
	var stopsFound, stopsMissed, stopsWrong, quiet, clearFound, clearWrong, unclear int
	all := lines(t)
	for _, l := range all {
		got := Read(l.text)
		wantStop := Verdict{Kind: l.want}.Stops()
		switch {
		case wantStop && got.Stops():
			stopsFound++
		case wantStop:
			stopsMissed++
			t.Logf("missed: %q (%s)", l.text, l.want)
		case got.Stops():
			stopsWrong++
			t.Logf("wrong: %q read as %s by %s", l.text, got.Kind, got.Rule)
		default:
			quiet++
		}
		if got.Kind == Unclear {
			unclear++
		}
		if got.Kind == Out && l.want == Out {
			clearFound++
		} else if got.Kind == Out && !wantStop {
			clearWrong++
		}
		if (l.want == In || l.want == Help) && got.Kind != l.want {
			t.Errorf("%q: %s, want %s", l.text, got.Kind, l.want)
		}
	}
	recall := float64(stopsFound) / float64(stopsFound+stopsMissed)
	precision := float64(stopsFound) / float64(stopsFound+stopsWrong)
	clearPrecision := float64(clearFound) / float64(clearFound+clearWrong)
	t.Logf("figure optout_recall %.4f ratio n=%d", recall, stopsFound+stopsMissed)
	t.Logf("figure optout_precision %.4f ratio n=%d", precision, stopsFound+stopsWrong)
	t.Logf("figure optout_clear_precision %.4f ratio n=%d", clearPrecision, clearFound+clearWrong)
	t.Logf("figure optout_for_review %d texts n=%d", unclear, len(all))
	if len(all) < 400 || quiet < 150 {
		t.Errorf("the corpus is small: %d texts, %d of them without an opt-out", len(all), quiet)
	}
	if recall < 0.99 || precision < 0.97 || clearPrecision < 0.98 {
		t.Errorf("recall %.4f, precision %.4f, of clear ones %.4f", recall, precision, clearPrecision)
	}
}

func TestKeywordsInEveryForm(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt-out"} {
		for _, form := range []string{word, strings.ToUpper(word), " " + word + " ", word + ".", "\"" + word + "\"", word + "!!!", word + "\n", "please " + word, word + " 🛑", "\u200b" + word} {
			if got := Read(form); got.Kind != Out {
				t.Errorf("%q: %+v", form, got)
			}
		}
	}
}

func TestWordsOfBefore(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"STOP", "stop.", "STOP please", "Unsubscribe", "END", "quit now", "opt-out", "Please opt out", "pls remove me", "StopAll", "“Stop”"} {
		if got := Read(s); got.Kind != Out {
			t.Errorf("%q: %+v", s, got)
		}
	}
	for _, s := range []string{"", "yes", "don't stop", "we ended up fine", "is this the end?", "unstoppable"} {
		if got := Read(s); got.Stops() {
			t.Errorf("%q: %+v", s, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, l := range lines(f) {
		f.Add(l.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := Read(text)
		switch v.Kind {
		case None, Out, Unclear, In, Help:
		default:
			t.Errorf("%q: %+v", text, v)
		}
		if v.Rule == "" || v != Read(text) {
			t.Errorf("%q: no rule, or another answer the second time", text)
		}
		// Clear words are not hidden by case or by space around them.
		if again := Read("  " + strings.ToUpper(text) + "\n"); v.Kind == Out && strings.EqualFold(strings.ToUpper(text), text) && again.Kind != Out {
			t.Errorf("%q: %s, and %s in capitals", text, v.Kind, again.Kind)
		}
	})
}
