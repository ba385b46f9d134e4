package sync_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

// mailer is a workspace that is connected to one email sender and to nothing else.
type mailer struct {
	tenant
	sender simulator.MailSender
	source syncv1.WebhookSource
}

func mailRig(t *testing.T) *rig {
	t.Helper()
	return newRig(t, func(cfg *relancesync.Config) {
		cfg.AllowLocalProviders = true
		cfg.SmartleadBaseURL, cfg.InstantlyBaseURL = cfg.GHLBaseURL+"/api/v1", cfg.GHLBaseURL
		cfg.SendCall = time.Second
	})
}

func (r *rig) mailer(sender simulator.MailSender, source syncv1.WebhookSource) mailer {
	r.Helper()
	if err := r.sim.AddMailAccount(simulator.MailAccount{Sender: sender, Key: "key-" + string(sender)}); err != nil {
		r.Fatal(err)
	}
	w, err := r.admin.CreateWorkspace(r.Context(), &syncv1.CreateWorkspaceRequest{
		Workspace: &syncv1.Workspace{DisplayName: "Acme", TimeZone: "America/New_York"}, RequestId: uuid.NewString(),
	})
	if err != nil {
		r.Fatal(err)
	}
	m := mailer{tenant{rig: r, name: w.GetWorkspace().GetName()}, sender, source}
	m.connect("key-" + string(sender))
	return m
}

func (m mailer) connect(key string) *syncv1.Connection {
	m.Helper()
	in := &syncv1.Connection{Provider: string(m.sender), Token: key}
	if m.sender == simulator.EmailBison {
		in.BaseUrl = m.provider.URL
	}
	out, err := m.admin.SetConnection(m.Context(), &syncv1.SetConnectionRequest{Parent: m.name, Connection: in})
	if err != nil {
		m.Fatal(err)
	}
	return out.GetConnection()
}

// wrote lets a lead answer the campaign and gives its name.
func (m mailer) wrote(email string) string {
	m.Helper()
	hook, err := m.sim.AddMailReply(m.sender, email, "Tell me more")
	if err != nil {
		m.Fatal(err)
	}
	if _, err := m.hand(&syncv1.AcceptWebhookRequest{Source: m.source, Body: hook.Raw()}); err != nil {
		m.Fatal(err)
	}
	m.settled()
	return m.leadByEmail(email).GetName()
}

func answer(lead string) *syncv1.SendMessageRequest {
	return &syncv1.SendMessageRequest{
		Lead: lead, Channel: syncv1.Channel_CHANNEL_EMAIL, Subject: "Re: An idea", Html: "<p>Gladly</p>", RequestId: uuid.NewString(),
	}
}

func (m mailer) state(name string) *syncv1.Message {
	m.Helper()
	out, err := m.admin.GetMessage(m.Context(), &syncv1.GetMessageRequest{Name: name})
	if err != nil {
		m.Fatal(err)
	}
	return out.GetMessage()
}

func eachMailer(t *testing.T, check func(mailer)) {
	r := mailRig(t)
	for sender, source := range map[simulator.MailSender]syncv1.WebhookSource{
		simulator.EmailBison: emailBison, simulator.Smartlead: smartlead, simulator.Instantly: instantly,
	} {
		t.Run(string(sender), func(t *testing.T) {
			inner := *r
			inner.T = t
			check(inner.mailer(sender, source))
		})
	}
}

// TestMailAnswerLost: the sender takes the answer and says nothing. The outcome is unknown, and reading the thread back
// settles it: one email in the ledger, accepted under the sender's id.
func TestMailAnswerLost(t *testing.T) {
	t.Parallel()
	eachMailer(t, func(m mailer) {
		lead := m.wrote("lead@example.com")
		fault := m.sim.AddFault(simulator.Fault{Match: simulator.MailSends(m.sender), Kind: simulator.AcceptThenReset, Times: 1})
		out, err := m.followups.SendMessage(m.Context(), answer(lead))
		if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_UNKNOWN || fault.Hits() != 1 {
			m.Fatalf("%v, %v, hits %d", out, err, fault.Hits())
		}
		name := out.GetMessage().GetName()
		m.eventually("settled", func() bool { return m.state(name).GetState() == syncv1.MessageState_MESSAGE_STATE_ACCEPTED })
		taken := m.sim.Accepted(simulator.Filter{Location: string(m.sender)})
		got := m.state(name)
		if len(taken) != 1 || got.GetProviderMessageId() != taken[0].MessageID || got.GetProvider() != string(m.sender) || got.GetReplyTo() == "" {
			m.Errorf("%d in the ledger, message %v", len(taken), got)
		}
		m.eventually("outcome told", func() bool {
			events := m.events.of(lead)
			return len(events) > 0 && events[len(events)-1] == followupsv1.LeadEventType_LEAD_EVENT_TYPE_MESSAGE_SETTLED
		})
	})
}

// TestMailAnswered: an answer leaves through the sender that brought the lead, once however often it is asked for.
func TestMailAnswered(t *testing.T) {
	t.Parallel()
	eachMailer(t, func(m mailer) {
		req := answer(m.wrote("lead@example.com"))
		var name string
		for range 2 {
			out, err := m.followups.SendMessage(m.Context(), req)
			if err != nil {
				m.Fatal(err)
			}
			name = out.GetMessage().GetName()
			// Smartlead names no id of what it takes: until the thread shows it, nobody says that it left.
			if m.sender != simulator.Smartlead && out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
				m.Errorf("state = %s", out.GetMessage().GetState())
			}
		}
		m.eventually("accepted", func() bool { return m.state(name).GetState() == syncv1.MessageState_MESSAGE_STATE_ACCEPTED })
		if taken := m.sim.Accepted(simulator.Filter{Location: string(m.sender)}); len(taken) != 1 {
			m.Errorf("%d in the ledger", len(taken))
		}
		other := answer(req.GetLead())
		other.RequestId, other.ReplyTo = req.GetRequestId(), name
		_, err := m.followups.SendMessage(m.Context(), other)
		rpctest.RequireError(m.T, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
	})
}

// TestMailUnsubscribed: the sender's "unsubscribed" is an opt-out, kept and told once, and never asked again.
func TestMailUnsubscribed(t *testing.T) {
	t.Parallel()
	eachMailer(t, func(m mailer) {
		lead := m.wrote("lead@example.com")
		if err := m.sim.UnsubscribeMail(m.sender, "lead@example.com"); err != nil {
			m.Fatal(err)
		}
		for range 2 {
			_, err := m.followups.SendMessage(m.Context(), answer(lead))
			rpctest.RequireError(m.T, err, codes.FailedPrecondition, "OPTED_OUT")
		}
		if posts := m.sim.Sends(simulator.Filter{Location: string(m.sender)}); len(posts) != 1 {
			m.Errorf("%d POSTs, want 1", len(posts))
		}
		if status, source := m.emailStatus("lead@example.com"); status != syncv1.ChannelStatus_CHANNEL_STATUS_OPTED_OUT || source != "provider_refusal" {
			m.Errorf("email is %s by %s", status, source)
		}
		m.eventually("opt-out told", func() bool {
			events := m.events.of(lead)
			return len(events) > 0 && events[len(events)-1] == followupsv1.LeadEventType_LEAD_EVENT_TYPE_OPTED_OUT
		})
	})
}

// TestMailNothingToAnswer: without an email of the lead nothing is asked of the sender; one that the sender lost is asked
// for once.
func TestMailNothingToAnswer(t *testing.T) {
	t.Parallel()
	eachMailer(t, func(m mailer) {
		silent, err := m.admin.UpsertLead(m.Context(), &syncv1.UpsertLeadRequest{Parent: m.name, Lead: &syncv1.Lead{Email: "silent@example.com"}})
		if err != nil {
			m.Fatal(err)
		}
		_, err = m.followups.SendMessage(m.Context(), answer(silent.GetLead().GetName()))
		rpctest.RequireError(m.T, err, codes.FailedPrecondition, "NO_REPLY_TARGET")
		if posts := m.sim.Sends(simulator.Filter{Location: string(m.sender)}); len(posts) != 0 {
			m.Errorf("%d POSTs, want none", len(posts))
		}
		req := answer(m.wrote("lead@example.com"))
		if err := m.sim.ForgetMailReplies(m.sender, "lead@example.com"); err != nil {
			m.Fatal(err)
		}
		for range 2 {
			_, err = m.followups.SendMessage(m.Context(), req)
			rpctest.RequireError(m.T, err, codes.FailedPrecondition, "NO_REPLY_TARGET")
		}
		if posts := m.sim.Sends(simulator.Filter{Location: string(m.sender)}); len(posts) != 1 {
			m.Errorf("%d POSTs, want 1", len(posts))
		}
	})
}

// TestMailKeyRefused: a dead key suspends this connection only, uses no attempt, and a new key lets the answer leave.
func TestMailKeyRefused(t *testing.T) {
	t.Parallel()
	eachMailer(t, func(m mailer) {
		req := answer(m.wrote("lead@example.com"))
		if err := m.sim.AddMailAccount(simulator.MailAccount{Sender: m.sender, Key: "another-key"}); err != nil {
			m.Fatal(err)
		}
		_, err := m.followups.SendMessage(m.Context(), req)
		if e := rpctest.RequireError(m.T, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED"); e.Metadata["provider"] != string(m.sender) {
			m.Errorf("metadata = %v", e.Metadata)
		}
		health := &syncv1.GetConnectionHealthRequest{Parent: m.name, Provider: string(m.sender)}
		got, err := m.admin.GetConnectionHealth(m.Context(), health)
		if err != nil || got.GetConnection().GetState() != syncv1.ConnectionState_CONNECTION_STATE_AUTH_REVOKED {
			m.Errorf("health = %v, %v", got, err)
		}
		if got := m.connect("another-key"); got.GetState() != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED {
			m.Errorf("connection = %v", got)
		}
		health.Probe = true
		if got, err = m.admin.GetConnectionHealth(m.Context(), health); err != nil || got.GetConnection().GetLastSuccessTime() == nil {
			m.Errorf("health = %v, %v", got, err)
		}
		m.clock.Advance(time.Hour)
		m.eventually("sent", func() bool {
			out, err := m.followups.SendMessage(m.Context(), req)
			return err == nil && out.GetMessage().GetState() == syncv1.MessageState_MESSAGE_STATE_ACCEPTED
		})
		if taken := m.sim.Accepted(simulator.Filter{Location: string(m.sender)}); len(taken) != 1 {
			m.Errorf("%d in the ledger", len(taken))
		}
	})
}
