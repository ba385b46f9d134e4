package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sequenceCLI runs `relance sequence` against a gateway.
type sequenceCLI struct {
	env []string
}

func (c sequenceCLI) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), relance(t), append([]string{"sequence"}, args...)...)
	cmd.Env = append(cleanEnv(), c.env...)
	var all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	_ = cmd.Run() // the exit code tells
	return all.String(), cmd.ProcessState.ExitCode()
}

func (c sequenceCLI) want(t *testing.T, code int, text string, args ...string) string {
	t.Helper()
	out, got := c.run(t, args...)
	if got != code || !strings.Contains(out, text) {
		t.Fatalf("relance sequence %v: exit %d, %q; want exit %d and %q", args, got, out, code, text)
	}
	return out
}

// TestSequenceFiles takes sequences into a workspace and back, as an operator does.
func TestSequenceFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := database(t)
	p := w.serve(t, keyset(t), append(secrets(), "RELANCE_DATABASE_URL="+db.DSN("relance"))...)
	c := newClient(p.gateway(t), adminSecret, cronSecret)
	c.ready(t, p)
	workspace := c.provision(t, "Ash", w.locations[0], w.tokens[0])
	cli := sequenceCLI{env: []string{
		"RELANCE_GATEWAY_URL=" + p.gateway(t), "RELANCE_ADMIN_SECRET=" + adminSecret, "RELANCE_WORKSPACE=" + workspace,
	}}
	path := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}

	cli.want(t, 0, "would be created", "import", "--dry-run", "default:all")
	if n := c.count(t, "/v1/"+workspace+"/sequences", "sequences"); n != 0 {
		t.Fatalf("the dry run made %d sequences", n)
	}
	cli.want(t, 1, "/dev/null", "diff", "default:all")
	cli.want(t, 0, "No Response: created", "import", "default:all")
	cli.want(t, 0, "unchanged, version 1", "import", "default:all")
	cli.want(t, 0, "", "diff", "default:all")
	exported := cli.want(t, 0, "sequence: Post-Booking", "export")
	cli.want(t, 0, "", "diff", path("all.yaml", exported))
	one := cli.want(t, 0, "sequence: Re-engagement", "export", "Re-engagement")

	changed := strings.Replace(one, "delay: 4d", "delay: 5d", 1)
	out := cli.want(t, 1, "+    delay: 5d", "diff", path("changed.yaml", changed))
	if !strings.Contains(out, "-    delay: 4d") || strings.Count(out, "\n") > 15 {
		t.Errorf("the difference is not one line with its surroundings:\n%s", out)
	}
	cli.want(t, 0, "would be updated, version 1 → 2", "import", "--dry-run", path("changed.yaml", changed))
	cli.want(t, 0, "updated, version 1 → 2", "import", path("changed.yaml", changed))

	const texts = "sequence: Texts\nactive: true\nsteps:\n  - id: a\n    channel: sms\n    delay: 1d\n    body: Hi\n  - id: b\n    channel: sms\n    delay: 1d\n    body: Hi again\n"
	cli.want(t, 0, "Texts: created", "import", path("texts.yaml", texts))
	w.contact(t, w.locations[0], ghlID("ContactOne"), "+12025550142")
	lead := c.api(t, "POST", "/v1/"+workspace+"/leads", object{"ghlContactId": ghlID("ContactOne"), "firstName": "Sam", "phone": "+12025550142"})
	var sequence string
	for _, seq := range c.api(t, "GET", "/v1/"+workspace+"/sequences", nil).list("sequences") {
		if seq.text("displayName") == "Texts" {
			sequence = seq.text("name")
		}
	}
	c.api(t, "POST", "/v1/"+workspace+"/enrollments", object{"lead": lead.object("lead").text("name"), "sequence": sequence})
	without := path("without.yaml", "sequence: Texts\nactive: true\nsteps:\n  - id: b\n    channel: sms\n    delay: 2d\n    body: Hi again\n")
	cli.want(t, 0, "1 at step a of version 1: would move to step b", "import", "--migrate", "--dry-run", without)
	cli.want(t, 0, "1 at step a of version 1: moved to step b", "import", "--migrate", without)

	cli.want(t, 1, "line 3", "import", path("key.yaml", "sequence: X\nactive: false\nstep: []\n"))
	refused := cli.want(t, 1, "2 problems; nothing was changed", "import",
		path("bad.yaml", "sequence: Fine\nsteps: []\n---\nsequence: Bad\nactive: true\nsteps:\n  - channel: sms\n    body: '{nope} [[a'\n"))
	if !strings.Contains(refused, "{nope}") || !strings.Contains(refused, "→") {
		t.Errorf("%s", refused)
	}
	cli.want(t, 1, "no sequence \"Fine\"", "export", "Fine")
	cli.want(t, 0, "sequence: Meeting Requested", "default")
}
