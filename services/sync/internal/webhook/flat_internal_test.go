package webhook

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzFlat compares the reading of members with json.Unmarshal's reading of the body.
func FuzzFlat(f *testing.F) {
	for _, seed := range []string{
		`{"type":"InboundMessage","body":"a\"b\u00e9\ud83d\ude00\ud800","status":7,"dnd":false,"tags":["a", "b"],"other":{"type":"x"}}`,
		` { "type" : null , "body" : null , "status" : null , "dnd" : null } `, `{"Type":"x","type":"y"}`, `{"type":"y","TYPE":"x"}`,
		`{"type":1,"id":"x","body":[]}`, `{"status":{},"source":[1],"userId":true,"subject":-1.5e+3}`, `{"\u0074ype":"x"}`, `{"ſtatus":"x"}`,
		`{"timestamp":1767225600000,"webhookPayload":{"event":"x"}}`, `{"locationid":"x"}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		top, err := members(raw, cased)
		if err != nil {
			return
		}
		var got, want marketplace
		wrong, expected := marketplaceFields().read(raw, top, &got), json.Unmarshal(raw, &want)
		if (wrong == nil) != (expected == nil) || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %+v, %v, want %+v, %v", raw, got, wrong, want, expected)
		}
	})
}

// TestFlatKnowsEveryField: one of another type would stay empty.
func TestFlatKnowsEveryField(t *testing.T) {
	t.Parallel()
	of := reflect.TypeFor[marketplace]()
	for i := range of.NumField() {
		field := of.Field(i)
		switch reflect.New(field.Type).Interface().(type) {
		case *string, *lax, *json.RawMessage:
		default:
			t.Errorf("%s is %s", field.Name, field.Type)
		}
		if _, named := field.Tag.Lookup("json"); !named {
			t.Errorf("%s has no name", field.Name)
		}
	}
}
