package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// tenants share the messages: a workspace alone gets no more than half of the places of a run.
const tenants = 4

// FollowUps compares due steps that go through followups, sync and the provider with calls of SendMessage of the same sync
// to the same leads: what deciding and recording cost.
type FollowUps struct {
	Binary string
	// PerRound steps are due, and messages sent directly, in each of three rounds.
	PerRound int

	lab       *lab.Lab
	clients   *lab.Clients
	people    []lab.Person
	tenants   []*lab.Tenant
	sequences []string
}

// Run measures and prints.
func (b *FollowUps) Run(ctx context.Context, sheet *figure.Sheet) (err error) {
	if b.lab, err = lab.New(ctx, lab.Options{Binary: b.Binary, Timing: lab.Production()}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.lab.Close()) }()
	sync, err := b.lab.Replica(ctx)
	if err != nil {
		return err
	}
	if err := sync.Up(ctx); err != nil {
		return err
	}
	followups, err := b.lab.FollowUpsProcess(ctx, sync.Target)
	if err != nil {
		return err
	}
	if err := followups.Up(ctx); err != nil {
		return err
	}
	api, conn, err := b.lab.Runs(followups.Target)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if b.clients, err = b.lab.FollowUps(sync.Target); err != nil {
		return err
	}
	defer b.clients.Close()
	if err := b.prepare(ctx, sync.Target, api); err != nil {
		return err
	}
	return b.measure(ctx, api, sheet)
}

func (b *FollowUps) prepare(ctx context.Context, sync string, api followupsv1.FollowUpsServiceClient) error {
	admin, err := b.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, sync)
	if err != nil {
		return err
	}
	defer admin.Close()
	for n := range tenants {
		contacts := make([]simulator.Contact, b.PerRound/tenants)
		for i := range contacts {
			contacts[i] = simulator.Contact{Phone: fmt.Sprintf("+1555%07d", n*1_000_000+i)}
		}
		tenant, err := b.lab.Tenant(ctx, admin, fmt.Sprintf("locationFollow%06d", n), contacts)
		if err != nil {
			return err
		}
		sequence, err := b.lab.Sequence(ctx, api, tenant, text)
		if err != nil {
			return err
		}
		b.tenants, b.sequences = append(b.tenants, tenant), append(b.sequences, sequence)
		b.people = append(b.people, tenant.People...)
	}
	return nil
}

func (b *FollowUps) measure(ctx context.Context, api followupsv1.FollowUpsServiceClient, sheet *figure.Sheet) error {
	var direct, through []float64
	for round := range rounds + 1 {
		own, _, err := load(ctx, len(b.people), b.send)
		if err != nil {
			return err
		}
		steps, err := b.steps(ctx, api)
		if err != nil {
			return err
		}
		if round > 0 { // connections and caches are made
			direct, through = append(direct, own), append(through, steps)
		}
	}
	n := len(b.people) * rounds
	sheet.Value("followups_sends_direct", median(direct), "per_second", n)
	sheet.Value("followups_steps", median(through), "per_second", n)
	sheet.Value("followups_ratio", median(through)/median(direct), "of_sends", n)
	return nil
}

func (b *FollowUps) send(ctx context.Context, n int) error {
	out, err := b.clients.At(0).SendMessage(ctx, &syncv1.SendMessageRequest{
		Lead: b.people[n].Lead, Channel: syncv1.Channel_CHANNEL_SMS, Body: text, RequestId: uuid.NewString(),
	})
	if err != nil {
		return err
	}
	if state := out.GetMessage().GetState(); state != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		return fmt.Errorf("message is %s", state)
	}
	return nil
}

// steps makes everybody due and runs until all of them are done. It gives the rate.
func (b *FollowUps) steps(ctx context.Context, api followupsv1.FollowUpsServiceClient) (float64, error) {
	for i, tenant := range b.tenants {
		if err := b.lab.Enroll(ctx, tenant, b.sequences[i]); err != nil {
			return 0, err
		}
	}
	begin, done := time.Now(), 0
	for done < len(b.people) {
		resp, err := api.RunDueFollowUps(ctx, &followupsv1.RunDueFollowUpsRequest{TimeBudget: durationpb.New(55 * time.Second)})
		if err != nil {
			return 0, fmt.Errorf("run: %w", err)
		}
		results := resp.GetRun().GetResults()
		if results.GetProcessed() != results.GetSucceeded() || results.GetProcessed() == 0 {
			return 0, fmt.Errorf("%d of %d steps done, then %v: %v", done, len(b.people), results, resp.GetRun().GetReasons())
		}
		done += int(results.GetSucceeded())
	}
	return float64(done) / time.Since(begin).Seconds(), nil
}
