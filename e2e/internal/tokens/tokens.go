// Package tokens proves that a rotating refresh token is spent once whoever asks, and that no crash loses the new pair: R40 and
// T1 to T3 of docs/reliability.md.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/e2e/internal/oracle"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const (
	tokenPath = "/oauth/token"
	place     = "locationTokens000001"
	// patience is how long a send may wait for a token: the lease of a holder that died, and the wait of the send after it.
	patience = 90 * time.Second
)

// Refresh sizes R40.
type Refresh struct {
	Binary string
	// Expiries is how often the access token ends, Workers how many sends then ask for a new one over two replicas.
	Expiries, Workers int
	// KillEach is the number of expiries of which one loses a replica in the middle of its call.
	KillEach int
}

// rig is two replicas with the app and one workspace.
type rig struct {
	lab      *lab.Lab
	replicas []*lab.Replica
	clients  *lab.Clients
	tenant   *lab.Tenant
	next     int
}

func newRig(ctx context.Context, binary string, workers int) (*rig, error) {
	r := &rig{}
	var err error
	r.lab, err = lab.New(ctx, lab.Options{Binary: binary, Timing: lab.Scaled(), Env: lab.AppEnv()})
	if err != nil {
		return nil, err
	}
	if err := r.prepare(ctx, workers); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) prepare(ctx context.Context, workers int) error {
	var targets []string
	for range 2 {
		replica, err := r.lab.Replica(ctx)
		if err != nil {
			return err
		}
		if err := replica.Up(ctx); err != nil {
			return err
		}
		r.replicas, targets = append(r.replicas, replica), append(targets, replica.Target)
	}
	admin, err := r.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, targets[0])
	if err != nil {
		return err
	}
	defer admin.Close()
	people := make([]simulator.Contact, workers)
	for i := range people {
		people[i] = simulator.Contact{Phone: fmt.Sprintf("+1555%07d", 7000000+i)}
	}
	if r.tenant, err = r.lab.OAuthTenant(ctx, admin, place, people); err != nil {
		return err
	}
	r.clients, err = r.lab.FollowUps(targets...)
	return err
}

func (r *rig) close() error {
	if r.clients != nil {
		r.clients.Close()
	}
	return r.lab.Close()
}

// expire ends the access token here and at the provider.
func (r *rig) expire(ctx context.Context, location string) error {
	r.lab.ExpireTokens(location)
	_, err := r.lab.Admin.Exec(ctx, `UPDATE sync.connection SET access_expire_time = now() WHERE location = $1`, location)
	if err != nil {
		return fmt.Errorf("expire token: %w", err)
	}
	return nil
}

// calls counts the calls of the token endpoint so far.
func (r *rig) calls() int { return len(r.lab.Requests(simulator.Filter{Path: tokenPath})) }

// send sends one message through a replica until it is taken; the caller that asks again names the same request.
func (r *rig) send(ctx context.Context, client syncv1.SyncServiceClient, lead string, n int) error {
	bound, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	mark := oracle.Mark(n)
	request := &syncv1.SendMessageRequest{Lead: lead, Channel: syncv1.Channel_CHANNEL_SMS, RequestId: oracle.RequestID(mark).String(), Body: "Number " + mark}
	for {
		out, err := client.SendMessage(bound, request)
		switch out.GetMessage().GetState() {
		case syncv1.MessageState_MESSAGE_STATE_ACCEPTED, syncv1.MessageState_MESSAGE_STATE_DELIVERED:
			return nil
		}
		select {
		case <-bound.Done():
			return fmt.Errorf("message %s not taken: %s, %w", mark, out.GetMessage().GetState(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// RunRefresh is R40. The access token ends again and again while workers send through two replicas; in some rounds the replica
// that refreshes dies in its call. Each refresh token is spent once, but for those whose holder died: the next asks again with
// the same, and gets the same pair.
func RunRefresh(ctx context.Context, cfg Refresh, sheet *figure.Sheet) (err error) {
	r, err := newRig(ctx, cfg.Binary, cfg.Workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	r.lab.AddFault(simulator.Fault{Match: simulator.Match{Path: tokenPath}, Kind: simulator.Latency, Delay: 150 * time.Millisecond})
	kills, spare := 0, 0
	for n := range cfg.Expiries {
		before := r.calls()
		kill := cfg.KillEach > 0 && n%cfg.KillEach == cfg.KillEach-1
		if err := r.round(ctx, kill); err != nil {
			return fmt.Errorf("expiry %d: %w", n, err)
		}
		made := r.calls() - before
		if kill {
			kills++
			made = min(made, 1)
		}
		spare += made - 1
	}
	sheet.Count("token_refresh_kills", kills, "replicas", cfg.Expiries)
	sheet.Zero("token_refresh_calls_to_spare", spare, "calls", cfg.Expiries)
	return r.judge(ctx, cfg, kills, sheet)
}

// round ends the token and has every worker send.
func (r *rig) round(ctx context.Context, kill bool) error {
	before := r.calls()
	if err := r.expire(ctx, place); err != nil {
		return err
	}
	group, work := errgroup.WithContext(ctx)
	for i, person := range r.tenant.People {
		n := r.next
		r.next++
		client := r.clients.At(i % 2)
		if kill {
			client = r.clients.At(0) // the one that dies asks
		}
		group.Go(func() error { return r.send(work, client, person.Lead, n) })
	}
	if kill {
		for r.calls() == before {
			select {
			case <-work.Done():
				return group.Wait()
			case <-time.After(time.Millisecond):
			}
		}
		r.replicas[0].Kill()
		if err := r.replicas[0].Start(); err != nil {
			return err
		}
	}
	return group.Wait()
}

func (r *rig) judge(ctx context.Context, cfg Refresh, kills int, sheet *figure.Sheet) error {
	var state string
	var attempts int
	err := r.lab.Admin.QueryRow(ctx, `SELECT (SELECT state FROM sync.connection WHERE location = $1),
		(SELECT count(*) FROM sync.send_intent WHERE failures > 0)`, place).Scan(&state, &attempts)
	if err != nil {
		return fmt.Errorf("read outcome: %w", err)
	}
	spent, twice := 0, 0
	for _, uses := range r.lab.RefreshUses(place) {
		if spent++; uses > 1 {
			twice++
		}
	}
	cut := 0
	if state != "CONNECTED" {
		cut = 1
	}
	sheet.Must("token_refresh_tokens_spent", spent, cfg.Expiries, "refresh_tokens")
	sheet.Zero("token_refresh_spent_twice_without_a_kill", max(0, twice-kills), "refresh_tokens", cfg.Expiries)
	sheet.Zero("token_refresh_workspaces_cut_off", cut, "workspaces", 1)
	sheet.Zero("token_refresh_attempts_used", attempts, "sends", r.next)
	sheet.Must("token_refresh_sends_taken_once", len(r.lab.Accepted(simulator.Filter{Location: place})), r.next, "sends")
	return nil
}
