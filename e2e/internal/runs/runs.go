// Package runs proves that a run of follow-ups that dies at any place does no step twice and loses none: the real processes on
// a durable database, with the simulator's ledger as the witness.
package runs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/simulator"
)

// texts are the steps of every lead, each due when the one before it is done.
var texts = []string{"Hi, are you still looking?", "Two tables are left, at seven and at nine."}

// lease is short, so that a proof need not wait two minutes for what a dead run held.
const lease = 3 * time.Second

// place is one workspace with its leads enrolled, and what is known of it.
type place struct {
	tenant   *lab.Tenant
	sequence string
}

// world is a lab with sync up.
type world struct {
	*lab.Lab
	sync   *lab.Replica
	places atomic.Int64
}

func newWorld(ctx context.Context, binary string) (*world, error) {
	l, err := lab.New(ctx, lab.Options{Binary: binary, Timing: lab.Timing{
		Write: 5 * time.Second, Pause: 2 * time.Second, Call: 5 * time.Second,
		Delay: 2 * time.Second, Visible: 2 * time.Second, Settle: 17 * time.Second,
	}})
	if err != nil {
		return nil, err
	}
	w := &world{Lab: l}
	if w.sync, err = l.Replica(ctx); err == nil {
		err = w.sync.Up(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return w, nil
}

// followUps starts a replica of followups.
func (w *world) followUps(ctx context.Context, env ...string) (*lab.Replica, error) {
	r, err := w.FollowUpsProcess(ctx, w.sync.Target, append([]string{
		"RELANCE_FOLLOWUPS_LEASE_DURATION=" + lease.String(), "RELANCE_FOLLOWUPS_BATCH_SIZE=5",
	}, env...)...)
	if err != nil {
		return nil, err
	}
	return r, r.Up(ctx)
}

// enrolled makes a workspace with leads that are due now.
func (w *world) enrolled(ctx context.Context, leads int) (*place, error) {
	maker, err := w.followUps(ctx)
	if err != nil {
		return nil, err
	}
	defer maker.Kill()
	admin, err := w.Gateway(principal.Principal{Kind: principal.KindAdmin}, w.sync.Target)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	n := int(w.places.Add(1))
	contacts := make([]simulator.Contact, leads)
	for i := range contacts {
		contacts[i] = simulator.Contact{Phone: fmt.Sprintf("+1555%07d", n*10_000+i)}
	}
	p := &place{}
	if p.tenant, err = w.Tenant(ctx, admin, fmt.Sprintf("locationRuns%08d", n), contacts); err != nil {
		return nil, err
	}
	api, conn, err := w.Runs(maker.Target)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if p.sequence, err = w.Sequence(ctx, api, p.tenant, texts...); err != nil {
		return nil, err
	}
	return p, w.Enroll(ctx, p.tenant, p.sequence)
}

// run asks a replica for a run. The answer may be cut off.
func (w *world) run(ctx context.Context, target string, request uuid.UUID) (*followupsv1.Run, error) {
	api, conn, err := w.Runs(target)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	resp, err := api.RunDueFollowUps(ctx, &followupsv1.RunDueFollowUpsRequest{
		RequestId: request.String(), TimeBudget: durationpb.New(20 * time.Second),
	})
	return resp.GetRun(), err
}

// finish runs until every enrollment of the place has ended.
func (w *world) finish(ctx context.Context, target string, p *place) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		if _, err := w.run(ctx, target, uuid.New()); err != nil && ctx.Err() != nil {
			return fmt.Errorf("finish: %w", err)
		}
		var left int
		err := w.Admin.QueryRow(ctx, `SELECT count(*) FROM followups.enrollment WHERE workspace_id = $1 AND state <> 'completed'`,
			p.tenant.Workspace).Scan(&left)
		if err != nil || left == 0 {
			return err
		}
		// A message that its caller's death cut off is looked at again after a minute, or hours if its outcome was unknown.
		_, err = w.Admin.Exec(ctx, `UPDATE followups.enrollment SET next_time = now() WHERE workspace_id = $1 AND next_time > now()
			AND (state = 'awaiting_outcome' OR reason = 'send_in_progress')`, p.tenant.Workspace)
		if err != nil {
			return err
		}
		if err := lab.Pause(ctx, 500*time.Millisecond); err != nil { // what a dead run holds comes free with its lease
			return fmt.Errorf("%d enrollments are left (%s): %w", left, w.standing(context.WithoutCancel(ctx), p), err)
		}
	}
}

// standing is where the enrollments that have not ended stand, for a person.
func (w *world) standing(ctx context.Context, p *place) (text string) {
	err := w.Admin.QueryRow(ctx, `SELECT string_agg(format('step %s %s %s, next %s, leased %s', position, state, reason, next_time, lease_until), '; ')
		FROM followups.enrollment WHERE workspace_id = $1 AND state <> 'completed'`, p.tenant.Workspace).Scan(&text)
	if err != nil {
		return err.Error()
	}
	return text
}
