package sync_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	stdsync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/rpctest"
	"github.com/relance/relance/platform/secretbox"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
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

// vault is a database with one OAuth connection, and keepers on it that stand for replicas.
type vault struct {
	*testing.T
	sim       *simulator.Simulator
	clock     *clock.Movable
	db        *pgtest.DB
	box       *secretbox.Box
	oauth     *ghl.OAuth
	workspace uuid.UUID
	warnings  atomic.Int64
}

// Write counts the warnings logged.
func (v *vault) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "cannot be refreshed") {
		v.warnings.Add(1)
	}
	return len(line), nil
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{T: t, clock: clock.NewMovable(time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)), db: pgtest.New(t, relancesync.Migrations()), workspace: uuid.New()}
	v.sim = simulator.New(simulator.Config{Now: v.clock.Now, AccessLife: time.Hour})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	url, err := v.sim.Start(ctx)
	t.Cleanup(func() { stop(); _ = v.sim.Close() })
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := secretbox.GenerateKeyset()
	if err == nil {
		v.box, err = secretbox.New(keyset)
	}
	if err == nil {
		v.oauth, err = ghl.NewOAuth(ghl.OAuthConfig{BaseURL: url, ClientID: "app-1", ClientSecret: "app-secret"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := v.sim.AddLocation(simulator.Location{ID: location, RefreshToken: "refresh-first"}); err != nil {
		t.Fatal(err)
	}
	v.seed()
	return v
}

func (v *vault) store() *store.Store {
	return store.New(store.Config{Pool: v.db.Pool(v.T, "sync"), Box: v.box, Clock: v.clock})
}

func (v *vault) keeper() *token.Keeper {
	return token.NewKeeper(token.Config{Store: v.store(), OAuth: v.oauth, Logger: slog.New(slog.NewTextHandler(v, nil))})
}

func (v *vault) seed() {
	v.exec(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'Acme', 'UTC', now(), now())`, v.workspace)
	err := v.store().Workspace(v.Context(), v.workspace, func(tx *store.Tx) error {
		p, err := token.Sealed(tx, v.workspace, provider.GHL, token.Tokens{Access: "access-dead", Refresh: "refresh-first"})
		if err != nil {
			return err
		}
		p.Location, p.App, p.Now = location, "app-1", tx.Now
		return tx.UpsertConnection(v.Context(), p)
	})
	if err != nil {
		v.Fatal(err)
	}
}

func (v *vault) exec(query string, args ...any) {
	v.Helper()
	(&rig{T: v.T, db: v.db}).exec(query, args...)
}

func (v *vault) tokenCalls() int { return (&rig{sim: v.sim}).tokenCalls() }

func (v *vault) account(k *token.Keeper) (provider.Account, sending.ConnectionState) {
	v.Helper()
	account, state, err := k.Account(v.Context(), v.workspace)
	if err != nil {
		v.Fatal(err)
	}
	return account, state
}

func TestOneRefreshHoweverManyReplicasAsk(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: tokenPath}, Kind: simulator.Latency, Delay: 200 * time.Millisecond})
	var wait stdsync.WaitGroup
	var tokens stdsync.Map
	for range 8 {
		keeper := v.keeper()
		for range 5 {
			wait.Go(func() {
				account, state, err := keeper.Account(t.Context(), v.workspace)
				if err != nil || state != sending.Connected {
					t.Errorf("account: %v, %v", state, err)
				}
				tokens.Store(account.Token.Reveal(), true)
			})
		}
	}
	wait.Wait()
	distinct := 0
	tokens.Range(func(any, any) bool { distinct++; return true })
	if got := v.tokenCalls(); got != 1 || distinct != 1 {
		t.Errorf("n=40 callers: token calls = %d, tokens = %d, want 1 and 1", got, distinct)
	}
	// The control: the next expiry is another refresh, with the token that came from the first.
	v.exec(`UPDATE connection SET access_expire_time = now()`)
	if _, state := v.account(v.keeper()); state != sending.Connected || v.tokenCalls() != 2 {
		t.Errorf("second refresh: %s, token calls %d", state, v.tokenCalls())
	}
}

func TestALostRefreshAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []simulator.FaultKind{simulator.AcceptThenReset, simulator.Status5xxAfterAccept, simulator.MalformedBody} {
		v := newVault(t)
		v.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: tokenPath}, Kind: kind, Times: 1})
		if account, state := v.account(v.keeper()); state != sending.Connected || account.Token.Reveal() == "access-dead" {
			t.Errorf("%s: %s", kind, state)
		}
		if got := v.tokenCalls(); got != 2 {
			t.Errorf("%s: token calls = %d, want 2", kind, got)
		}
	}
}

func TestAProviderInTroubleDoesNotEndTheGrant(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	fault := v.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: tokenPath}, Kind: simulator.Status5xxClean})
	if _, state, err := v.keeper().Account(t.Context(), v.workspace); err == nil || state != sending.Connected {
		t.Errorf("while the provider fails: %s, %v", state, err)
	}
	fault.Remove()
	v.exec(`UPDATE connection SET refresh_lease_until = NULL`)
	if _, state := v.account(v.keeper()); state != sending.Connected {
		t.Errorf("after it: %s", state)
	}
}

// TestACrashBetweenAnswerAndCommit spends the refresh token and forgets the answer, as a killed holder does.
func TestACrashBetweenAnswerAndCommit(t *testing.T) {
	t.Parallel()
	crash := func(v *vault) {
		v.exec(`UPDATE connection SET refresh_started_version = token_version, refresh_lease_until = now() - interval '1 second'`)
		if _, err := v.oauth.Refresh(t.Context(), "refresh-first"); err != nil {
			t.Fatal(err)
		}
	}
	v := newVault(t)
	crash(v)
	v.clock.Advance(20 * time.Second) // the lease, within the provider's grace
	if _, state := v.account(v.keeper()); state != sending.Connected {
		t.Errorf("within the grace: %s", state)
	}
	v = newVault(t)
	crash(v)
	v.clock.Advance(31 * time.Second) // too late: the old token is dead and the new one lost
	keeper := v.keeper()
	for range 3 {
		if _, state := v.account(keeper); state != sending.ReconnectNeeded {
			t.Errorf("after the grace: %s", state)
		}
	}
	if got := v.tokenCalls(); got != 2 {
		t.Errorf("token calls = %d, want the lost one and one more", got)
	}
	if got := v.warnings.Load(); got != 1 {
		t.Errorf("warnings = %d, want 1", got)
	}
}

func TestInstallAndUninstallEvents(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	var dropped, hastened, again bool
	err := v.store().System(t.Context(), func(tx *store.Tx) (err error) {
		if dropped, err = token.AppUninstalled(t.Context(), tx, location); err != nil {
			return err
		}
		if again, err = token.AppUninstalled(t.Context(), tx, location); err != nil {
			return err
		}
		_, err = tx.SetConnectionState(t.Context(), db.SetConnectionStateParams{State: "CONNECTED", Now: tx.Now, WorkspaceID: v.workspace})
		if err != nil {
			return err
		}
		hastened, err = token.AppInstalled(t.Context(), tx, location)
		return err
	})
	if err != nil || !dropped || again || hastened {
		t.Errorf("dropped %v, again %v, hastened %v, %v", dropped, again, hastened, err)
	}
	account, state := v.account(v.keeper())
	if state != sending.ReconnectNeeded || account.Token != "" || v.tokenCalls() != 0 {
		t.Errorf("state %s, token calls %d", state, v.tokenCalls())
	}
	v.exec(`UPDATE connection SET state = 'LOCATION_INACTIVE', check_time = now()`)
	err = v.store().System(t.Context(), func(tx *store.Tx) (err error) {
		hastened, err = token.AppInstalled(t.Context(), tx, location)
		return err
	})
	if err != nil || !hastened {
		t.Errorf("hastened %v, %v", hastened, err)
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
