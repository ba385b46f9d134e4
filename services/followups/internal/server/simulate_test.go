package server

import (
	"reflect"
	"testing"

	"github.com/relance/relance/services/followups/internal/learn"
)

// sends tells whether a value of the type could send a message or write a row by a method of its own.
func sends(t reflect.Type) bool {
	for _, name := range []string{"SendMessage", "OfferSlots", "Commit", "Claim", "Invoke", "Exec"} {
		if _, has := t.MethodByName(name); has {
			return true
		}
	}
	return false
}

// reaches walks the types of fields and finds one that sends; empty when there is none.
func reaches(t reflect.Type, path string, seen map[reflect.Type]bool) string {
	if seen[t] {
		return ""
	}
	seen[t] = true
	if sends(t) {
		return path
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if found := reaches(t.Field(i).Type, path+"."+t.Field(i).Name, seen); found != "" {
				return found
			}
		}
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Chan:
		return reaches(t.Elem(), path, seen)
	}
	return ""
}

func TestNothingThatASimulationHoldsCanSend(t *testing.T) {
	t.Parallel()
	if found := reaches(reflect.TypeFor[simulation](), "simulation", map[reflect.Type]bool{}); found != "" {
		t.Errorf("%s can send or write", found)
	}
	if found := reaches(reflect.TypeFor[learn.Reader](), "reader", map[reflect.Type]bool{}); found != "" {
		t.Errorf("%s can send or write", found)
	}
	// The control: the server itself can.
	if found := reaches(reflect.TypeFor[Server](), "server", map[reflect.Type]bool{}); found == "" {
		t.Error("the walk finds nothing in the server either")
	}
}
