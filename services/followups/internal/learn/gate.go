package learn

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
)

const (
	checksPerCall = 500
	callsAtOnce   = 4
)

// Gate asks sync's gate about messages of a workspace, without sending any. The questions of a group are of one lead and
// in order of time: what is let through counts for the caps of those after it.
func (r Reader) Gate(workspace uuid.UUID) func(context.Context, [][]followup.Ask) ([][]followup.Said, error) {
	return func(ctx context.Context, groups [][]followup.Ask) ([][]followup.Said, error) {
		out := make([][]followup.Said, len(groups))
		calls, ctx := errgroup.WithContext(ctx)
		calls.SetLimit(callsAtOnce)
		for _, span := range spans(groups) {
			calls.Go(func() error {
				said, err := r.check(ctx, workspace, groups[span.from:span.to])
				copy(out[span.from:], said)
				return err
			})
		}
		return out, calls.Wait()
	}
}

type span struct{ from, to int }

// spans cuts groups into calls: not too many questions, and no lead twice, since in one call its groups would count for
// each other.
func spans(groups [][]followup.Ask) []span {
	var out []span
	current, size, seen := span{}, 0, map[uuid.UUID]bool{}
	for i, group := range groups {
		if len(group) == 0 {
			current.to = i + 1
			continue
		}
		lead := group[0].Lead
		if size > 0 && (size+len(group) > checksPerCall || seen[lead]) {
			out = append(out, current)
			current, size, seen = span{from: i}, 0, map[uuid.UUID]bool{}
		}
		current.to, size, seen[lead] = i+1, size+len(group), true
	}
	if size > 0 {
		out = append(out, current)
	}
	return out
}

func (r Reader) check(ctx context.Context, workspace uuid.UUID, groups [][]followup.Ask) ([][]followup.Said, error) {
	req := &syncv1.CheckSendRequest{Parent: name.Workspace(workspace), Accumulate: true}
	for _, group := range groups {
		for _, ask := range group {
			req.Checks = append(req.Checks, &syncv1.SendCheck{
				Lead: name.Lead(workspace, ask.Lead), Channel: Channel(ask.Channel), Time: timestamppb.New(ask.At),
			})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, err := r.Sync.CheckSend(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("ask sync's gate: %w", err)
	}
	if len(resp.GetResults()) != len(req.GetChecks()) {
		return nil, fmt.Errorf("ask sync's gate: %d answers to %d questions", len(resp.GetResults()), len(req.GetChecks()))
	}
	out, next := make([][]followup.Said, len(groups)), resp.GetResults()
	for i, group := range groups {
		for _, result := range next[:len(group)] {
			out[i] = append(out[i], toSaid(result))
		}
		next = next[len(group):]
	}
	return out, nil
}

func toSaid(in *syncv1.SendCheckResult) followup.Said {
	out := followup.Said{Rule: in.GetRule(), Source: in.GetSource()}
	if in.GetVerdict() != syncv1.SendVerdict_SEND_VERDICT_ALLOW {
		out.Refusal = followup.Refusal{Reason: in.GetReason(), Metadata: in.GetMetadata()}
		out.Waits = in.GetVerdict() == syncv1.SendVerdict_SEND_VERDICT_DEFER
		out.NoCommonHour = in.GetNoCommonHour()
	}
	return out
}

// Channel is sync's word for a channel on which messages leave.
func Channel(channel followup.Channel) syncv1.Channel {
	if channel == followup.Email {
		return syncv1.Channel_CHANNEL_EMAIL
	}
	return syncv1.Channel_CHANNEL_SMS
}
