package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// Sizes compares what a call costs with few and with many messages in the table: a send, the gate's answer, and pages of
// lists. Calls come one after another; the figure of each is the median.
type Sizes struct {
	Binary string
	// Small and Large are the numbers of messages.
	Small, Large int
	// Calls of each kind are measured at each size, 40 at least.
	Calls int

	lab    *lab.Lab
	tenant *lab.Tenant
	admin  *lab.Clients
	sender *lab.Clients
	pages  map[string]string
}

// seededPerLead is how many messages each lead beside the measured ones has, whatever the size.
const seededPerLead = 50

// kind is a call that is measured.
type kind struct {
	name string
	do   func(ctx context.Context, n int) error
}

// Run measures and prints.
func (b *Sizes) Run(ctx context.Context, sheet *figure.Sheet) error {
	b.Calls = max(b.Calls, 40) // the pages that are read hold the messages of so many sends, and no seeded ones
	var err error
	if b.lab, err = lab.New(ctx, lab.Options{Binary: b.Binary, Timing: lab.Production(), Env: []string{"RELANCE_SYNC_POLL_DISABLED=true"}}); err != nil {
		return err
	}
	defer func() { _ = b.lab.Close() }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.admin.Close()
	defer b.sender.Close()
	var costs [2]map[string]float64
	seeded := 0
	for i, size := range []int{b.Small, b.Large} {
		if err := b.seed(ctx, seeded, size); err != nil {
			return err
		}
		seeded = size
		if costs[i], err = b.measure(ctx); err != nil {
			return err
		}
	}
	for _, k := range b.kinds() {
		few, many := costs[0][k.name], costs[1][k.name]
		sheet.Value("size_"+k.name+"_few", few, "ms", b.Calls)
		sheet.Value("size_"+k.name+"_many", many, "ms", b.Calls)
		sheet.Value("size_"+k.name+"_ratio", many/few, "of_few", b.Large)
	}
	return nil
}

func (b *Sizes) prepare(ctx context.Context) error {
	replica, err := b.lab.Replica(ctx)
	if err != nil {
		return err
	}
	if err := replica.Up(ctx); err != nil {
		return err
	}
	if b.admin, err = b.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, replica.Target); err != nil {
		return err
	}
	if b.sender, err = b.lab.FollowUps(replica.Target); err != nil {
		return err
	}
	contacts := make([]simulator.Contact, b.Calls)
	for i := range contacts {
		contacts[i] = simulator.Contact{ID: fmt.Sprintf("BenchContact%08d", i), Phone: fmt.Sprintf("+1555%07d", i)}
	}
	b.tenant, err = b.lab.Tenant(ctx, b.admin, place, contacts)
	return err
}

func (b *Sizes) kinds() []kind {
	return []kind{
		{"send", b.send},
		{"gate", b.gate},
		{"list_lead", b.list(func(n int) string { return b.person(n).Lead })},
		{"list_workspace", b.list(func(int) string { return b.tenant.Name })},
	}
}

func (b *Sizes) person(n int) lab.Person { return b.tenant.People[n%len(b.tenant.People)] }

// measure gives the median of each kind in milliseconds.
func (b *Sizes) measure(ctx context.Context) (map[string]float64, error) {
	out := map[string]float64{}
	b.pages = map[string]string{}
	for _, k := range b.kinds() {
		var took []time.Duration
		for n := range b.Calls + b.Calls/4 {
			began := time.Now()
			if err := k.do(ctx, n); err != nil {
				return nil, fmt.Errorf("%s: %w", k.name, err)
			}
			if n >= b.Calls/4 { // plans and pages are made
				took = append(took, time.Since(began))
			}
		}
		slices.Sort(took)
		out[k.name] = quantile(took, 0.5)
	}
	return out, nil
}

func (b *Sizes) send(ctx context.Context, n int) error {
	out, err := b.sender.At(0).SendMessage(ctx, &syncv1.SendMessageRequest{
		Lead: b.person(n).Lead, Channel: syncv1.Channel_CHANNEL_SMS, Body: text, RequestId: uuid.NewString(),
	})
	if err == nil && out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		err = fmt.Errorf("message is %s", out.GetMessage().GetState())
	}
	return err
}

func (b *Sizes) gate(ctx context.Context, n int) error {
	out, err := b.sender.At(0).CheckSend(ctx, &syncv1.CheckSendRequest{
		Parent: b.tenant.Name, Checks: []*syncv1.SendCheck{{Lead: b.person(n).Lead, Channel: syncv1.Channel_CHANNEL_SMS}},
	})
	if err == nil && len(out.GetResults()) != 1 {
		err = fmt.Errorf("%d answers to one check", len(out.GetResults()))
	}
	return err
}

// list reads the first pages of a list in turn: every second call goes on where the one before stopped.
func (b *Sizes) list(of func(int) string) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		parent := of(n / 2)
		out, err := b.admin.At(0).ListMessages(ctx, &syncv1.ListMessagesRequest{Parent: parent, PageSize: 20, PageToken: b.pages[parent]})
		if err != nil {
			return err
		}
		if len(out.GetMessages()) == 0 {
			return fmt.Errorf("an empty page of %s", parent)
		}
		b.pages[parent] = ""
		if n%2 == 0 {
			b.pages[parent] = out.GetNextPageToken()
		}
		return nil
	}
}

// seed fills the tables up to a number of messages of other leads, half of them sends of ours, all older than what is measured:
// their texts are nothing that could be opened, and their ids rise with time, as ours do. No trigger runs, since what is measured only reads these rows.
func (b *Sizes) seed(ctx context.Context, have, want int) error {
	tx, err := b.lab.Admin.Begin(ctx)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	workspace := "'" + b.tenant.Workspace + "'::uuid"
	for _, statement := range []string{
		`SET LOCAL session_replication_role = replica`, `SET LOCAL search_path = sync, pg_temp`,
		fmt.Sprintf(`CREATE TEMP TABLE seed ON COMMIT DROP AS
			SELECT (lpad(to_hex(1500000000000 + n * 10000), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id, md5('lead' || n / %[3]d)::uuid AS lead, n,
			now() - make_interval(secs => 100000000 - n * 10) AS at FROM generate_series(%[1]d::bigint, %[2]d - 1) n`, have, want, seededPerLead),
		`INSERT INTO lead (workspace_id, id, ghl_contact_id, create_time, update_time)
			SELECT DISTINCT ` + workspace + `, lead, lead::text, now(), now() FROM seed ON CONFLICT DO NOTHING`,
		`INSERT INTO message (workspace_id, id, lead_id, channel, direction, origin, body_enc, body_hash, provider_message_id, message_time,
				create_time, arrival)
			SELECT ` + workspace + `, id, lead, 'sms', CASE WHEN n % 2 = 0 THEN 'outbound' ELSE 'inbound' END,
				CASE WHEN n % 2 = 0 THEN 'OWN' ELSE 'RECEIVED' END, '\x00', sha256(id::text::bytea), 'seed' || id, at, at, 'import' FROM seed`,
		`INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash, policy, state,
				attempt, next_time, claim_from, claim_time, intent_at, provider_message_id, create_time, update_time)
			SELECT ` + workspace + `, id, lead, 'sms', id, '\x00', '\x00', '\x00', '\x00', 'resend', 'ACCEPTED', 1, at, at, at, at, 'seed' || id, at, at
			FROM seed WHERE n % 2 = 0`,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if _, err := b.lab.Admin.Exec(ctx, `VACUUM ANALYZE`); err != nil { // as autovacuum does in time
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}
