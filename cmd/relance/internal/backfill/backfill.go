// Package backfill compares the whole history of a workspace with the provider, over the gateway, and shows how far it is.
// The work is the sync service's: what is begun goes on by its scheduler when the command is stopped.
package backfill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/platform/clock"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// budget is the time of one run, well below the time-outs on the way.
const budget = 10 * time.Second

// ErrWaits says that some conversations could not be compared within the patience.
var ErrWaits = errors.New("backfill: some conversations wait still")

// Backfill is one backfill of a workspace.
type Backfill struct {
	// Client calls the gateway.
	Client *api.Client
	// Workspace is "workspaces/{uuid}".
	Workspace string
	// Since is the time of the first answer of a backfill that goes on; zero begins one.
	Since time.Time
	// DryRun counts only.
	DryRun bool
	// Patience ends the wait for conversations that cannot be compared now. Above 0.
	Patience time.Duration
	// Pause is the time between two looks while nothing can be compared. Above 0.
	Pause time.Duration
	// Out gets results, Progress the bar.
	Out, Progress io.Writer
	// Clock tells how long nothing moved.
	Clock clock.Clock
}

// Run compares the conversations of a channel that were not compared since. It returns when all are, or ErrWaits when the
// rest did not move for Patience. Stopping it loses nothing.
func (b *Backfill) Run(ctx context.Context, channel syncv1.Channel) error {
	first, err := b.ask(ctx, channel, b.DryRun)
	if err != nil {
		return err
	}
	b.Since = first.GetSince().AsTime()
	name := map[syncv1.Channel]string{syncv1.Channel_CHANNEL_SMS: "sms", syncv1.Channel_CHANNEL_EMAIL: "email"}[channel]
	if b.DryRun || first.GetWaiting() == 0 {
		return b.say("%s: %d leads with a contact, %d to be compared\n", name, first.GetLeads(), first.GetWaiting())
	}
	bar := newBar(b.Progress, name, first)
	defer bar.end()
	sum, err := b.work(ctx, channel, bar)
	switch left := bar.waiting; {
	case err == nil:
		return b.say("%s: compared %d conversations: %d complete, %d with differences; %d messages imported, %d healed\n",
			name, first.GetWaiting()-left, sum.GetProven(), sum.GetUnproven(), sum.GetImported(), sum.GetHealed())
	case errors.Is(err, ErrWaits):
		return fmt.Errorf("%w: %d of %d; `relance history %s --unproven` says why, and they are tried by themselves", err, left, first.GetLeads(), b.Workspace)
	default:
		said := b.say("%s: %d of %d wait; the scheduler goes on, or go on here with --since %s\n", name, left, first.GetLeads(), b.Since.Format(time.RFC3339Nano))
		return errors.Join(err, said)
	}
}

// work runs what is due until nothing waits.
func (b *Backfill) work(ctx context.Context, channel syncv1.Channel, bar *bar) (*syncv1.SyncDueConversationsResponse, error) {
	sum, moved := &syncv1.SyncDueConversationsResponse{}, b.Clock.Now()
	for {
		var run syncv1.SyncDueConversationsResponse
		err := b.Client.Post(ctx, "/v1/conversations:syncDue",
			&syncv1.SyncDueConversationsRequest{TimeBudget: durationpb.New(budget), Workspace: b.Workspace}, &run)
		if err != nil {
			return sum, fmt.Errorf("backfill: %w", err)
		}
		sum.Proven, sum.Unproven = sum.GetProven()+run.GetProven(), sum.GetUnproven()+run.GetUnproven()
		sum.Imported, sum.Healed = sum.GetImported()+run.GetImported(), sum.GetHealed()+run.GetHealed()
		state, err := b.ask(ctx, channel, true)
		if err != nil {
			return sum, err
		}
		if bar.set(state) {
			moved = b.Clock.Now()
		}
		switch {
		case state.GetWaiting() == 0:
			return sum, nil
		case b.Clock.Now().Sub(moved) >= b.Patience:
			return sum, ErrWaits
		case run.GetProven()+run.GetUnproven() > 0:
			continue
		}
		select { // the provider's budget, or another's lease
		case <-ctx.Done():
			return sum, fmt.Errorf("backfill: %w", ctx.Err())
		case <-time.After(b.Pause):
		}
	}
}

// ask starts or counts.
func (b *Backfill) ask(ctx context.Context, channel syncv1.Channel, countOnly bool) (*syncv1.BackfillConversationsResponse, error) {
	req := &syncv1.BackfillConversationsRequest{Parent: b.Workspace, Channel: channel, ValidateOnly: countOnly}
	if !b.Since.IsZero() {
		req.Since = timestamppb.New(b.Since)
	}
	var out syncv1.BackfillConversationsResponse
	if err := b.Client.Post(ctx, "/v1/"+b.Workspace+"/conversations:backfill", req, &out); err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	return &out, nil
}

func (b *Backfill) say(format string, args ...any) error {
	if _, err := fmt.Fprintf(b.Out, format, args...); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
