package sync_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// TestMailSentWebhookSettles: while the sender cannot be read, its webhook of the sent email settles an unknown outcome; one
// with another's marker does not.
func TestMailSentWebhookSettles(t *testing.T) {
	t.Parallel()
	m := mailRig(t).mailer(simulator.EmailBison, emailBison)
	lead := m.wrote("lead@example.com")
	m.sim.AddFault(simulator.Fault{Match: simulator.MailSends(m.sender), Kind: simulator.AcceptThenReset, Times: 1})
	unread := m.sim.AddFault(simulator.Fault{Match: simulator.Match{Method: http.MethodGet, Path: "/api/replies"}, Kind: simulator.Status5xxClean, Status: 500})
	out, err := m.followups.SendMessage(m.Context(), answer(lead))
	if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_UNKNOWN {
		t.Fatalf("%v, %v", out, err)
	}
	name := out.GetMessage().GetName()
	id := name[strings.LastIndex(name, "/")+1:]
	m.eventually("a look that failed", func() bool { return unread.Hits() > 0 })
	for n, marker := range []string{"00000000-0000-4000-8000-000000000000", id} {
		got, err := m.hand(&syncv1.AcceptWebhookRequest{Source: m.source, Body: senderSample(t, "emailbison.EMAIL_SENT", map[string]any{
			"data.lead.email": "lead@example.com", "data.scheduled_email.id": 900 + n, "data.campaign_event.id": 900 + n, "data.scheduled_email.sent_at": m.clock.Now().Format(time.RFC3339),
			"data.scheduled_email.email_body": `<p>Gladly</p><span id="rl-` + marker + `"></span>`,
		})})
		if err != nil || got.GetDuplicate() {
			t.Fatalf("%v, %v", got, err)
		}
		m.settled()
		want := []syncv1.MessageState{syncv1.MessageState_MESSAGE_STATE_UNKNOWN, syncv1.MessageState_MESSAGE_STATE_ACCEPTED}[n]
		if got := m.state(name).GetState(); got != want {
			t.Errorf("webhook %d: %s, want %s", n, got, want)
		}
	}
	if taken := m.sim.Accepted(simulator.Filter{Location: string(m.sender)}); len(taken) != 1 {
		t.Errorf("%d in the ledger", len(taken))
	}
}
