package sync_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

const tokenPath = "/oauth/token"

func withApp(c *relancesync.Config) {
	c.GHLClientID, c.GHLClientSecret = "app-1", config.Secret{Secret: redact.Secret("app-secret")}
}

// install makes a workspace that is connected by OAuth.
func (r *rig) install() tenant {
	r.Helper()
	if err := r.sim.AddLocation(simulator.Location{ID: location}); err != nil {
		r.Fatal(err)
	}
	w, err := r.admin.CreateWorkspace(r.Context(), &syncv1.CreateWorkspaceRequest{
		Workspace: &syncv1.Workspace{DisplayName: "Acme", TimeZone: "America/New_York"}, RequestId: uuid.NewString(),
	})
	if err != nil {
		r.Fatal(err)
	}
	code, err := r.sim.IssueCode(location)
	if err != nil {
		r.Fatal(err)
	}
	out, err := r.admin.SetConnection(r.Context(), &syncv1.SetConnectionRequest{
		Parent: w.GetWorkspace().GetName(), Connection: &syncv1.Connection{OauthCode: code},
	})
	if err != nil {
		r.Fatal(err)
	}
	c := out.GetConnection()
	if c.GetLocation() != location || c.GetAuth() != syncv1.ConnectionAuth_CONNECTION_AUTH_OAUTH || c.GetToken()+c.GetRefreshToken()+c.GetOauthCode() != "" {
		r.Errorf("connection = %v", c)
	}
	return tenant{rig: r, name: w.GetWorkspace().GetName(), location: location}
}

func (r *rig) tokenCalls() int {
	return len(r.sim.Requests(simulator.Filter{Method: http.MethodPost, Path: tokenPath}))
}

func (w tenant) state() syncv1.ConnectionState {
	w.Helper()
	out, err := w.admin.GetConnectionHealth(w.Context(), &syncv1.GetConnectionHealthRequest{Parent: w.name})
	if err != nil {
		w.Fatal(err)
	}
	return out.GetConnection().GetState()
}

func TestExpiredAccessTokenIsRefreshedAndTheSendLeavesOnce(t *testing.T) {
	t.Parallel()
	w := newRig(t, withApp).install()
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Before")); err != nil {
		t.Fatal(err)
	}
	w.sim.ExpireTokens(location)
	request := sms(lead, "After")
	_, err := w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.Unavailable, "PROVIDER_UNAVAILABLE")
	w.clock.Advance(2 * time.Second)
	out, err := w.followups.SendMessage(t.Context(), request)
	if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Fatalf("after the refresh: %v, %v", out, err)
	}
	if got := w.tokenCalls(); got != 2 {
		t.Errorf("token calls = %d, want the exchange and one refresh", got)
	}
	if got := len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})); got != 2 {
		t.Errorf("accepted = %d, want 2", got)
	}
	if n := w.count(`SELECT count(*) FROM send_intent WHERE failures > 0`); n != 0 || w.state() != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED {
		t.Errorf("sends that used an attempt = %d, state %s", n, w.state())
	}
	// A read meets the same and refreshes by itself.
	w.exec(`UPDATE connection SET refresh_time = now() - interval '1 hour'`)
	w.sim.ExpireTokens(location)
	health, err := w.admin.GetConnectionHealth(t.Context(), &syncv1.GetConnectionHealthRequest{Parent: w.name, Probe: true})
	if err != nil || health.GetConnection().GetState() != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED || w.tokenCalls() != 3 {
		t.Errorf("probe = %v, %v; token calls %d", health, err, w.tokenCalls())
	}
	if health.GetBudget().GetLimit() == 0 {
		t.Errorf("budget = %v", health.GetBudget())
	}
}

func TestOnlyTheExpiredTokenAnswerRefreshes(t *testing.T) {
	t.Parallel()
	w := newRig(t, withApp).install()
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	w.sim.RestrictTokens(location, true) // "The token is not authorized for this scope."
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED")
	if got := w.tokenCalls(); got != 1 {
		t.Errorf("token calls = %d, want the exchange only", got)
	}
	if got := w.state(); got != syncv1.ConnectionState_CONNECTION_STATE_AUTH_REVOKED {
		t.Errorf("state = %s", got)
	}
}

func TestDeadGrantNeedsAPerson(t *testing.T) {
	t.Parallel()
	w := newRig(t, withApp).install()
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	w.sim.Uninstall(location)
	w.exec(`UPDATE connection SET access_expire_time = now()`)
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED"); e.Metadata["cause"] != "reconnect_needed" {
		t.Errorf("metadata = %v", e.Metadata)
	}
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello again"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED")
	if got, posts := w.tokenCalls(), len(w.sim.Sends(simulator.Filter{})); got != 2 || posts != 0 {
		t.Errorf("token calls = %d, want 2; POSTs = %d, want 0", got, posts)
	}
	if got := w.state(); got != syncv1.ConnectionState_CONNECTION_STATE_RECONNECT_NEEDED {
		t.Errorf("state = %s", got)
	}
	code, err := w.sim.IssueCode(location)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(code string) error {
		_, err := w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{Parent: w.name, Connection: &syncv1.Connection{OauthCode: code}})
		return err
	}
	if e := rpctest.RequireError(t, connect("code-that-is-not-one"), codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED"); e.Metadata["cause"] != "refused" {
		t.Errorf("metadata = %v", e.Metadata)
	}
	if err := connect(code); err != nil {
		t.Fatal(err)
	}
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Reconnected")); err != nil {
		t.Errorf("after reconnecting: %v", err)
	}
}

func TestPausedLocationComesBackByItself(t *testing.T) {
	t.Parallel()
	w := newRig(t, withApp).install()
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
	if err := w.sim.SetLocationActive(location, false); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE connection SET access_expire_time = now()`)
	request := sms(lead, "Hello")
	_, err := w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LOCATION_INACTIVE")
	if got := w.state(); got != syncv1.ConnectionState_CONNECTION_STATE_LOCATION_INACTIVE {
		t.Errorf("state = %s", got)
	}
	if err := w.sim.SetLocationActive(location, true); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE connection SET check_time = now() - interval '16 minutes', refresh_lease_until = NULL`)
	w.eventually("the connection works again", func() bool { return w.state() == syncv1.ConnectionState_CONNECTION_STATE_CONNECTED })
	w.clock.Advance(time.Hour)
	if out, err := w.followups.SendMessage(t.Context(), request); err != nil {
		t.Errorf("after the pause: %v, %v", out, err)
	}
	if got := len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})); got != 1 {
		t.Errorf("accepted = %d", got)
	}
}

func TestSetConnectionNamesEveryMistake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
		Parent: "w", Connection: &syncv1.Connection{Location: "x", Token: "pit-0123456789", OauthCode: "code-0123456789"},
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 4 {
		t.Errorf("violations = %+v", e.Violations)
	}
	_, err = r.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
		Parent: "workspaces/" + uuid.NewString(), Connection: &syncv1.Connection{Provider: "other", Location: location, Token: "short"},
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Errorf("violations = %+v", e.Violations)
	}
}

// The app's events come signed and in any order: what counts is what the provider says after them.
func TestInstallEventsAreLookedInto(t *testing.T) {
	t.Parallel()
	w := newRig(t, withApp).install()
	event := func(kind string) {
		t.Helper()
		raw := fmt.Sprintf(`{"type":%q,"appId":"app-1","companyId":"companyAcme0000001","locationId":%q,"timestamp":%q,"webhookId":%q}`,
			kind, location, w.clock.Now().UTC().Format(time.RFC3339Nano), uuid.NewString())
		if _, err := w.marketplace([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		w.settled()
		if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PARKED'`); n != 0 {
			t.Fatalf("%s was parked", kind)
		}
	}
	event("UNINSTALL") // an old one, after a newer install: the tokens work, and stay
	if got := w.state(); got != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED {
		t.Errorf("after a stale event: %s", got)
	}
	w.sim.Uninstall(location)
	event("UNINSTALL")
	if got := w.state(); got != syncv1.ConnectionState_CONNECTION_STATE_RECONNECT_NEEDED {
		t.Errorf("after the app left: %s", got)
	}
	event("INSTALL") // brings no token
	if got := w.state(); got != syncv1.ConnectionState_CONNECTION_STATE_RECONNECT_NEEDED {
		t.Errorf("after an install without its code: %s", got)
	}
}
