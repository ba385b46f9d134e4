package cli_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/relance/relance/cmd/relance/internal/cli"
)

// TestConfigurationReferenceIsFresh compares docs/operations.md with the config structs. Set UPDATE=1 to rewrite it.
func TestConfigurationReferenceIsFresh(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../../../docs/operations.md", "<!-- reference:begin -->\n", "<!-- reference:end -->"
	var out bytes.Buffer
	if err := (cli.Streams{Out: &out, Err: &out}).Run(context.Background(), []string{"config-reference"}); err != nil {
		t.Fatal(err)
	}
	for _, known := range []string{"RELANCE_KEYSET", "RELANCE_CRON_SECRET", "RELANCE_DATABASE_URL", "RELANCE_TLS_CERT"} {
		if !strings.Contains(out.String(), "`"+known+"`") {
			t.Errorf("the reference lacks %s", known)
		}
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/operations.md lacks the reference marks")
	}
	if have == out.String() {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatal("docs/operations.md is stale: UPDATE=1 go test ./internal/cli -run Reference")
	}
	if err := os.WriteFile(path, []byte(before+begin+out.String()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
