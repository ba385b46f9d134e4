package sync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// uninstalled hands in the marketplace's webhook of an uninstall of the whole agency, which names no location.
func (a *agency) uninstalled(of, id string) *syncv1.AcceptWebhookResponse {
	a.Helper()
	raw := fmt.Sprintf(`{"type":"UNINSTALL","appId":"app-1","companyId":%q,"timestamp":%q,"webhookId":%q}`,
		of, a.clock.Now().UTC().Format(time.RFC3339Nano), id)
	out, err := a.marketplace([]byte(raw))
	if err != nil {
		a.Fatal(err)
	}
	return out
}

// TestAnUninstallOfTheAgencyReachesEveryLocation: each is looked at, and what the provider says of it counts. One that is connected
// by a token of its own works on.
func TestAnUninstallOfTheAgencyReachesEveryLocation(t *testing.T) {
	t.Parallel()
	a := newAgency(t, "locationAcme0000001", "locationAcme0000002")
	first, second := a.workspaces[0], a.workspaces[1]
	_, _ = first.connect(&syncv1.Connection{OauthCode: a.code()}) // makes the agency known; it names no location
	for _, w := range a.workspaces {
		if _, err := w.connect(&syncv1.Connection{Location: w.location, Agency: company}); err != nil {
			t.Fatal(err)
		}
	}
	own := a.tenant("locationOwn00000001")
	const connected, lost = syncv1.ConnectionState_CONNECTION_STATE_CONNECTED, syncv1.ConnectionState_CONNECTION_STATE_RECONNECT_NEEDED
	states := func() [3]syncv1.ConnectionState {
		return [3]syncv1.ConnectionState{first.state(), second.state(), own.state()}
	}
	looked := func() {
		a.eventually("looked at", func() bool { return a.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PENDING'`) == 0 })
	}

	// An old event, after a newer install: the tokens work, and stay.
	if out := a.uninstalled(company, "uninstall-1"); out.GetState() != syncv1.WebhookState_WEBHOOK_STATE_PROCESSED {
		t.Errorf("accepted as %s", out.GetState())
	}
	looked()
	if got := states(); got != [3]syncv1.ConnectionState{connected, connected, connected} {
		t.Errorf("after a stale event: %v", got)
	}
	// The real one; delivered twice it is stored once.
	a.sim.UninstallAgency(company)
	a.uninstalled(company, "uninstall-2")
	if out := a.uninstalled(company, "uninstall-2"); !out.GetDuplicate() {
		t.Error("the second delivery is no repeat")
	}
	looked()
	if got := states(); got != [3]syncv1.ConnectionState{lost, lost, connected} {
		t.Errorf("after the app left: %v", got)
	}
	if n := a.count(`SELECT count(*) FROM webhook_inbox WHERE event_type = 'UNINSTALL'`); n != 6 {
		t.Errorf("%d stored, want two events with two locations each", n)
	}
	// Of a company that opens nothing here.
	if out := a.uninstalled("companyOther000001", "uninstall-3"); out.GetState() != syncv1.WebhookState_WEBHOOK_STATE_UNROUTED {
		t.Errorf("of another company: %s", out.GetState())
	}
}

// TestAnUninstallOfALargeAgency: its thousand locations are stored in pages, a statement and a commit each, and once.
func TestAnUninstallOfALargeAgency(t *testing.T) {
	t.Parallel()
	a := newAgency(t, "locationAcme0000001")
	w := a.workspaces[0]
	_, _ = w.connect(&syncv1.Connection{OauthCode: a.code()})
	if _, err := w.connect(&syncv1.Connection{Location: w.location, Agency: company}); err != nil {
		t.Fatal(err)
	}
	const more = 999
	for _, table := range []struct{ name, key, change string }{
		{"workspace", "id", `'id', md5('w' || n)::uuid, 'request_id', NULL`},
		{"connection", "workspace_id", `'workspace_id', md5('w' || n)::uuid, 'location', 'locationLarge' || lpad(n::text, 6, '0')`},
	} {
		a.exec(`INSERT INTO `+table.name+` SELECT (jsonb_populate_record(c, jsonb_build_object(`+table.change+`))).*
			FROM `+table.name+` c, generate_series(1, $1::integer) n WHERE c.`+table.key+` = $2::uuid`, more, w.name[len("workspaces/"):])
	}
	conn, err := pgx.Connect(t.Context(), a.db.AdminDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `SET search_path = sync;
		CREATE TABLE insertion (seq bigint GENERATED ALWAYS AS IDENTITY, tx xid8, stored bigint);
		CREATE FUNCTION count_insertion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = sync AS $$
		BEGIN INSERT INTO insertion (tx, stored) SELECT pg_current_xact_id(), count(*) FROM fresh; RETURN NULL; END $$;
		CREATE TRIGGER count_insertion AFTER INSERT ON webhook_inbox REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION count_insertion();`)
	if err != nil {
		t.Fatal(err)
	}
	if out := a.uninstalled(company, "uninstall-1"); out.GetState() != syncv1.WebhookState_WEBHOOK_STATE_PROCESSED {
		t.Errorf("accepted as %s", out.GetState())
	}
	if out := a.uninstalled(company, "uninstall-1"); !out.GetDuplicate() {
		t.Error("the second delivery is no repeat")
	}
	if n := a.count(`SELECT count(*) FROM webhook_inbox WHERE event_type = 'UNINSTALL'`); n != more+2 {
		t.Errorf("%d stored, want each location and the event", n)
	}
	var statements, commits, largest int
	err = conn.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT tx::text), max(stored) FROM insertion WHERE stored > 0`).Scan(&statements, &commits, &largest)
	if err != nil {
		t.Fatal(err)
	}
	if statements != 6 || commits != 6 || largest != 200 {
		t.Errorf("%d statements in %d commits, the largest of %d rows", statements, commits, largest)
	}
}
