package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/cmd/relance/internal/audit"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

const location, token = "locationAcme0000001", "pit-0123456789"

// world is a database and a provider, into which agreement and discrepancies are planted.
type world struct {
	*testing.T
	sim       *simulator.Simulator
	clock     *clock.Movable
	db        *pgtest.DB
	conn      *pgx.Conn
	box       *secretbox.Box
	keyset    string
	url       string
	workspace uuid.UUID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, clock: clock.NewMovable(time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)), db: pgtest.New(t, sync.Migrations()), workspace: uuid.New()}
	w.sim = simulator.New(simulator.Config{Now: w.clock.Now})
	provider := httptest.NewServer(w.sim.Handler())
	t.Cleanup(func() { provider.Close(); _ = w.sim.Close() })
	w.url = provider.URL
	keyset, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	w.keyset = string(keyset)
	if w.box, err = secretbox.New(keyset); err != nil {
		t.Fatal(err)
	}
	if w.conn, err = pgx.Connect(t.Context(), w.db.AdminDSN); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.conn.Close(t.Context()) })
	if err := w.sim.AddLocation(simulator.Location{ID: location, Token: token}); err != nil {
		t.Fatal(err)
	}
	w.exec(`SET search_path = sync`)
	w.exec(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'w', 'UTC', now(), now())`, w.workspace)
	w.exec(`INSERT INTO connection (workspace_id, location, token_enc, state, state_time) VALUES ($1, $2, $3, 'CONNECTED', now())`,
		w.workspace, location, w.seal(token, "connection", "token", w.workspace))
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.conn.Exec(w.Context(), sql, args...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) seal(plain, table, column string, id uuid.UUID) []byte {
	w.Helper()
	sealed, err := w.box.Seal([]byte(plain), secretbox.AD{Table: table, Column: column, ID: id.String()})
	if err != nil {
		w.Fatal(err)
	}
	return sealed
}

// planted is one send with its contact.
type planted struct {
	intent  uuid.UUID
	contact string
}

// send plants a send in a state. The provider's id may be empty.
func (w *world) send(state, channel, text, provider string) planted {
	w.Helper()
	c, err := w.sim.AddContact(location, simulator.Contact{Email: uuid.NewString() + "@example.com"})
	if err != nil {
		w.Fatal(err)
	}
	id := uuid.New()
	content, err := json.Marshal(map[string]string{"body": text, "html": text})
	if err != nil {
		w.Fatal(err)
	}
	w.exec(`INSERT INTO lead (workspace_id, id, ghl_contact_id, create_time, update_time) VALUES ($1, $2, $3, now(), now())`, w.workspace, id, c.ID)
	w.exec(`INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash, policy, state,
		next_time, create_time, update_time, claim_from, claim_time, provider_message_id)
		VALUES ($1, $2, $2, $3, $2, $4, '', '', '', 'resend', $5, $6, $6, $6, $6, $6, nullif($7, ''))`,
		w.workspace, id, channel, w.seal(string(content), "send_intent", "content", id), state, w.clock.Now(), provider)
	return planted{intent: id, contact: c.ID}
}

// message plants a message at the provider.
func (w *world) message(p planted, m simulator.HistoryMessage) string {
	w.Helper()
	id, err := w.sim.AddHistory(location, p.contact, m)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

func (w *world) claim(p planted, provider string) {
	w.Helper()
	w.exec(`UPDATE send_intent SET provider_message_id = $2 WHERE id = $1`, p.intent, provider)
}

func (w *world) audit() (audit.Report, string, error) {
	w.Helper()
	var out bytes.Buffer
	report, err := audit.Sends(w.Context(), audit.Options{
		DSN: w.db.DSN("sync"), Keyset: w.keyset, BaseURL: w.url, Since: 48 * time.Hour, Settle: 30 * time.Minute, Now: w.clock.Now, Out: &out,
	})
	return report, out.String(), err
}

const text = "Hi Ann, is Tuesday at 10 still good for you?"

// TestAnUnknownWorkspaceIsNoAgreement: an audit that compared nothing must not look like one that found nothing.
func TestAnUnknownWorkspaceIsNoAgreement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for workspace, known := range map[string]bool{uuid.NewString(): false, w.workspace.String(): true} {
		report, err := audit.Sends(t.Context(), audit.Options{
			DSN: w.db.DSN("sync"), Keyset: w.keyset, BaseURL: w.url, Since: time.Hour, Now: w.clock.Now, Out: io.Discard, Workspace: workspace,
		})
		if known != (err == nil && report.Workspaces == 1) || known == errors.Is(err, audit.ErrNoWorkspace) {
			t.Errorf("known %t: %+v, %v", known, report, err)
		}
	}
}

func TestAgreementAndEveryDiscrepancy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	api := simulator.HistoryMessage{Body: text, Source: "api"}
	// Agreement, of every sort.
	good := w.send("ACCEPTED", "sms", text, "")
	w.claim(good, w.message(good, api))
	mail := w.send("DELIVERED", "email", "<p>Hi</p>", "")
	w.claim(mail, w.message(mail, simulator.HistoryMessage{Channel: simulator.Email, Source: "api", Body: "<p>Hi</p>"}))
	w.send("REFUSED", "sms", text, "")
	w.send("PARKED", "sms", text, "")
	stranger := w.send("SKIPPED", "sms", text, "")
	w.message(stranger, simulator.HistoryMessage{Body: "An API message of somebody else", Source: "api"})
	w.message(stranger, simulator.HistoryMessage{Body: text, Source: "workflow"})
	young := w.send("UNKNOWN", "sms", text, "")
	w.message(young, api)
	report, out, err := w.audit()
	if err != nil || len(report.Findings) != 0 || report.Sends != 6 || report.Foreign != 1 || report.Messages != 4 || report.Pending != 1 {
		t.Fatalf("agreement: %+v, %v\n%s", report, err, out)
	}
	if !strings.Contains(out, "figure audit_discrepancies 0 discrepancies n=6") {
		t.Errorf("out = %s", out)
	}
	// A late provider is told of, and is no discrepancy.
	w.exec(`INSERT INTO provider_lateness (provider, assumption, seen_ms) VALUES ('ghl', 'A2', 1200000)`)
	if report, out, err = w.audit(); err != nil || len(report.Late) != 1 || !strings.Contains(out, "late: ghl did not list a message for 20m0s (A2; 1 times") {
		t.Errorf("a late provider: %+v, %v\n%s", report, err, out)
	}
	want := map[uuid.UUID]audit.Kind{}
	// Accepted by the provider, not by us: parked, refused, expired; an email by its mark.
	for _, state := range []string{"PARKED", "REFUSED", "EXPIRED"} {
		p := w.send(state, "sms", text, "")
		w.message(p, simulator.HistoryMessage{Body: text + "\nReply STOP to opt out", Source: "api"})
		want[p.intent] = audit.ProviderOnly
	}
	marked := w.send("PARKED", "email", "<p>Hello</p>", "")
	w.message(marked, simulator.HistoryMessage{Channel: simulator.Email, Source: "api", Body: `<p>Rewritten</p><span id="rl-` + marked.intent.String() + `"></span>`})
	want[marked.intent] = audit.ProviderOnly
	// Accepted by us, not by the provider.
	want[w.send("ACCEPTED", "sms", text, "providerMessage00001").intent] = audit.OursOnly
	// Two messages for one send, one of them claimed.
	two := w.send("ACCEPTED", "sms", text, "")
	w.claim(two, w.message(two, api))
	w.message(two, simulator.HistoryMessage{Body: text, Source: "api", At: w.clock.Now().Add(time.Minute)})
	want[two.intent] = audit.Twice
	// What should have been settled long ago.
	w.clock.Advance(31 * time.Minute)
	want[young.intent] = audit.ProviderOnly
	report, out, err = w.audit()
	if !errors.Is(err, audit.ErrDiscrepancies) {
		t.Errorf("error = %v", err)
	}
	if len(report.Findings) != len(want) {
		t.Errorf("%d findings, want %d\n%s", len(report.Findings), len(want), out)
	}
	for _, f := range report.Findings {
		if id := uuid.MustParse(f.Intent); want[id] != f.Kind || !strings.Contains(out, string(f.Kind)+": workspace "+w.workspace.String()+" send "+f.Intent) {
			t.Errorf("finding = %+v, want %q", f, want[id])
		}
	}
	if strings.Contains(out, "Hi Ann") || strings.Contains(out, token) {
		t.Error("the report tells texts or tokens")
	}
}

func TestHalfAnAuditIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.send("ACCEPTED", "sms", text, "providerMessage00001")
	export := simulator.Match{Method: "GET", Path: "/conversations/messages/export"}
	for _, f := range []simulator.Fault{
		{Kind: simulator.MalformedBody, Variant: simulator.CutJSON},
		{Kind: simulator.MalformedBody, NotTaken: true, Variant: simulator.NoMessageID},
		{Kind: simulator.MalformedBody, Variant: simulator.CursorLoop},
		{Kind: simulator.Unauthorized},
	} {
		f.Match = export
		handle := w.sim.AddFault(f)
		if _, _, err := w.audit(); err == nil || errors.Is(err, audit.ErrDiscrepancies) {
			t.Errorf("%s %s: %v", f.Kind, f.Variant, err)
		}
		handle.Remove()
	}
	// A limit is waited for.
	w.sim.AddFault(simulator.Fault{Match: export, Kind: simulator.Status429, Times: 1})
	if report, _, err := w.audit(); !errors.Is(err, audit.ErrDiscrepancies) || len(report.Findings) != 1 || report.Findings[0].Kind != audit.OursOnly {
		t.Errorf("after a limit: %+v, %v", report, err)
	}
}

// TestADeadTokenStopsNoOtherWorkspace: a workspace that cannot be read is named, and the others are audited all the same.
func TestADeadTokenStopsNoOtherWorkspace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := w.send("ACCEPTED", "sms", text, "providerMessage00001")
	for n, sealed := range map[string]bool{"00000000-0000-4000-8000-00000000000": true, "ffffffff-ffff-4fff-bfff-ffffffffffff": false} { // before and behind
		id := uuid.MustParse((n + "0")[:36])
		w.exec(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'w', 'UTC', now(), now())`, id)
		token := []byte("of another keyset")
		if sealed {
			token = w.seal("pit-dead-0123456789", "connection", "token", id)
		}
		w.exec(`INSERT INTO connection (workspace_id, location, token_enc, state, state_time) VALUES ($1, $2, $3, 'CONNECTED', now())`, id, location+n[:4], token)
	}
	report, out, err := w.audit()
	if !errors.Is(err, audit.ErrDiscrepancies) || !errors.Is(err, audit.ErrNotAudited) || report.Workspaces != 1 || len(report.Skipped) != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	if len(report.Findings) != 1 || report.Findings[0].Intent != wrong.intent.String() || strings.Count(out, "not audited: workspace ") != 2 ||
		!strings.Contains(out, "the provider answered 401") {
		t.Errorf("findings %+v\n%s", report.Findings, out)
	}
	w.clock.Advance(49 * time.Hour) // out of what is compared
	if report, _, err = w.audit(); errors.Is(err, audit.ErrDiscrepancies) || !errors.Is(err, audit.ErrNotAudited) {
		t.Errorf("nothing found: %+v, %v", report, err)
	}
	w.exec(`DELETE FROM connection WHERE workspace_id <> $1`, w.workspace)
	if report, _, err = w.audit(); err != nil || report.Workspaces != 1 {
		t.Errorf("control: %+v, %v", report, err)
	}
}
