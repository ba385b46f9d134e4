package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/relance/relance/platform/config"
)

type part []string

func (p part) Problems() []string { return p }

func TestCheckReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	err := config.Check(part{"a is missing", "b is odd"}, part{}, part{"c is late"})
	for _, want := range []string{"a is missing", "b is odd", "c is late"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check = %v, want it to name %q", err, want)
		}
	}
	if err := config.Check(part{}); err != nil {
		t.Errorf("Check of sound parts = %v", err)
	}
}

func TestSecretComesFromAFileWithoutItsLineEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(" value\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s config.Secret
	if err := s.UnmarshalText([]byte("@" + path)); err != nil || s.Reveal() != "value" {
		t.Errorf("secret = %q, %v", s.Reveal(), err)
	}
	if err := s.UnmarshalText([]byte("@" + path + "x")); err == nil {
		t.Error("a missing file was accepted")
	}
}

func TestReferenceListsFields(t *testing.T) {
	t.Parallel()
	var c struct {
		Listen string `default:"127.0.0.1:8080" help:"Address to listen on."`
	}
	table, err := config.Reference(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"`--listen`", "`RELANCE_LISTEN`", "`127.0.0.1:8080`", "Address to listen on."} {
		if !strings.Contains(table, want) {
			t.Errorf("table lacks %s:\n%s", want, table)
		}
	}
}
