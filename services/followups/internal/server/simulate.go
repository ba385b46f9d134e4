package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/simulate"
	"github.com/relance/relance/services/followups/internal/store"
)

const (
	maxCohort      = 10_000
	simulatedPart  = 500
	defaultHorizon = 90 * 24 * time.Hour
	// maxHorizon is a day less than sync's gate looks ahead, for clocks that differ.
	maxHorizon = 399 * 24 * time.Hour
)

// simulated is the part of the store that simulations read, in transactions that cannot write.
type simulated interface {
	GetSimulated(ctx context.Context, workspace, sequence uuid.UUID) (store.Simulated, error)
	GetVersion(ctx context.Context, workspace, sequence uuid.UUID, version int) ([]followup.Step, error)
	CountRunning(ctx context.Context, workspace, sequence uuid.UUID) (int, error)
	ListRunning(ctx context.Context, workspace, sequence uuid.UUID, page store.Page) ([]store.Item, error)
	ListPlaces(ctx context.Context, workspace uuid.UUID, from time.Time, own map[uuid.UUID][]uuid.UUID) (map[uuid.UUID]map[followup.DayPlace]int, error)
	ListBeside(ctx context.Context, workspace, sequence uuid.UUID, leads []uuid.UUID) ([]store.Item, error)
	ListConnected(ctx context.Context, workspace uuid.UUID, leads []uuid.UUID) (map[uuid.UUID]bool, error)
}

// simulation is one call of SimulateSequence. It holds nothing that can send or write; a test walks its types.
type simulation struct {
	rows                simulated
	reader              learn.Reader
	now                 time.Time
	maxAttempts         int
	workspace, sequence uuid.UUID
	cohort              simulate.Cohort
	stream              grpc.ServerStreamingServer[followupsv1.SimulateSequenceResponse]
	counts              simulate.Counts
	total               int
	// versions are the steps that enrollments are pinned to.
	versions versions
	// slotsAsked tells that the calendar was read, whatever it answered.
	slotsAsked bool
	zoneName   string
}

// SimulateSequence foretells what a sequence would do. It reads in transactions that cannot write, and plans in a package
// that cannot send.
func (s *Server) SimulateSequence(req *followupsv1.SimulateSequenceRequest,
	stream grpc.ServerStreamingServer[followupsv1.SimulateSequenceResponse],
) error {
	ctx := stream.Context()
	workspace, sequence, err := child(ctx, "name", req.GetName(), "sequences")
	if err != nil {
		return err
	}
	sim := &simulation{
		rows: s.cfg.Store, reader: s.reader, now: s.now(), maxAttempts: s.cfg.MaxAttempts,
		workspace: workspace, sequence: sequence, stream: stream, versions: versions{},
	}
	leads, err := sim.read(req)
	if err != nil {
		return err
	}
	if err := sim.learn(ctx, req.GetName()); err != nil {
		return err
	}
	if len(leads) > 0 {
		err = sim.leads(ctx, leads)
	} else {
		err = sim.running(ctx)
	}
	if err != nil {
		return err
	}
	return stream.Send(&followupsv1.SimulateSequenceResponse{Done: int32(sim.total), Total: int32(sim.total), Counts: sim.countsPB()})
}

// read checks the request and lists every bad field at once.
func (s *simulation) read(req *followupsv1.SimulateSequenceRequest) ([]uuid.UUID, error) {
	var violations []apierr.FieldViolation
	bad := func(field, text string) {
		violations = append(violations, apierr.FieldViolation{Field: field, Description: text})
	}
	if len(req.GetLeads()) > maxCohort {
		return nil, invalid("leads", fmt.Sprintf("must be at most %d", maxCohort))
	}
	var leads []uuid.UUID
	for i, text := range req.GetLeads() {
		of, id, err := name.ParseChild(text, "leads")
		if err != nil || of != s.workspace {
			bad(fmt.Sprintf("leads[%d]", i), "must be a lead of the sequence's workspace")
		}
		leads = append(leads, id)
	}
	s.cohort.From = s.now
	if at := req.GetFromTime(); at != nil {
		if s.cohort.From = at.AsTime(); at.CheckValid() != nil {
			bad("from_time", "is not a time")
		}
	}
	s.cohort.To = s.cohort.From.Add(defaultHorizon)
	if at := req.GetToTime(); at != nil {
		if s.cohort.To = at.AsTime(); at.CheckValid() != nil {
			bad("to_time", "is not a time")
		}
	}
	if !s.cohort.To.After(s.cohort.From) || s.cohort.To.Sub(s.now) > maxHorizon {
		bad("to_time", "must be after from_time, and at most 399 days ahead of now")
	}
	if len(violations) > 0 {
		return nil, apierr.Invalid(violations...)
	}
	return leads, nil
}

// learn reads what all leads have in common.
func (s *simulation) learn(ctx context.Context, subject string) error {
	stored, err := s.rows.GetSimulated(ctx, s.workspace, s.sequence)
	if err != nil {
		return mapped(err, "sequence", subject)
	}
	workspace, ok := s.reader.Workspace(ctx, s.workspace)
	if !ok {
		return apierr.Unavailable("the workspace cannot be read now", nil)
	}
	s.cohort.Steps, s.cohort.Settings = stored.Sequence.Steps, stored.Settings.Settings
	s.cohort.Zone, s.cohort.SendingDisabled, s.cohort.Active = workspace.Zone, workspace.SendingDisabled, true
	s.cohort.ContinueOnReply = stored.Sequence.ContinueOnReply
	s.cohort.Try = followup.Try{Max: s.maxAttempts, Policy: followup.Layers{
		Workspace: stored.Settings.Refusals, Sequence: stored.Sequence.Refusals,
	}}
	s.cohort.Gate = s.reader.Gate(s.workspace)
	s.versions[pinned{s.sequence, stored.Sequence.Version}] = stored.Sequence.Steps
	s.zoneName = workspace.ZoneName
	s.readSlots(ctx, s.cohort.Steps)
	return nil
}

// readSlots reads the calendar once, when steps need it.
func (s *simulation) readSlots(ctx context.Context, steps []followup.Step) {
	if s.slotsAsked || !slices.ContainsFunc(steps, followup.Step.NeedsCalendar) {
		return
	}
	s.slotsAsked = true
	s.cohort.Slots, _ = s.reader.Slots(ctx, s.workspace, s.zoneName)
}

func (s *simulation) leads(ctx context.Context, ids []uuid.UUID) error {
	s.total = len(ids)
	for part := range slices.Chunk(ids, simulatedPart) {
		leads, ok := s.reader.Leads(ctx, s.workspace, part)
		if !ok {
			return apierr.Unavailable("the leads cannot be read now", nil)
		}
		connected, err := s.rows.ListConnected(ctx, s.workspace, part)
		if err != nil {
			return mapped(err, "sequence", "")
		}
		subjects := make([]simulate.Subject, len(part))
		for i, id := range part {
			if lead := leads[id]; lead != nil {
				lead.LinkedInConnected = connected[id]
			}
			subjects[i] = s.cohort.Begin(id, leads[id])
		}
		if err := s.part(ctx, s.cohort, subjects, map[uuid.UUID][]uuid.UUID{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulation) running(ctx context.Context) (err error) {
	if s.total, err = s.rows.CountRunning(ctx, s.workspace, s.sequence); err != nil {
		return mapped(err, "sequence", "")
	}
	for page := (store.Page{Size: simulatedPart}); ; {
		items, err := s.rows.ListRunning(ctx, s.workspace, s.sequence, page)
		if err != nil {
			return mapped(err, "sequence", "")
		}
		if len(items) == 0 {
			return nil
		}
		page.After = items[len(items)-1].Enrollment.ID
		if err := s.items(ctx, items); err != nil {
			return err
		}
	}
}

// items plans running enrollments, each by the steps of its own version.
func (s *simulation) items(ctx context.Context, items []store.Item) error {
	ids, own := make([]uuid.UUID, len(items)), map[uuid.UUID][]uuid.UUID{}
	byVersion := map[int][]simulate.Subject{}
	for i, item := range items {
		ids[i] = item.Enrollment.Lead
		if item.Step != nil {
			own[ids[i]] = append(own[ids[i]], item.Key().RequestID())
		}
	}
	leads, ok := s.reader.Leads(ctx, s.workspace, ids)
	if !ok {
		return apierr.Unavailable("the leads cannot be read now", nil)
	}
	for _, item := range items {
		e := item.Enrollment
		if lead := leads[e.Lead]; lead != nil {
			lead.LinkedInConnected = item.LinkedInConnected
		}
		byVersion[e.Version] = append(byVersion[e.Version], simulate.Subject{Enrollment: e, Lead: leads[e.Lead], Planned: item.Planned, Meeting: item.Meeting})
	}
	for version, subjects := range byVersion {
		steps, err := s.versions.of(ctx, s.rows, s.workspace, pinned{s.sequence, version})
		if err != nil {
			return mapped(err, "sequence", "")
		}
		cohort := s.cohort
		cohort.Steps = steps
		if err := s.part(ctx, cohort, subjects, own); err != nil {
			return err
		}
	}
	return nil
}

// places tells the subjects which of their days other messages fill; own are the messages that are foretold.
func (s *simulation) places(ctx context.Context, subjects []simulate.Subject, own map[uuid.UUID][]uuid.UUID) error {
	if s.cohort.Settings.DailyCap == 0 || s.cohort.Zone == nil {
		return nil
	}
	for _, subject := range subjects {
		lead := subject.Enrollment.Lead
		own[lead] = append(own[lead], uuid.Nil) // ListPlaces reads the leads that own has
	}
	taken, err := s.rows.ListPlaces(ctx, s.workspace, followup.DayOf(s.cohort.From, s.cohort.Zone), own)
	if err != nil {
		return mapped(err, "sequence", "")
	}
	for i := range subjects {
		subjects[i].Taken = taken[subjects[i].Enrollment.Lead]
	}
	return nil
}

func (s *simulation) part(ctx context.Context, cohort simulate.Cohort, subjects []simulate.Subject, own map[uuid.UUID][]uuid.UUID) error {
	if err := s.beside(ctx, subjects, own); err != nil {
		return err
	}
	if err := s.places(ctx, subjects, own); err != nil {
		return err
	}
	cohort.Slots = s.cohort.Slots // the sequences beside may have been the first to need them
	plans, err := simulate.Run(ctx, cohort, subjects)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return apierr.Unavailable("sync's gate cannot be asked now", err)
	}
	out := &followupsv1.SimulateSequenceResponse{Total: int32(s.total)}
	for _, plan := range plans {
		s.counts.Add(plan)
		out.Plans = append(out.Plans, s.planPB(plan))
	}
	out.Done = int32(s.counts.Leads)
	return s.stream.Send(out)
}
