package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// Imports compares the import of histories (both lists of the provider read, compared, sealed, stored, certified) with a
// COPY of the rows that came of it into a table with the same columns, constraints and indexes.
type Imports struct {
	Binary string
	// Messages are imported in all, a tenth of them first.
	Messages int

	lab     *lab.Lab
	replica *lab.Replica
	tenant  *lab.Tenant
	admin   *lab.Clients
}

const (
	perLead       = 1000 // messages of one conversation
	importsAtOnce = 8
	providerPage  = 100 // messages of a page of a conversation
	importWait    = 2 * time.Minute
)

// Run measures and prints.
func (b *Imports) Run(ctx context.Context, sheet *figure.Sheet) error {
	var err error
	if b.lab, err = lab.New(ctx, lab.Options{Binary: b.Binary, Timing: lab.Production(), Env: []string{"RELANCE_SYNC_POLL_DISABLED=true"}}); err != nil {
		return err
	}
	defer func() { _ = b.lab.Close() }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.admin.Close()
	first := max(len(b.tenant.People)/10, 1)
	if err := b.importAll(ctx, b.tenant.People[:first]); err != nil {
		return err
	}
	small, err := resident(b.replica.PID())
	if err != nil {
		return err
	}
	if _, err := b.lab.Admin.Exec(ctx, `ANALYZE`); err != nil { // as autovacuum does in time
		return fmt.Errorf("analyze: %w", err)
	}
	server, err := b.lab.PG.PID()
	if err != nil {
		return err
	}
	ours := imported{spent: newStopwatch(map[string]int{"bench": own, "postgres": server, "sync": b.replica.PID()})}
	if err := b.measure(ctx, &ours, b.tenant.People[first:]); err != nil {
		return err
	}
	large, err := resident(b.replica.PID())
	if err != nil {
		return err
	}
	bare := imported{spent: newStopwatch(map[string]int{"bench": own, "postgres": server})}
	paged := imported{spent: newStopwatch(bare.spent.pids)}
	if err := b.copyRows(ctx, &bare, &paged); err != nil {
		return err
	}
	if want := len(b.tenant.People) * perLead; bare.messages != want {
		return fmt.Errorf("%d messages are stored, want %d", bare.messages, want)
	}
	sheet.Value("import_rss_first", small, "MiB", first*perLead)
	sheet.Value("import_rss_all", large, "MiB", len(b.tenant.People)*perLead)
	bare.print(sheet, "import_copy")
	paged.print(sheet, "import_copy_by_page")
	ours.print(sheet, "import")
	sheet.Value("import_cpu_ratio", bare.cpu()/ours.cpu(), "of_copy", ours.messages)
	sheet.Value("import_ratio", ours.rate()/bare.rate(), "of_copy", ours.messages)
	return nil
}

// imported is what was measured of one side.
type imported struct {
	messages int
	took     time.Duration
	spent    *stopwatch
}

func (i imported) rate() float64 { return float64(i.messages) / i.took.Seconds() }

func (i imported) cpu() float64 { return i.spent.total().Seconds() / float64(i.messages) }

func (i imported) print(sheet *figure.Sheet, name string) {
	sheet.Value(name, i.rate(), "per_second", i.messages)
	i.spent.each(i.messages, func(process string, us float64) { sheet.Value(name+"_cpu_"+process, us, "us_each", i.messages) })
}

// measure imports the conversations of people.
func (b *Imports) measure(ctx context.Context, into *imported, people []lab.Person) error {
	before, err := b.stored(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := into.spent.during(func() error { return b.importAll(ctx, people) }); err != nil {
		return err
	}
	into.took = time.Since(began)
	after, err := b.stored(ctx)
	into.messages = after - before // the service's own comparisons may have been ahead of a call
	return err
}

func (b *Imports) prepare(ctx context.Context) (err error) {
	if b.replica, err = b.lab.Replica(ctx); err != nil {
		return err
	}
	if err := b.replica.Up(ctx); err != nil {
		return err
	}
	if b.admin, err = b.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, b.replica.Target); err != nil {
		return err
	}
	contacts := make([]simulator.Contact, max(b.Messages/perLead, 2))
	for i := range contacts {
		contacts[i] = simulator.Contact{ID: fmt.Sprintf("BenchContact%08d", i), Phone: fmt.Sprintf("+1555%07d", i)}
	}
	if b.tenant, err = b.lab.Tenant(ctx, b.admin, place, contacts); err != nil {
		return err
	}
	if err := idle(ctx, b.lab); err != nil { // a new lead's history is imported by a job: there is none yet
		return err
	}
	begin := time.Now().Add(-90 * 24 * time.Hour)
	for i, c := range contacts {
		for n := range perLead {
			h := simulator.HistoryMessage{Body: fmt.Sprintf("%s (%d of %d)", text, n, i), At: begin.Add(time.Duration(n) * time.Hour)}
			if n%2 == 1 {
				h.Direction = simulator.Inbound
			}
			if _, err := b.lab.AddHistory(place, c.ID, h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Imports) stored(ctx context.Context) (n int, err error) {
	if err := b.lab.Admin.QueryRow(ctx, `SELECT count(*) FROM sync.message`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count messages: %w", err)
	}
	return n, nil
}

// importAll reads the conversations of people whole.
func (b *Imports) importAll(ctx context.Context, people []lab.Person) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(importsAtOnce)
	for _, p := range people {
		group.Go(func() error {
			bound, cancel := context.WithTimeout(ctx, importWait)
			defer cancel()
			_, err := b.admin.At(0).SyncConversation(bound, &syncv1.SyncConversationRequest{Name: p.Lead + "/conversations/sms"})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// copyRows copies what was imported: at once, and by pages as the provider gives them with a commit each, which is the least that
// keeps what was read when a process dies.
func (b *Imports) copyRows(ctx context.Context, whole, paged *imported) error {
	rows, err := b.lab.Admin.Query(ctx, `SELECT * FROM sync.message`)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	var columns []string
	for _, f := range rows.FieldDescriptions() {
		columns = append(columns, f.Name)
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	if err := b.copyInto(ctx, "bare_message", columns, whole, [][][]any{all}); err != nil {
		return err
	}
	return b.copyInto(ctx, "bare_page", columns, paged, slices.Collect(slices.Chunk(all, providerPage)))
}

func (b *Imports) copyInto(ctx context.Context, table string, columns []string, into *imported, pages [][][]any) error {
	target := pgx.Identifier{"public", table}
	if _, err := b.lab.Admin.Exec(ctx, `CREATE TABLE `+target.Sanitize()+` (LIKE sync.message INCLUDING ALL)`); err != nil {
		return fmt.Errorf("make table: %w", err)
	}
	began := time.Now()
	err := into.spent.during(func() error {
		for _, page := range pages {
			n, err := b.lab.Admin.CopyFrom(ctx, target, columns, pgx.CopyFromRows(page))
			if err != nil {
				return fmt.Errorf("copy rows: %w", err)
			}
			into.messages += int(n)
		}
		return nil
	})
	into.took = time.Since(began)
	return err
}

// resident is the resident memory of a process in MiB, by Linux's count.
func resident(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				return 0, fmt.Errorf("read memory: %w", err)
			}
			return kib / 1024, nil
		}
	}
	return 0, fmt.Errorf("read memory: no VmRSS of process %d", pid)
}
