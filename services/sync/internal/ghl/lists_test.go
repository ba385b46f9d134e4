package ghl

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// usual is what the provider sends.
const usual = `{"id":"ve9EPM428h8vShlRW1KT","type":2,"messageType":"TYPE_SMS","locationId":"locationAcme0000001","contactId":"contactAnn000000001",
	"conversationId":"conversationAnn0001","dateAdded":"2026-01-07T12:00:00.123Z","body":"hi, 7 € \"or\" more?\n\ud83d\ude00","direction":"inbound",
	"status":"delivered","contentType":"text/plain","attachments":[],"source":"app","meta":{"email":{"messageIds":["a","b"]}}}`

func seeds() []string {
	return []string{
		`{"messages":[],"nextCursor":null,"total":0,"traceId":"x"}`, ` { "messages" : [ ` + usual + ` , ` + usual + ` ] , "nextCursor" : "abc" , "total" : 1.5e3 } `,
		`{"messages":{"lastMessageId":"m1","nextPage":true,"messages":[` + usual + `]},"traceId":"x"}`,
		`{"messages":{"lastMessageId":null,"nextPage":false,"messages":[]}}`, `{"messages":null}`, `{"messages":[null]}`, `{}`, ``, `[]`, `{"messages":[]}x`,
		`{"messages":[],"messages":[{"id":"1"}]}`, `{"Messages":[{"ID":"1"}]}`, `{"messages":[{"id":"1","id":"2"}]}`, "{\"messages\":[{\"id\":\"\xff\"}]}",
		`{"messages":[{"messageType":7,"id":null,"dateAdded":null}]}`, `{"messages":[{"dateAdded":"yesterday"}]}`, `{"messages":[{"id":7}]}`, `{"messages":[{"messageType":""}]}`,
		`{"messages":[{"body":"\x"}]}`, `{"messages":[{"x":01}]}`, `{"messages":[{"x":{"a":[1,{"b":true,"c":null,"d":false}]}}]}`, "{\"messages\":[{\"a\nb\":1}]}",
		`{"messages":[{"\u0069d":"1"}]}`, `{"messages":[{"meta":{"Email":{"messageIds":["a"]}}}]}`, `{"messages":[{"id":"1",}]}`, `{"messages":[{"id":"1"}`,
		`{"messages":[{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}]}`, `{"messages":{"nextPage":"true"}}`, `{"messages":[{"x":"\ud800"}]}`,
		`{"messages":[{"meta":{"email":7}}]}`, `{"nextCursor":"a\u0062c"}`, "{\"messages\":[{\"\u017fource\":\"folded\"}]}", "{\"messages\":[]}\x00",
	}
}

// same compares messages; of a type, only text is ever asked for.
func same(a, b listed) bool {
	textA, okA := a.MessageType.(string)
	textB, okB := b.MessageType.(string)
	a.MessageType, b.MessageType = nil, nil
	return okA == okB && textA == textB && cmp.Equal(a, b)
}

// check compares the quick reading of a body with that of encoding/json, and reports whether there was a quick one.
func check(t *testing.T, raw []byte) (read bool) {
	t.Helper()
	rows := cmp.Comparer(same)
	var quickly, slowly exportAnswer
	if quickly.quick(raw) {
		read = true
		if err := json.Unmarshal(raw, &slowly); err != nil || !cmp.Equal(quickly, slowly, rows) {
			t.Errorf("export %q: %v %s", raw, err, cmp.Diff(slowly, quickly, rows))
		}
	} else if quickly.Messages != nil || quickly.NextCursor != nil {
		t.Errorf("export %q: something is left of what was not understood", raw)
	}
	var page, slow conversationAnswer
	if page.quick(raw) {
		read = true
		if err := json.Unmarshal(raw, &slow); err != nil || !cmp.Equal(page, slow, rows) {
			t.Errorf("conversation %q: %v %s", raw, err, cmp.Diff(slow, page, rows))
		}
	}
	return read
}

// FuzzQuick: what is read quickly is what encoding/json reads.
func FuzzQuick(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { check(t, raw) })
}

// The usual forms are read quickly, or nothing would be won; and every cut of one is left alone.
func TestUsualListsAreReadQuickly(t *testing.T) {
	for n, raw := range seeds()[:4] {
		if !check(t, []byte(raw)) {
			t.Errorf("seed %d was not read quickly", n)
		}
		for cut := range len(strings.TrimSpace(raw)) {
			if check(t, []byte(raw[:cut])) {
				t.Fatalf("a list that ends after %d bytes was taken for whole", cut)
			}
		}
	}
}

func BenchmarkExportPage(b *testing.B) {
	var rows []string
	text, _, _ := strings.Cut(usual, `,"meta"`)
	for n := range 500 {
		rows = append(rows, strings.Replace(strings.Replace(text, `\ud83d\ude00`, "", 1), "hi,", fmt.Sprintf("hi %d,", n), 1)+"}")
	}
	raw := []byte(`{"messages":[` + strings.Join(rows, ",") + `],"nextCursor":"abc","total":500}`)
	for name, read := range map[string]func(*exportAnswer) error{
		"quick": func(a *exportAnswer) error { return decode(raw, a) },
		"json":  func(a *exportAnswer) error { return json.Unmarshal(raw, a) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var a exportAnswer
				if err := read(&a); err != nil || len(*a.Messages) != 500 {
					b.Fatal(err)
				}
			}
		})
	}
}
