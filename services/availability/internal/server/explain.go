package server

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// ExplainAvailability tells rule by rule why there are the times that there are.
func (s *Server) ExplainAvailability(ctx context.Context, req *availabilityv1.ExplainAvailabilityRequest) (*availabilityv1.ExplainAvailabilityResponse, error) {
	var bad problems
	key := bad.key(req.GetParent(), req.GetSourceKind())
	choice := slots.Choice{Zone: "UTC", Waking: req.GetTimeZone() != ""}
	if zone := bad.zone(req.GetTimeZone()); zone != nil {
		choice.Zone = zone.String()
	}
	choice.StartAfter = bad.time("start_time", req.GetStartTime())
	var lead uuid.UUID
	if req.GetLead() != "" {
		var of uuid.UUID
		if of, lead = bad.lead("lead", req.GetLead()); of != key.Workspace {
			bad.add("lead", "must be of the workspace")
		}
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, key.Workspace); err != nil {
		return nil, err
	}
	row, err := s.store.Read(ctx, key)
	if err != nil {
		return nil, toStatus(err)
	}
	choice.Now = s.clock.Now()
	if req.GetLead() != "" {
		ledger, err := s.store.OfferLedger(ctx, row.Key(), lead, choice.Now)
		if err != nil {
			return nil, toStatus(err)
		}
		choice.Exclude = ledger.ToLead
	}
	taken, err := s.store.TakenSince(ctx, row, choice.Now)
	if err != nil {
		return nil, toStatus(err)
	}
	out, err := explain(row, taken, choice)
	if err == nil && key.Kind == slots.SourceDirectBook {
		out.Rules = append([]*availabilityv1.AvailabilityRule{directBook(row)}, out.Rules...)
	}
	return out, err
}

func explain(row store.Row, taken []slots.Span, choice slots.Choice) (*availabilityv1.ExplainAvailabilityResponse, error) {
	out := &availabilityv1.ExplainAvailabilityResponse{
		State: stateProto(row.State), Reason: string(row.Reason), LastError: row.LastError, Failures: int32(row.Failures),
		NextLookTime: timestamppb.New(later(row.Due, choice.Now)), SourceKind: sourceKindProto(row.Kind),
	}
	if !row.AsOf.IsZero() {
		out.AsOfTime = timestamppb.New(row.AsOf)
	}
	out.Rules = append(out.Rules, configured(row)...)
	known := len(row.Slots)
	out.Rules = append(out.Rules, &availabilityv1.AvailabilityRule{
		Rule: "read from the calendar", Input: readInput(row), Passed: known > 0, Left: int32(known),
	})
	inside := slots.Within(row.Slots, time.Time{}, row.AsOf.Add(row.LookAhead))
	out.Rules = append(out.Rules, ruleProto(slots.Step{
		Rule: "within the look-ahead", Input: row.LookAhead.String(), Removed: known - len(inside), Left: len(inside),
	}))
	free := slots.Untaken(inside, row.Meeting, taken)
	out.Rules = append(out.Rules, ruleProto(slots.Step{
		Rule: "not taken by an appointment made since", Input: strconv.Itoa(len(taken)) + " appointments", Removed: len(inside) - len(free), Left: len(free),
	}))
	steps, err := choice.Steps(free)
	if err != nil {
		return nil, fmt.Errorf("explain availability: %w", err)
	}
	left := len(free)
	for _, step := range steps {
		out.Rules, left = append(out.Rules, ruleProto(step)), step.Left
	}
	out.Remedy = remedy(row, known, left)
	return out, nil
}

// directBook tells whether there is a calendar of its own for direct bookings; all other rules are of the default one without.
func directBook(row store.Row) *availabilityv1.AvailabilityRule {
	own := row.Kind == slots.SourceDirectBook
	rule := &availabilityv1.AvailabilityRule{Rule: "a calendar other than the default is set for direct bookings", Input: "none", Passed: own}
	if own {
		rule.Input = linkName(row.Workspace, row.Link.ID)
	}
	return rule
}

// configured are the rules that are asked before any call.
func configured(row store.Row) []*availabilityv1.AvailabilityRule {
	link, kind := "none", ""
	if row.Link != nil {
		link, kind = linkName(row.Workspace, row.Link.ID), string(row.Link.Provider)
	}
	served := row.Link != nil && slots.Check(true, row.Link.Provider, row.Meeting) == slots.ReasonNone &&
		row.Reason != slots.ReasonUnsupportedDuration && row.Reason != slots.ReasonUnsupportedCalendar
	return []*availabilityv1.AvailabilityRule{
		{Rule: linkRule(row.Kind), Input: link, Passed: row.Link != nil},
		{Rule: "the calendar serves the meeting length", Input: kind + " " + row.Meeting.String(), Passed: served},
		{Rule: "the calendar is active", Input: kind, Passed: row.Link != nil && row.Reason != slots.ReasonInactive},
	}
}

func linkRule(kind slots.SourceKind) string {
	if kind == slots.SourceDirectBook {
		return "a calendar link for direct bookings is set"
	}
	return "a default calendar link is set"
}

func readInput(row store.Row) string {
	if row.AsOf.IsZero() {
		return "never"
	}
	return row.Source + " at " + row.AsOf.UTC().Format(time.RFC3339)
}

func ruleProto(s slots.Step) *availabilityv1.AvailabilityRule {
	return &availabilityv1.AvailabilityRule{
		Rule: s.Rule, Input: s.Input, Passed: s.Left > 0, Removed: int32(s.Removed), Left: int32(s.Left),
	}
}

// remedy is what a person can do, or empty.
func remedy(row store.Row, known, left int) string {
	switch row.Reason {
	case slots.ReasonNoDefaultCalendar:
		return "create a calendar link, or make one the default (SetDefaultCalendarLink)"
	case slots.ReasonUnsupportedDuration:
		return "set a meeting length that the calendar serves, or use another calendar"
	case slots.ReasonUnsupportedCalendar:
		return "use a GoHighLevel, Calendly or HubSpot link, or an iCalendar feed with working hours"
	case slots.ReasonInactive:
		return "turn the calendar on at its provider, or make another link the default"
	case slots.ReasonUnreachable:
		return "nothing, if it passes: it is tried again by itself; if it lasts, see last_error: PROVIDER_AUTH_REVOKED wants a new token, " +
			"PROVIDER_NOT_CONNECTED a connection"
	}
	switch {
	case row.State == slots.StateNew:
		return "nothing: the calendar is read at the next look"
	case known == 0:
		return "open times at the provider, or widen the look-ahead"
	case left == 0:
		return "open more times: the ones that are known are over, or were all offered to this lead"
	default:
		return ""
	}
}

// ListAvailabilityHealth lists how the calendars of all workspaces are doing.
func (s *Server) ListAvailabilityHealth(ctx context.Context, req *availabilityv1.ListAvailabilityHealthRequest) (*availabilityv1.ListAvailabilityHealthResponse, error) {
	var bad problems
	size := bad.pageSize(req.GetPageSize())
	after := bad.pageToken(req.GetPageToken(), healthList)
	f := store.HealthFilter{Kind: bad.sourceKind(req.GetSourceKind()), FewerThan: int(req.GetFewerThan()), After: after, Page: size + 1, Now: s.clock.Now()}
	if who, ok := principal.FromContext(ctx); ok && who.Workspace != "" {
		f.Only = bad.workspace(workspacePrefix + who.Workspace)
	}
	if f.FewerThan < 0 {
		bad.add("fewer_than", "must not be negative")
	}
	for _, state := range req.GetStates() {
		name, known := stateNames[state]
		if !known {
			bad.add("states", "holds an unknown state")
			break
		}
		f.States = append(f.States, string(name))
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	rows, err := s.store.Health(ctx, f)
	if err != nil {
		return nil, toStatus(err)
	}
	out := &availabilityv1.ListAvailabilityHealthResponse{}
	if len(rows) > size {
		rows = rows[:size]
		out.NextPageToken = pageToken(healthList, rows[size-1].Workspace)
	}
	for _, h := range rows {
		out.Health = append(out.Health, healthProto(h))
	}
	return out, nil
}

func healthProto(h store.Health) *availabilityv1.AvailabilityHealth {
	out := &availabilityv1.AvailabilityHealth{
		Workspace: workspaceName(h.Workspace), State: stateProto(h.State), Reason: string(h.Reason), LastError: h.LastError,
		Failures: int32(h.Failures), NextLookTime: timestamppb.New(h.Due), Slots: int32(h.Slots), SlotsNextWeek: int32(h.SlotsWeek), SourceKind: sourceKindProto(h.Kind),
	}
	if !h.AsOf.IsZero() {
		out.AsOfTime = timestamppb.New(h.AsOf)
	}
	return out
}
