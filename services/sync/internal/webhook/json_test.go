package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

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
		`{"":1,"":2}`, `{"k":1,"\u212a":2}`, `{"` + "\u017f" + `":1,"S":2}`, `{"x":{"Type":1,"type":2}}`, `{"a":1,"A":2}`, `{"a\"b":1,"a\"b":2}`, `{"a":"\u00e9","é":1,"\u00e9":2}`, `[1]`, `{"a":tru}`, `{"a":"` + "\x01" + `"}`,
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
	for other := range seen {
		if strings.EqualFold(other, name) {
			return fmt.Errorf("%w: a key is repeated", webhook.ErrBody)
		}
	}
	seen[name] = true
	return nil
}

// TestKeysThatDifferByCaseOnly: encoding/json takes one for the other, so that what a body says would depend on their order. A sender's
// own keys never differ so; where people choose keys, the sender's spelling counts.
func TestKeysThatDifferByCaseOnly(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for n := range 40 {
		fmt.Fprintf(&many, `"k%d":1,`, n)
	}
	for _, body := range []string{`{"Type":"a","type":"b"}`, `{"x":{"locationId":1,"locationid":2}}`, `{` + many.String() + `"K7":1}`, `{` + many.String() + `"\u212a39":1}`} {
		if err := webhook.Strict([]byte(body)); !errors.Is(err, webhook.ErrBody) || !strings.Contains(err.Error(), "differ by case only") {
			t.Errorf("%.60s: %v", body, err)
		}
	}
	if err := webhook.Strict([]byte(`{` + many.String() + `"k7":1}`)); err == nil || !strings.Contains(err.Error(), "repeated") {
		t.Errorf("a repeated key among many: %v", err)
	}
	if err := webhook.Strict([]byte(`{` + many.String() + `"l7":1,"x":{"K7":1}}`)); err != nil {
		t.Errorf("control: %v", err)
	}
	at := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	parse := func(source webhook.Source, body string) webhook.Event {
		t.Helper()
		e, err := webhook.Parse(webhook.Delivery{Source: source, Body: []byte(body), Received: at, Workspace: "w"})
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return e
	}
	for _, body := range []string{
		`{"contact_id":"contactAnn000000001","email":"ann@example.com","Email":"a custom field","EMAIL":1}`,
		`{"Email":"a custom field","contact_id":"contactAnn000000001","email":"ann@example.com"}`,
		`{"contact_id":"contactAnn000000001","Email":"ann@example.com"}`,
	} {
		if e := parse(webhook.Workflow, body); e.Lead.Email != "ann@example.com" {
			t.Errorf("%s: %q", body, e.Lead.Email)
		}
	}
	instantly := `{"event_type":"reply_received","Lead_Email":"custom","lead_email":"ann@example.com","LEAD_EMAIL":"custom","timestamp":"2026-01-07T14:00:00Z","reply_text":"Yes","email_id":"m1"}`
	if e := parse(webhook.Instantly, instantly); e.Lead.Email != "ann@example.com" || e.Text != "Yes" {
		t.Errorf("Instantly: %+v", e.Lead)
	}
	if webhook.BodySecretFits([]byte(`{"secret_key":"wrong","Secret_Key":"right"}`), []string{"right"}) || !webhook.BodySecretFits([]byte(`{"secret_key":"right"}`), []string{"right"}) {
		t.Error("the secret is not the field's")
	}
}
