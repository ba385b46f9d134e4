package sync_test

import (
	"fmt"
	"net/http"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const company = "companyAcme0000001"

// agency is an agency with locations and a workspace for each.
type agency struct {
	*rig
	workspaces []tenant
}

func newAgency(t *testing.T, locations ...string) *agency {
	t.Helper()
	a := &agency{rig: newRig(t, withApp)}
	for _, l := range locations {
		if err := a.sim.AddLocation(simulator.Location{ID: l, CompanyID: company}); err != nil {
			t.Fatal(err)
		}
		w, err := a.admin.CreateWorkspace(t.Context(), &syncv1.CreateWorkspaceRequest{
			Workspace: &syncv1.Workspace{DisplayName: l, TimeZone: "America/New_York"}, RequestId: uuid.NewString(),
		})
		if err != nil {
			t.Fatal(err)
		}
		a.workspaces = append(a.workspaces, tenant{rig: a.rig, name: w.GetWorkspace().GetName(), location: l})
	}
	return a
}

func (a *agency) code() string {
	a.Helper()
	code, err := a.sim.IssueAgencyCode(company)
	if err != nil {
		a.Fatal(err)
	}
	return code
}

func (w tenant) connect(c *syncv1.Connection) (*syncv1.Connection, error) {
	out, err := w.admin.SetConnection(w.Context(), &syncv1.SetConnectionRequest{Parent: w.name, Connection: c})
	return out.GetConnection(), err
}

func (r *rig) mints() int {
	return len(r.sim.Requests(simulator.Filter{Method: http.MethodPost, Path: "/oauth/locationToken"}))
}

func TestAnAgencyOpensItsLocations(t *testing.T) {
	t.Parallel()
	a := newAgency(t, "locationAcme0000001", "locationAcme0000002")
	first, second := a.workspaces[0], a.workspaces[1]
	// Unknown so far; then made known by its code, which names no location.
	_, err := first.connect(&syncv1.Connection{Location: first.location, Agency: company})
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED"); e.Metadata["cause"] != "unknown_agency" {
		t.Errorf("metadata %v", e.Metadata)
	}
	_, err = first.connect(&syncv1.Connection{OauthCode: a.code()})
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED"); e.Metadata["cause"] != "agency_token" || e.Metadata["agency"] != company {
		t.Errorf("metadata %v", e.Metadata)
	}
	for _, w := range a.workspaces {
		c, err := w.connect(&syncv1.Connection{Location: w.location, Agency: company})
		if err != nil || c.GetAuth() != syncv1.ConnectionAuth_CONNECTION_AUTH_AGENCY || c.GetAgency() != company || c.GetToken() != "" {
			t.Fatalf("%v %v", c, err)
		}
		lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
		if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
			t.Fatal(err)
		}
		if n := len(a.sim.Accepted(simulator.Filter{Contact: contact.ID})); n != 1 {
			t.Errorf("%s: %d accepted", w.location, n)
		}
	}
	if a.tokenCalls() != 1 || a.mints() != 2 {
		t.Errorf("token calls %d, minted %d", a.tokenCalls(), a.mints())
	}
	// A location of nobody is refused, and the workspace keeps what it has.
	_, err = second.connect(&syncv1.Connection{Location: "locationOther000001", Agency: company})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED")
	if second.state() != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED {
		t.Errorf("state %s", second.state())
	}
	// Workspaces do not see the agency's credentials; the control is the system.
	seen := -1
	err = postgres.InWorkspace(t.Context(), a.db.Pool(t, "sync"), strings.TrimPrefix(first.name, "workspaces/"), func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*) FROM agency`).Scan(&seen)
	})
	if err != nil || seen != 0 || a.count(`SELECT count(*) FROM agency`) != 1 {
		t.Errorf("a workspace sees %d agencies, %v", seen, err)
	}
}

// Location tokens end each day, the agency's too: many callers, one refresh of the agency and one new token of the location.
func TestAgencyTokensRotate(t *testing.T) {
	t.Parallel()
	a := newAgency(t, "locationAcme0000001")
	w := a.workspaces[0]
	if _, err := w.connect(&syncv1.Connection{Location: w.location, OauthCode: a.code()}); err != nil {
		t.Fatal(err)
	}
	a.exec(`UPDATE connection SET access_expire_time = now()`)
	a.exec(`UPDATE agency SET access_expire_time = now()`)
	a.sim.ExpireTokens(w.location)
	a.sim.ExpireAgencyTokens(company)
	before, minted := a.tokenCalls(), a.mints()
	var group stdsync.WaitGroup
	for i := range 12 {
		lead, _ := w.lead(simulator.Contact{Phone: fmt.Sprintf("+1202555%04d", i)})
		group.Go(func() {
			if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got, made := a.tokenCalls()-before, a.mints()-minted; got != 1 || made != 1 {
		t.Errorf("%d refreshes of the agency, %d tokens minted, want 1 and 1", got, made)
	}
	// The provider ends the agency's token early: it is refreshed when a mint is refused for it.
	a.exec(`UPDATE connection SET access_expire_time = now()`)
	a.exec(`UPDATE agency SET refresh_time = now() - interval '1 hour'`)
	a.sim.ExpireAgencyTokens(company)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550150"})
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil || a.tokenCalls()-before != 2 {
		t.Errorf("%v, %d refreshes", err, a.tokenCalls()-before)
	}
}

func TestAgencyStates(t *testing.T) {
	t.Parallel()
	a := newAgency(t, "locationAcme0000001", "locationAcme0000002")
	if _, err := a.workspaces[0].connect(&syncv1.Connection{Location: a.workspaces[0].location, OauthCode: a.code()}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.workspaces[1].connect(&syncv1.Connection{Location: a.workspaces[1].location, Agency: company}); err != nil {
		t.Fatal(err)
	}
	w := a.workspaces[0]
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	end := func() { a.exec(`UPDATE connection SET access_expire_time = now()`) }

	// Paused: no token until it is active.
	if err := a.sim.SetLocationActive(w.location, false); err != nil {
		t.Fatal(err)
	}
	end()
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LOCATION_INACTIVE")
	if err := a.sim.SetLocationActive(w.location, true); err != nil {
		t.Fatal(err)
	}
	a.exec(`UPDATE connection SET check_time = now() - interval '16 minutes', refresh_lease_until = NULL`)
	a.eventually("the location works again", func() bool { return w.state() == syncv1.ConnectionState_CONNECTION_STATE_CONNECTED })

	// The app leaves one location: that one needs a person, the other works on.
	a.sim.Uninstall(w.location)
	end()
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED"); e.Metadata["cause"] != "reconnect_needed" {
		t.Errorf("metadata %v", e.Metadata)
	}
	other, _ := a.workspaces[1].lead(simulator.Contact{Phone: "+12025550124"})
	if _, err := a.workspaces[1].followups.SendMessage(t.Context(), sms(other, "Hello")); err != nil {
		t.Errorf("the other location: %v", err)
	}

	// The agency removes the app: its grant is dead for all, asked for once.
	a.sim.UninstallAgency(company)
	a.exec(`UPDATE agency SET access_expire_time = now()`)
	end()
	before := a.tokenCalls()
	for range 3 {
		_, err = a.workspaces[1].followups.SendMessage(t.Context(), sms(other, "Hello again"))
		rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED")
	}
	if got := a.tokenCalls() - before; got != 1 || a.workspaces[1].state() != syncv1.ConnectionState_CONNECTION_STATE_RECONNECT_NEEDED {
		t.Errorf("%d refreshes, state %s", got, a.workspaces[1].state())
	}
	// The app comes back to the location that it left: its event is enough, no code is needed.
	if _, err := w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{Parent: w.name, Connection: &syncv1.Connection{OauthCode: a.code()}}); err == nil {
		t.Error("a code of the agency without a location was taken")
	}
	a.sim.Reinstall(w.location)
	raw := fmt.Sprintf(`{"type":"INSTALL","appId":"app-1","companyId":%q,"locationId":%q,"timestamp":%q,"webhookId":"install-1"}`,
		company, w.location, a.clock.Now().UTC().Format(time.RFC3339Nano))
	if _, err := a.marketplace([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	a.eventually("the location works again", func() bool { return w.state() == syncv1.ConnectionState_CONNECTION_STATE_CONNECTED })
	a.clock.Advance(time.Hour)
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Back")); err != nil {
		t.Error(err)
	}
	// A new install of the agency brings each back that is connected again.
	if _, err := a.workspaces[1].connect(&syncv1.Connection{Location: a.workspaces[1].location, OauthCode: a.code()}); err != nil {
		t.Fatal(err)
	}
	a.clock.Advance(time.Minute)
	if _, err := a.workspaces[1].followups.SendMessage(t.Context(), sms(other, "Hello once more")); err != nil {
		t.Error(err)
	}
}
