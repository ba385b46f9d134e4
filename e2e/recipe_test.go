package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeRecipe runs the README's recipe as it stands against a sandbox.
func TestReadmeRecipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sandbox := start(t, nil, "sandbox", "--listen", "127.0.0.1:0", "--dir", dir)
	path := filepath.Join(dir, "sandbox.json")
	sandbox.eventually(t, "sandbox.json", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	facts := readFacts(t, path)
	out, problems := runRecipe(t, path)
	t.Logf("the recipe printed:\n%s\n%s", out, problems)

	answers := objects(t, out)
	if len(answers) != 4 {
		t.Fatalf("the recipe printed %d JSON objects, want 4", len(answers))
	}
	receipt, refused, leads, refusal := answers[0], answers[1], answers[2], answers[3]
	addsUp(t, receipt)
	if refused.number("code") != 16 || reasonOf(refused) != "CREDENTIALS_REJECTED" {
		t.Errorf("cron without a secret answered %v", refused)
	}
	if n := len(leads.list("leads")); n != 2 {
		t.Errorf("%d leads, want 2", n)
	}
	if refusal.number("code") != 9 || reasonOf(refusal) != "DND_ACTIVE" {
		t.Errorf("curl's send to the DND lead answered %v", refusal)
	}
	for _, want := range []string{"FailedPrecondition", "DND_ACTIVE", "sync.relance.dev"} {
		if !strings.Contains(problems, want) {
			t.Errorf("grpcurl's answer has no %s", want)
		}
	}
	oneSend(t, facts)
	everyCalendar(t, facts)
}

// everyCalendar: a sandbox shows times of each kind of calendar, read from its simulator.
func everyCalendar(t *testing.T, facts object) {
	t.Helper()
	c := newClient(facts.text("gateway"), facts.text("adminSecret"), facts.text("cronSecret"))
	sources := map[string]string{"calendly": "page", "calendlyToken": "api", "hubspot": "page", "ghlPage": "page", "iCalendar": "feed"}
	named := facts.object("calendars")
	if len(named) != len(sources) {
		t.Fatalf("calendars of the sandbox: %v", named)
	}
	for kind, source := range sources {
		answer := c.api(t, http.MethodGet, "/v1/"+named.text(kind)+"/slots?timeZone=America/New_York", nil)
		if answer.text("state") != "AVAILABILITY_STATE_OK" || answer.text("source") != source || len(answer.list("slots")) < 40 {
			t.Errorf("%s: %s by %s with %d slots", kind, answer.text("state"), answer.text("source"), len(answer.list("slots")))
		}
	}
}

// oneSend: of the two sends to the DND lead only the first reached the provider, where it was refused.
func oneSend(t *testing.T, facts object) {
	t.Helper()
	c := newClient(facts.text("gateway"), facts.text("adminSecret"), facts.text("cronSecret"))
	lead := c.api(t, http.MethodGet, "/v1/"+facts.text("dndLead"), nil).object("lead")
	contact := lead.text("ghlContactId")
	if contact == "" {
		t.Fatalf("the DND lead has no contact id: %v", lead)
	}
	simulator := newClient(facts.text("simulator"), "", "")
	ledger := simulator.get(t, "/_sim/ledger?sends=true&contact="+contact).json(t)
	entries := ledger.list("entries")
	if len(entries) != 1 || entries[0].text("channel") != "SMS" || entries[0]["accepted"] != false {
		t.Errorf("the provider got these sends for the DND lead, want one refused SMS: %v", entries)
	}
}

func readFacts(t *testing.T, path string) object {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var facts object
	if err := json.Unmarshal(raw, &facts); err != nil {
		t.Fatal(err)
	}
	return facts
}

// runRecipe runs the block between the markers where bin/relance and .bin/grpcurl are, as they are after `make sandbox
// .bin/grpcurl`, and gives what it printed on both streams.
func runRecipe(t *testing.T, facts string) (string, string) {
	t.Helper()
	_, rest, found := strings.Cut(readRepo(t, "README.md"), "<!-- recipe:begin -->\n```sh\n")
	script, _, closed := strings.Cut(rest, "```\n<!-- recipe:end -->")
	if !found || !closed || strings.Contains(script, "```") {
		t.Fatal("README.md has no recipe between its markers")
	}
	root := t.TempDir()
	link(t, relance(t), filepath.Join(root, "bin", "relance"))
	link(t, grpcurl(t), filepath.Join(root, ".bin", "grpcurl"))
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = root
	cmd.Env = append(cleanEnv(), "S="+facts)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("the recipe failed: %v\n%s\n%s", err, out.String(), problems.String())
	}
	return out.String(), problems.String()
}

func link(t *testing.T, from, to string) {
	t.Helper()
	from, err := filepath.Abs(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.Symlink(from, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// grpcurl is the Makefile's, built at its pinned version when it is not there yet.
func grpcurl(t *testing.T) string {
	t.Helper()
	made := repoPath(".bin", "grpcurl")
	if _, err := os.Stat(made); err == nil {
		return made
	}
	version := regexp.MustCompile(`(?m)^GRPCURL_VERSION := (\S+)$`).FindStringSubmatch(readRepo(t, "Makefile"))
	if version == nil {
		t.Fatal("the Makefile pins no grpcurl")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "install", "github.com/fullstorydev/grpcurl/cmd/grpcurl@"+version[1])
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install grpcurl: %v: %s", err, out)
	}
	return filepath.Join(dir, "grpcurl")
}

// objects decodes all JSON objects of a text.
func objects(t *testing.T, text string) []object {
	t.Helper()
	var out []object
	for decoder := json.NewDecoder(strings.NewReader(text)); ; {
		var next object
		switch err := decoder.Decode(&next); {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			t.Fatalf("the recipe printed something else than JSON: %v", err)
		}
		out = append(out, next)
	}
}
