package secretbox_test

import (
	"testing"

	"github.com/relance/relance/platform/secretbox"
)

func TestSealedValuesOpenOnlyInTheirPlace(t *testing.T) {
	t.Parallel()
	keys, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	box, err := secretbox.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	place := secretbox.AD{Table: "connection", Column: "token", ID: "1"}
	sealed, err := box.Seal([]byte("value"), place)
	if err != nil {
		t.Fatal(err)
	}
	rotatedKeys, err := secretbox.AddPrimary(keys)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := secretbox.New(rotatedKeys)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*secretbox.Box{box, rotated} {
		if plain, err := b.Open(sealed, place); err != nil || string(plain) != "value" {
			t.Errorf("Open = %q, %v", plain, err)
		}
		if _, err := b.Open(sealed, secretbox.AD{Table: "connection", Column: "token", ID: "2"}); err == nil {
			t.Error("a value moved to another row opened")
		}
	}
	newer, err := rotated.Seal([]byte("value"), place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.Open(newer, place); err == nil {
		t.Error("the old keyset opened what the new primary sealed (the control of the rotation)")
	}
}
