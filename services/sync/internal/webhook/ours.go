package webhook

import (
	"bytes"
	"reflect"
	"strings"
)

// named are the names of the fields that a body is read into.
type named map[string]bool

func namesOf(of reflect.Type) named {
	out := named{}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		out[name] = true
	}
	return out
}

// ours is a body with the members that are read from it only. Beside the sender's own keys some bodies have ones that people chose, as
// the names of custom fields: an "Email" of theirs is not the sender's "email", for which encoding/json would take it. A name in other
// letters counts where the right one is not there.
func (n named) ours(top []member) []byte {
	there := map[string]bool{}
	for _, m := range top {
		if n[string(m.name)] {
			there[string(m.name)] = true
		}
	}
	out := []byte{'{'}
	for _, m := range top {
		name, known := n.meant(m.name)
		if !known || name != string(m.name) && there[name] {
			continue
		}
		there[name] = true // of several in other letters the first
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, '"'), name...)
		out = append(append(out, '"', ':'), m.value...)
	}
	return append(out, '}')
}

// meant is the name of the field that a key is, or may be taken for.
func (n named) meant(key []byte) (string, bool) {
	if n[string(key)] {
		return string(key), true
	}
	for name := range n {
		if bytes.EqualFold([]byte(name), key) {
			return name, true
		}
	}
	return "", false
}
