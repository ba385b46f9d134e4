package server

import (
	"context"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/simulate"
	"github.com/relance/relance/services/followups/internal/store"
)

// pinned names one version of a sequence.
type pinned struct {
	sequence uuid.UUID
	version  int
}

// versions are steps that have been read.
type versions map[pinned][]followup.Step

type versionReader interface {
	GetVersion(ctx context.Context, workspace, sequence uuid.UUID, version int) ([]followup.Step, error)
}

func (v versions) of(ctx context.Context, rows versionReader, workspace uuid.UUID, at pinned) ([]followup.Step, error) {
	if steps, known := v[at]; known {
		return steps, nil
	}
	steps, err := rows.GetVersion(ctx, workspace, at.sequence, at.version)
	if err == nil {
		v[at] = steps
	}
	return steps, err
}

// life is what an enrollment has of its own, for a look ahead beside another one of its lead.
func (v versions) life(ctx context.Context, rows versionReader, item store.Item) (followup.Life, error) {
	e := item.Enrollment
	steps, err := v.of(ctx, rows, e.Workspace, pinned{e.Sequence, e.Version})
	return followup.Life{
		In: followup.Input{
			Enrollment: e, Planned: item.Planned, SequenceActive: item.SequenceActive, ContinueOnReply: item.ContinueOnReply,
			Meeting: item.Meeting,
		},
		Outlook: followup.Outlook{Steps: steps, Try: followup.Try{Policy: item.Policy()}},
	}, err
}

// beside gives the subjects their leads' running enrollments in other sequences, and adds the messages of those to own.
func (s *simulation) beside(ctx context.Context, subjects []simulate.Subject, own map[uuid.UUID][]uuid.UUID) error {
	leads, at := make([]uuid.UUID, len(subjects)), map[uuid.UUID]int{}
	for i, subject := range subjects {
		leads[i], at[subject.Enrollment.Lead] = subject.Enrollment.Lead, i
	}
	items, err := s.rows.ListBeside(ctx, s.workspace, s.sequence, leads)
	if err != nil {
		return mapped(err, "sequence", "")
	}
	for _, item := range items {
		life, err := s.versions.life(ctx, s.rows, item)
		if err != nil {
			return mapped(err, "sequence", "")
		}
		s.readSlots(ctx, life.Outlook.Steps)
		lead := item.Enrollment.Lead
		if item.Step != nil {
			own[lead] = append(own[lead], item.Key().RequestID())
		}
		i := at[lead]
		subjects[i].Beside = append(subjects[i].Beside, life)
	}
	return nil
}
