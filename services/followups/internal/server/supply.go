package server

import (
	"context"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
)

// supply learns what the workspace can fill the templates with and send through. What cannot be learned now is not held
// against it.
func (s *Server) supply(ctx context.Context, workspace uuid.UUID, seq followup.Sequence, settings followup.Settings) followup.Supply {
	out := followup.Supply{Settings: settings}
	if slices.ContainsFunc(seq.Steps, func(step followup.Step) bool { return step.Channel.Automatic() }) {
		out.Closed = s.setup.Closed(ctx, workspace)
	}
	if !slices.ContainsFunc(seq.Steps, followup.Step.NeedsCalendar) {
		return out
	}
	known, ok := s.reader.Workspace(ctx, workspace)
	if !ok {
		return out
	}
	if slots, ok := s.reader.Slots(ctx, workspace, known.ZoneName); ok {
		out.Calendar = slots.Refusal.Reason
	}
	return out
}

// supplyOf learns for a sequence that is about to be active.
func (s *Server) supplyOf(ctx context.Context, workspace uuid.UUID, seq followup.Sequence) (*followup.Supply, error) {
	settings, err := s.cfg.Store.GetSettings(ctx, workspace)
	if err != nil {
		return nil, mapped(err, "workspace", "")
	}
	out := s.supply(ctx, workspace, seq, settings.Settings)
	return &out, nil
}

// supplyToActivate learns when a change makes a sequence active, or changes what an active one does; otherwise it is nil.
// It asks other services, so it comes before the transaction of the change.
func (s *Server) supplyToActivate(ctx context.Context, workspace, id uuid.UUID, change func(*followup.Sequence)) (*followup.Supply, error) {
	before, err := s.cfg.Store.GetSequence(ctx, workspace, id)
	if err != nil {
		return nil, err
	}
	after := before.Sequence
	change(&after)
	same := before.Active && reflect.DeepEqual(before.Steps, after.Steps) && before.Trigger == after.Trigger
	if !after.Active || same {
		return nil, nil
	}
	return s.supplyOf(ctx, workspace, after)
}
