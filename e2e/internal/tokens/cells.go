package tokens

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

// Cell is a point at which a process dies with a refresh in its hands, and how often the refresh token is exchanged in the end.
type Cell struct {
	point string
	uses  int
}

// Cells are all of them: before the call nothing is spent; a new pair that was read and not kept is asked for again within the
// provider's grace; one that is kept is used.
func Cells() []Cell { return []Cell{{"T1", 1}, {"T2", 2}, {"T3", 1}} }

// String names the cell.
func (c Cell) String() string { return strings.ToLower(c.point) + "_kill" }

// RunCells plays T1 to T3: a victim dies in the refresh, another replica sends.
func RunCells(ctx context.Context, binary string, cells []Cell, sheet *figure.Sheet) (err error) {
	r, err := newRig(ctx, binary, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	good := 0
	for n, c := range cells {
		wrong, err := r.cell(ctx, n, c)
		if err != nil {
			return fmt.Errorf("cell %s: %w", c, err)
		}
		if sheet.Cell(c.String(), wrong) {
			good++
		}
	}
	sheet.Must("token_cells", good, len(cells), "as_expected")
	return nil
}

func (r *rig) cell(ctx context.Context, n int, c Cell) (string, error) {
	admin, err := r.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, r.replicas[0].Target)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	location := fmt.Sprintf("locationToken%07d", n)
	tenant, err := r.lab.OAuthTenant(ctx, admin, location, []simulator.Contact{{Phone: fmt.Sprintf("+1555%07d", 7100000+n)}})
	if err != nil {
		return "", err
	}
	victim, err := r.lab.Replica(ctx, "RELANCE_CRASH="+c.point+":1:KILL")
	if err != nil {
		return "", err
	}
	defer victim.Kill()
	if err := victim.Up(ctx); err != nil {
		return "", err
	}
	clients, err := r.lab.FollowUps(victim.Target)
	if err != nil {
		return "", err
	}
	defer clients.Close()
	if err := r.expire(ctx, location); err != nil {
		return "", err
	}
	r.next++
	if err := r.strike(ctx, victim, clients, tenant); err != nil {
		return "", err
	}
	if err := r.send(ctx, r.clients.At(0), tenant.People[0].Lead, r.next); err != nil {
		return "", err
	}
	return r.compare(ctx, location, c)
}

// strike has the victim send, and waits for its end.
func (r *rig) strike(ctx context.Context, victim *lab.Replica, clients *lab.Clients, tenant *lab.Tenant) error {
	asking, stop := context.WithCancel(ctx)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_ = r.send(asking, clients.At(0), tenant.People[0].Lead, r.next) // it dies with the victim; the other replica sends
	}()
	defer func() { stop(); <-asked }()
	select {
	case <-victim.Done():
	case <-time.After(time.Minute):
		return fmt.Errorf("the point was never passed: %s", victim.Log())
	}
	if !victim.Killed() {
		return fmt.Errorf("ended by itself: %s", victim.Log())
	}
	return nil
}

func (r *rig) compare(ctx context.Context, location string, c Cell) (string, error) {
	var state string
	err := r.lab.Admin.QueryRow(ctx, `SELECT state FROM sync.connection WHERE location = $1`, location).Scan(&state)
	if err != nil {
		return "", fmt.Errorf("read connection: %w", err)
	}
	uses := r.lab.RefreshUses(location)
	taken := len(r.lab.Accepted(simulator.Filter{Location: location}))
	if state != "CONNECTED" || taken != 1 || len(uses) != 1 || uses[0] != c.uses {
		return fmt.Sprintf("%s, %d taken, refresh tokens used %v times; want CONNECTED, 1, [%d]", state, taken, uses, c.uses), nil
	}
	return "", nil
}
