package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/relance/relance/services/sync/internal/webhook"
)

// FuzzStrict compares Strict with a decoder that reads token by token.
func FuzzStrict(f *testing.F) {
	deep := strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32)
	var many strings.Builder
	for n := range 40 {
		fmt.Fprintf(&many, `"k%d":{"k0":1},`, n)
	}
	for _, seed := range []string{
		"{" + many.String() + `"a":1}`, "{" + many.String() + `"k0":1}`, "{" + many.String() + `"k\u0033\u0039":1}`, `{"a":{` + many.String() + `"b":1},"k0":1,"b":1}`,
		`{}`, `{"a":1,"b":[{"a":2},{"a":3}],"c":"a\\","d":"\"{,}"}`, `{"a":1,"\u0061":2}`, `{"a":{"a":{}},"b":{"a":[]},"a":1}`, `{"a":"a","b":"a"}`,
		`{"a":["a","a",{"b":"b","b":1}]}`, `{"\ud800":1,"\udbff":2}`, deep, `{"x":` + deep + `}`, `{"a":[` + deep + `]}`, `{"a":1}{}`, `{"a":1,}`, ` {"a" : [ ] } `,
		`{"":1,"":2}`, `{"a":1,"A":2}`, `{"a\"b":1,"a\"b":2}`, `{"a":"\u00e9","é":1,"\u00e9":2}`, `[1]`, `{"a":tru}`, `{"a":"` + "\x01" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := webhook.Strict(raw)
		if got != nil && !errors.Is(got, webhook.ErrBody) {
			t.Fatalf("%q: %v is no ErrBody", raw, got)
		}
		// The decoder is lax about the form of JSON in places; about keys and depth it is the measure.
		if !json.Valid(raw) {
			if got == nil {
				t.Fatalf("%q is taken", raw)
			}
			return
		}
		if want := slowly(raw); (got == nil) != (want == nil) {
			t.Fatalf("%q: %v, want %v", raw, got, want)
		}
	})
}

// BenchmarkStrict is a marketplace webhook of the usual size.
func BenchmarkStrict(b *testing.B) {
	raw := []byte(sms)
	b.ReportAllocs()
	for b.Loop() {
		if err := webhook.Strict(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func slowly(raw []byte) error {
	if len(raw) > webhook.MaxBody || !bytes.Equal(bytes.ToValidUTF8(raw, nil), raw) || !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return webhook.ErrBody
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := slowValue(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", webhook.ErrBody)
	}
	return nil
}

func slowValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: not valid JSON", webhook.ErrBody)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= 32 {
		return fmt.Errorf("%w: nested deeper than 32", webhook.ErrBody)
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			if err := slowKey(dec, seen); err != nil {
				return err
			}
		}
		if err := slowValue(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: not valid JSON", webhook.ErrBody)
	}
	return nil
}

func slowKey(dec *json.Decoder, seen map[string]bool) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: not valid JSON", webhook.ErrBody)
	}
	name, ok := token.(string)
	if !ok {
		return fmt.Errorf("%w: not valid JSON", webhook.ErrBody)
	}
	if seen[name] {
		return fmt.Errorf("%w: a key is repeated", webhook.ErrBody)
	}
	seen[name] = true
	return nil
}
