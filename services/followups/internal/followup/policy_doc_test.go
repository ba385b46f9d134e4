package followup

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// policyTable is the table of docs/sequences.md, as the code has it.
func policyTable() string {
	var b strings.Builder
	b.WriteString("| reason | default | may be | a hold ends when |\n|---|---|---|---|\n")
	events := map[WakeEvent]string{WakeDNDCleared: "do-not-disturb of the channel is cleared", WakeLeadChanged: "the lead changes"}
	// A hold for an address is a pause, which no other change of the lead ends.
	address := map[string]string{addressMissing(SMS): "the lead gets a phone number", addressMissing(Email): "the lead gets an address"}
	for _, resolved := range (Layers{}).All() {
		var allowed []string
		for _, action := range Allowed(resolved.Reason) {
			if action != resolved.Rule.Action {
				allowed = append(allowed, "`"+string(action)+"`")
			}
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", resolved.Reason, resolved.Rule.Action,
			cmp.Or(strings.Join(allowed, ", "), "–"), cmp.Or(address[resolved.Reason], events[WakeOf(resolved.Reason)], "–"))
	}
	return b.String()
}

// The page tells the policy that the code has. UPDATE=1 rewrites it.
func TestPageHasThePolicyTable(t *testing.T) {
	t.Parallel()
	const path = "../../../../docs/sequences.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(page), policyTable()) {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatal("docs/sequences.md is stale: UPDATE=1 go test ./internal/followup -run PolicyTable")
	}
	head, _, _ := strings.Cut(string(page), "| reason | default |")
	head = strings.TrimSuffix(head, "POLICYTABLE\n")
	if err := os.WriteFile(path, []byte(head+policyTable()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ofCalendars(reason string) bool {
	_, ok := availabilityv1.ErrorReason_value["ERROR_REASON_"+reason]
	return ok
}

// The default of every reason is what docs/errors.md tells its readers, and no reason of sync is without one.
func TestDefaultsAreThoseOfErrorsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## sync\n")
	section, _, _ = strings.Cut(section, "\n## ")
	verbs := map[PolicyAction][]string{
		ActSkip: {"skip"}, ActStopLead: {"cancel every enrollment"}, ActStop: {"cancel"}, ActPause: {"pause", "park"},
		ActDefer: {"defer"}, ActRetry: {"retry"}, ActHold: {"hold"},
	}
	seen := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, " | ")
		if len(cells) < 6 || !strings.HasPrefix(line, "| [`") {
			continue
		}
		reason := strings.Split(cells[0], "`")[1]
		resolved, ok := (Layers{}).Resolve(reason)
		if !ok || ofCalendars(reason) {
			continue // never answered to a send
		}
		seen++
		says := cells[5]
		found := false
		for _, verb := range verbs[resolved.Rule.Action] {
			found = found || strings.Contains(says, verb)
		}
		if !found {
			t.Errorf("%s is %s here, and %q there", reason, resolved.Rule.Action, says)
		}
	}
	// Rules may be ready for a reason before sync gives it.
	given := 0
	for _, reason := range RefusalReasons() {
		if _, ok := syncv1.ErrorReason_value["ERROR_REASON_"+reason]; ok && !ofCalendars(reason) {
			given++
		}
	}
	if seen != given || given < 20 {
		t.Errorf("%d of %d reasons are on the page", seen, given)
	}
}
