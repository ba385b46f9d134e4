package history_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/relance/relance/services/sync/internal/history"
)

var noon = time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC)

func at(offset time.Duration) time.Time { return noon.Add(offset) }

func in(id, text string, t time.Time) history.Listed {
	return history.Listed{ID: id, Inbound: true, At: t, Hash: []byte(text)}
}

func kept(key, text string, t, created time.Time) history.Stored {
	return history.Stored{Key: key, Inbound: true, Hash: []byte(text), At: t, Created: created}
}

func TestLinkTexts(t *testing.T) {
	day := at(24 * time.Hour)
	for name, c := range map[string]struct {
		listed []history.Listed
		stored []history.Stored
		want   string
	}{
		"same text within a minute":         {[]history.Listed{in("a", "yes", noon)}, []history.Stored{kept("1", "yes", at(time.Minute), day)}, "1=a"},
		"just outside the minute":           {[]history.Listed{in("a", "yes", noon)}, []history.Stored{kept("1", "yes", at(time.Minute+1), day)}, ""},
		"stored ten minutes later":          {[]history.Listed{in("a", "yes", noon)}, []history.Stored{kept("1", "yes", at(-300*24*time.Hour), at(10*time.Minute))}, "1=a"},
		"stored later than that":            {[]history.Listed{in("a", "yes", noon)}, []history.Stored{kept("1", "yes", at(-300*24*time.Hour), at(10*time.Minute+1))}, ""},
		"another text":                      {[]history.Listed{in("a", "yes", noon)}, []history.Stored{kept("1", "no", noon, noon)}, ""},
		"the other direction":               {[]history.Listed{{ID: "a", At: noon, Hash: []byte("yes")}}, []history.Stored{kept("1", "yes", noon, noon)}, ""},
		"one reply kept, two listed":        {[]history.Listed{in("a", "yes", noon), in("b", "yes", at(20*time.Second))}, []history.Stored{kept("1", "yes", at(19*time.Second), day)}, "1=b"},
		"two replies, each its own":         {[]history.Listed{in("a", "yes", noon), in("b", "yes", at(30*time.Second))}, []history.Stored{kept("1", "yes", at(time.Second), day), kept("2", "yes", at(31*time.Second), day)}, "1=a 2=b"},
		"known by id already":               {[]history.Listed{in("a", "yes", noon)}, []history.Stored{{Key: "1", ProviderID: "z", Inbound: true, Hash: []byte("yes"), At: noon}}, ""},
		"a list without texts":              {[]history.Listed{{ID: "a", Inbound: true, At: noon}}, []history.Stored{{Key: "1", Inbound: true, At: noon, Created: noon}}, ""},
		"a send of ours in flight":          {[]history.Listed{in("a", "yes", noon)}, []history.Stored{{Key: "1", Own: true, Inbound: true, Hash: []byte("yes"), At: noon}}, ""},
		"same text, same time, a day apart": {[]history.Listed{in("a", "yes", noon), in("b", "yes", day)}, []history.Stored{kept("1", "yes", day, at(48*time.Hour))}, "1=b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := links(history.LinkTexts(c.listed, c.stored)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func links(in []history.Link) string {
	var out []string
	for _, l := range in {
		out = append(out, l.Key+"="+l.ProviderID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestRelink(t *testing.T) {
	out := func(id string, t time.Time) history.Listed { return history.Listed{ID: id, At: t, Hash: []byte("hi")} }
	old := history.Stored{Key: "1", ProviderID: "old", Hash: []byte("hi"), At: noon}
	other := history.Stored{Key: "2", ProviderID: "two", Own: true, Hash: []byte("hi"), At: noon}
	for name, c := range map[string]struct {
		listed []history.Listed
		stored []history.Stored
		want   string
	}{
		"sent again under a new id": {[]history.Listed{out("new", at(time.Hour))}, []history.Stored{old}, "1=new"},
		"in both lists":             {[]history.Listed{out("new", at(time.Hour)), out("new", at(time.Hour))}, []history.Stored{old}, "1=new"},
		"the old one still there":   {[]history.Listed{out("old", noon), out("new", at(time.Hour))}, []history.Stored{old}, ""},
		"a day later is another":    {[]history.Listed{out("new", at(24*time.Hour+1))}, []history.Stored{old}, ""},
		"before it":                 {[]history.Listed{out("new", at(-1))}, []history.Stored{old}, ""},
		"two could be it":           {[]history.Listed{out("n1", at(time.Hour)), out("n2", at(2*time.Hour))}, []history.Stored{old}, ""},
		"the new one is our own":    {[]history.Listed{out("two", at(time.Hour))}, []history.Stored{old, other}, ""},
		"inbound is never sent":     {[]history.Listed{in("new", "hi", at(time.Hour))}, []history.Stored{old}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := links(history.Relink(c.listed, c.stored)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCompareNamesWhatDiffers(t *testing.T) {
	listed := []history.Listed{in("same", "a", noon), in("missing", "b", noon), in("altered", "c", noon), in("moved", "d", noon)}
	stored := []history.Stored{
		{ProviderID: "same", Inbound: true, Hash: []byte("a"), At: noon},
		{ProviderID: "altered", Inbound: true, Hash: []byte("x"), At: noon},
		{ProviderID: "moved", Inbound: true, Hash: []byte("d"), At: at(time.Millisecond)},
		{ProviderID: "extra", Hash: []byte("e"), At: noon},
		{ProviderID: "newer", Hash: []byte("f"), At: noon, Created: at(time.Hour)},
	}
	c := history.Compare(listed, stored, at(time.Minute))
	got := [][]string{c.Missing, c.Extra, c.Altered}
	want := [][]string{{"missing"}, {"extra"}, {"altered", "moved"}}
	if diff := cmp.Diff(want, got); diff != "" || c.Proven() || c.Listed != 4 || c.Stored != 4 {
		t.Errorf("%s %+v", diff, c)
	}
	if c := history.Compare(listed[:1], stored[:1], noon); !c.Proven() || c.Listed != 1 || c.ListedSum == (history.Sum{}) {
		t.Errorf("control: %+v", c)
	}
}

// A set of messages has one sum, in whatever order it is read; one change of one message shows.
func TestCompareProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		var listed []history.Listed
		var stored []history.Stored
		for i := range n {
			l := in(fmt.Sprintf("id%d", i), fmt.Sprintf("text %d", i%3), at(time.Duration(i%5)*time.Second))
			listed = append(listed, l)
			stored = append(stored, history.Stored{ProviderID: l.ID, Inbound: true, At: l.At, Hash: l.Hash})
		}
		shuffled := rapid.Permutation(stored).Draw(t, "order")
		if c := history.Compare(append(listed, listed...), shuffled, noon); !c.Proven() || c.Listed != n {
			t.Fatalf("not proven: %+v", c)
		}
		i := rapid.IntRange(0, n-1).Draw(t, "changed")
		changed := slices.Clone(stored)
		changed[i].At = changed[i].At.Add(time.Second)
		if c := history.Compare(listed, changed, noon); c.Proven() || !slices.Equal(c.Altered, []string{listed[i].ID}) || c.ListedSum == c.StoredSum {
			t.Fatalf("change not seen: %+v", c)
		}
	})
}

func TestPackedListsAreReadAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var listed []history.Listed
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			l := history.Listed{
				ID: rapid.String().Draw(t, "id"), Inbound: rapid.Bool().Draw(t, "inbound"),
				At: time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "at"), rapid.Int64Range(0, 999999999).Draw(t, "nanos")).UTC(),
			}
			if hash := rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "hash"); len(hash) > 0 {
				l.Hash = hash
			}
			listed = append(listed, l)
		}
		raw := history.Pack(listed)
		got, err := history.Unpack(raw)
		if err != nil || !slices.EqualFunc(got, listed, history.Listed.Same) {
			t.Fatalf("%v, %v", got, err)
		}
		// Broken bytes are an error or another list, and never more.
		if len(raw) > 0 {
			_, _ = history.Unpack(raw[:rapid.IntRange(0, len(raw)-1).Draw(t, "cut")])
		}
	})
}
