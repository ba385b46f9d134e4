package webhook

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// flat reads the members of an object into structs of one type, as json.Unmarshal would, without reading the body again. Fields
// are string, lax or json.RawMessage, each with its name in a json tag.
type flat struct {
	fields map[string]int
	names  []string
}

func newFlat(of reflect.Type) flat {
	f := flat{fields: map[string]int{}}
	for i := range of.NumField() {
		name := of.Field(i).Tag.Get("json")
		f.fields[name] = i
		f.names = append(f.names, name)
	}
	return f
}

// read fills into, which is a pointer, from the body whose members are top. The error is json.Unmarshal's: a field of the wrong
// type, beside which the others are read.
func (f flat) read(body []byte, top []member, into any) error {
	target := reflect.ValueOf(into).Elem()
	var wrong error
	for _, m := range top {
		i, known := f.fields[string(m.name)]
		if !known {
			if f.folded(m.name) {
				target.SetZero()
				return json.Unmarshal(body, into) //nolint:wrapcheck // the caller refuses in its own words
			}
			continue
		}
		switch field := target.Field(i).Addr().Interface().(type) {
		case *string:
			if err := text(m.value, field); err != nil {
				wrong = err
			}
		case *lax:
			_ = field.UnmarshalJSON(m.value) // takes anything
		case *json.RawMessage:
			*field = m.value
		}
	}
	return wrong
}

// folded reports whether json.Unmarshal may take a name for one of the fields that is spelled in other letters: then it has to
// decide.
func (f flat) folded(name []byte) bool {
	for _, c := range name {
		if c >= 0x80 {
			return true
		}
	}
	for _, known := range f.names {
		if len(known) == len(name) && strings.EqualFold(known, string(name)) {
			return true
		}
	}
	return false
}

// text reads a valid value into a string, as json.Unmarshal does: null leaves it.
func text(raw []byte, into *string) error {
	if raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		*into = string(raw[1 : len(raw)-1])
		return nil
	}
	return json.Unmarshal(raw, into) //nolint:wrapcheck // the caller refuses in its own words
}
