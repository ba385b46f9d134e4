package sync_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// TestMailReplyToNamed: a send answers the message that it names, not the newest; another lead's message is none.
func TestMailReplyToNamed(t *testing.T) {
	t.Parallel()
	m := mailRig(t).mailer(simulator.Instantly, instantly)
	lead := m.wrote("lead@example.com")
	first := m.inbound(lead)[0]
	m.clock.Advance(time.Minute)
	m.wrote("lead@example.com")
	both := m.inbound(lead)
	if len(both) != 2 {
		t.Fatalf("emails = %v", both)
	}
	second := both[slices.IndexFunc(both, func(name string) bool { return name != first })]
	other := m.inbound(m.wrote("other@example.com"))[0]
	for named, want := range map[string]string{first: first, "": second} {
		req := answer(lead)
		req.ReplyTo = named
		out, err := m.followups.SendMessage(m.Context(), req)
		if err != nil || out.GetMessage().GetReplyTo() != want {
			t.Errorf("reply to %q: %v, %v, want %s", named, out, err, want)
		}
	}
	req := answer(lead)
	req.ReplyTo = other
	_, err := m.followups.SendMessage(m.Context(), req)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "NO_REPLY_TARGET")
	if posts := m.sim.Sends(simulator.Filter{Location: string(m.sender)}); len(posts) != 2 {
		t.Errorf("%d POSTs, want 2", len(posts))
	}
}

// inbound names the emails that a lead wrote.
func (m mailer) inbound(lead string) (names []string) {
	m.Helper()
	list, err := m.admin.ListMessages(m.Context(), &syncv1.ListMessagesRequest{Parent: lead})
	if err != nil {
		m.Fatal(err)
	}
	for _, one := range list.GetMessages() {
		if one.GetDirection() == syncv1.Direction_DIRECTION_INBOUND {
			names = append(names, one.GetName())
		}
	}
	return names
}

// TestMailConnectionViolations: all that is wrong with a connection is said at once.
func TestMailConnectionViolations(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	const token = "key-0123456789"
	for name, c := range map[string]struct {
		in   *syncv1.Connection
		want []string
	}{
		"everything": {
			&syncv1.Connection{Provider: "smartlead", Token: "short", Location: "x", OauthCode: "x", RefreshToken: "x", BaseUrl: "https://a.example"},
			[]string{"base_url", "location", "oauth_code", "refresh_token", "token"},
		},
		"no host":    {&syncv1.Connection{Provider: "emailbison"}, []string{"base_url", "token"}},
		"plain http": {&syncv1.Connection{Provider: "emailbison", Token: token, BaseUrl: "http://a.example"}, []string{"base_url"}},
		"a port":     {&syncv1.Connection{Provider: "emailbison", Token: token, BaseUrl: "https://a.example:8443"}, []string{"base_url"}},
		"a path":     {&syncv1.Connection{Provider: "emailbison", Token: token, BaseUrl: "https://a.example/api"}, []string{"base_url"}},
		"a user":     {&syncv1.Connection{Provider: "emailbison", Token: token, BaseUrl: "https://u:p@a.example"}, []string{"base_url"}},
	} {
		_, err := w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{Parent: w.name, Connection: c.in})
		var got []string
		for _, v := range rpctest.RequireError(t, err, codes.InvalidArgument, "").Violations {
			got = append(got, strings.TrimPrefix(v.Field, "connection."))
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	good := &syncv1.Connection{Provider: "emailbison", Token: token, BaseUrl: "https://a.example"}
	if _, err := w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{Parent: w.name, Connection: good}); err != nil {
		t.Errorf("control: %v", err)
	}
}
