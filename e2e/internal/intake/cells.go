package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/simulator"
)

// Cell is a point at which sync dies with a webhook in its hands.
type Cell string

// Cells are all of them. H4 is passed with a page of webhooks, and by one that is processed alone, since its lead cannot be
// reached and the provider is asked.
func Cells() []Cell { return []Cell{"H1", "H2", "H3", "H4", "H4_alone"} }

// String names the cell.
func (c Cell) String() string { return strings.ToLower(string(c)) + "_kill" }

// RunCells plays H1 to H4: sync dies at the point, the provider delivers again what was not answered with 200, and sync comes
// back. Each event is stored once and has one effect.
func RunCells(ctx context.Context, binary string, cells []Cell, sheet *figure.Sheet) (err error) {
	l, err := lab.New(ctx, lab.Options{
		Binary: binary, Timing: lab.Production(),
		Simulator: simulator.Config{Delivery: simulator.DeliveryLimits{Attempts: 40, MaxWait: 500 * time.Millisecond}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	good := 0
	for n, c := range cells {
		wrong, err := cell(ctx, l, n, string(c))
		if err != nil {
			return fmt.Errorf("cell %s: %w", c, err)
		}
		if sheet.Cell(c.String(), wrong) {
			good++
		}
	}
	sheet.Must("webhook_cells", good, len(cells), "as_expected")
	return nil
}

func cell(ctx context.Context, l *lab.Lab, n int, name string) (string, error) {
	point, alone, _ := strings.Cut(name, "_")
	victim, err := l.Replica(ctx, "RELANCE_CRASH="+point+":1:KILL")
	if err != nil {
		return "", err
	}
	defer victim.Kill()
	if err := victim.Up(ctx); err != nil {
		return "", err
	}
	admin, err := l.Gateway(principal.Principal{Kind: principal.KindAdmin}, victim.Target)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	location := fmt.Sprintf("locationHook%08d", n)
	contact := simulator.Contact{FirstName: "Ann", Phone: fmt.Sprintf("+1555%07d", 8000000+n)}
	if alone != "" {
		contact.Phone = ""
	}
	tenant, err := l.Tenant(ctx, admin, location, []simulator.Contact{contact})
	if err != nil {
		return "", err
	}
	base, err := l.GatewayProcess(ctx, victim.Target)
	if err != nil {
		return "", err
	}
	said, err := l.AddInboundMessage(location, tenant.People[0].Contact, simulator.SMS, "Yes, "+point)
	if err != nil {
		return "", err
	}
	delivered := make(chan simulator.Delivery, 1)
	go func() {
		d, _ := l.Deliver(ctx, base+"/api/webhooks/ghl", said.Webhook) // what came of it is in d
		delivered <- d
	}()
	select {
	case <-victim.Done():
	case <-time.After(time.Minute):
		return "", fmt.Errorf("the point was never passed: %s", victim.Log())
	}
	if !victim.Killed() {
		return "", fmt.Errorf("ended by itself: %s", victim.Log())
	}
	if err := victim.Start("RELANCE_CRASH="); err != nil {
		return "", err
	}
	if err := victim.Up(ctx); err != nil {
		return "", err
	}
	d := <-delivered
	return compare(ctx, l, tenant.Workspace, d)
}

// compare waits until the event is done with: one that went alone is taken up when the dead one's lease ends, after 90 s.
func compare(ctx context.Context, l *lab.Lab, workspace string, d simulator.Delivery) (string, error) {
	deadline := time.Now().Add(processed)
	for {
		var rows, done, messages, events int
		err := l.Admin.QueryRow(ctx, `SELECT (SELECT count(*) FROM sync.webhook_inbox WHERE workspace_id = $1),
			(SELECT count(*) FROM sync.webhook_inbox WHERE workspace_id = $1 AND state = 'PROCESSED'),
			(SELECT count(*) FROM sync.message WHERE workspace_id = $1),
			(SELECT count(*) FROM sync.outbox WHERE workspace_id = $1 AND type = 'REPLIED')`, workspace).Scan(&rows, &done, &messages, &events)
		switch {
		case err != nil:
			return "", fmt.Errorf("count effects: %w", err)
		case d.OK() && rows == 1 && done == 1 && messages == 1 && events == 1:
			return "", nil
		case rows > 1, messages > 1, events > 1, !d.OK(), time.Now().After(deadline):
			return fmt.Sprintf("answered %d, %d stored, %d done, %d messages, %d replies told; want 1 of each", d.Status(), rows, done, messages, events), nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return "", err
		}
	}
}
