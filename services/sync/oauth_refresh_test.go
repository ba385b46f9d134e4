package sync_test

import (
	"context"
	"log/slog"
	"strings"
	stdsync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/secretbox"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/simulator"
)

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
		if _, err := v.oauth.Refresh(t.Context(), "refresh-first", false); err != nil {
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
