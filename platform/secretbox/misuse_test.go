package secretbox_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/relance/relance/platform/secretbox"
)

func TestChangedValuesAndKeysAreRefused(t *testing.T) {
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
	sealed, err := box.Seal([]byte("canary"), place)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Error("the plain text is in the ciphertext")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := box.Open(changed, place); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	for _, elsewhere := range []secretbox.AD{{Table: "x", Column: "token", ID: "1"}, {Table: "connection", Column: "x", ID: "1"}, {}} {
		if _, err := box.Open(sealed, elsewhere); err == nil {
			t.Errorf("opened at %+v", elsewhere)
		}
	}
	for _, bad := range []string{"", "{}", "not json", strings.ReplaceAll(string(keys), "AesGcmKey", "Other")} {
		if _, err := secretbox.New([]byte(bad)); err == nil {
			t.Errorf("keyset %.20q was accepted", bad)
		}
		if _, err := secretbox.AddPrimary([]byte(bad)); err == nil && bad != strings.ReplaceAll(string(keys), "AesGcmKey", "Other") {
			t.Errorf("keyset %.20q was rotated", bad)
		}
	}
}
