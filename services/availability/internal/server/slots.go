package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// query is a validated GetSlotsRequest.
type query struct {
	key       slots.Key
	zone      *time.Location
	zoneAsked bool
	// notBefore bounds when the slots were read; zero for no bound.
	notBefore  time.Time
	start, end time.Time
}

// GetSlots serves slots from the cache, refreshing a stale row once however many ask.
func (s *Server) GetSlots(ctx context.Context, req *availabilityv1.GetSlotsRequest) (*availabilityv1.GetSlotsResponse, error) {
	now := s.clock.Now()
	q, err := readQuery(req, now)
	if err != nil {
		return nil, err
	}
	v, now, err := s.known(ctx, q.key, q.notBefore)
	if err != nil {
		return nil, err
	}
	return q.answer(v, now)
}

// known gives what is known of the calendar, fresh as the cache allows, when it can be offered from, and the time of the
// answer. It lets in only who may see the workspace.
func (s *Server) known(ctx context.Context, key slots.Key, notBefore time.Time) (*view, time.Time, error) {
	v, err := s.view(ctx, key, notBefore)
	now := s.clock.Now()
	if err != nil {
		return nil, now, err
	}
	row := v.row
	if err := noSlots(row); err != nil {
		return nil, now, err
	}
	tooOld := row.AsOf.IsZero() || row.AsOf.Before(notBefore)
	over := len(v.between(now, time.Time{})) == 0
	if row.State == slots.StateUnreachable && (tooOld || over) || row.State == slots.StateNew || row.Link == nil {
		return nil, now, unreachable(row, now)
	}
	return v, now, nil
}

func readQuery(req *availabilityv1.GetSlotsRequest, now time.Time) (query, error) {
	var bad problems
	q := query{key: bad.key(req.GetParent(), req.GetSourceKind()), zone: time.UTC, zoneAsked: req.GetTimeZone() != ""}
	if zone := bad.zone(req.GetTimeZone()); zone != nil {
		q.zone = zone
	}
	q.notBefore = bad.maxAge(req.GetMaxAge(), now)
	q.start = bad.time("start_time", req.GetStartTime())
	q.end = bad.time("end_time", req.GetEndTime())
	if !q.end.IsZero() && !q.end.After(q.start) {
		bad.add("end_time", "must be after start_time")
	}
	return q, bad.err()
}

// zone reads an optional zone; nil when there is none.
func (p *problems) zone(name string) *time.Location {
	if name == "" {
		return nil
	}
	zone, err := slots.Zone(name)
	if err != nil {
		p.add("time_zone", "must be an IANA zone such as America/New_York")
	}
	return zone
}

// maxAge gives the time before which nothing may have been read; zero for no bound.
func (p *problems) maxAge(age *durationpb.Duration, now time.Time) time.Time {
	if age == nil {
		return time.Time{}
	}
	if age.CheckValid() != nil || age.AsDuration() < 0 {
		p.add("max_age", "must not be negative")
	}
	return now.Add(-age.AsDuration())
}

func (p *problems) time(field string, value *timestamppb.Timestamp) time.Time {
	if value == nil {
		return time.Time{}
	}
	if value.CheckValid() != nil {
		p.add(field, "is not a time")
	}
	return value.AsTime()
}

func (q query) answer(v *view, now time.Time) (*availabilityv1.GetSlotsResponse, error) {
	row := v.row
	said, err := v.in(q.zone)
	if err != nil {
		return nil, err
	}
	anchor := later(now, q.start)
	from, to := v.span(anchor, q.end)
	out := &availabilityv1.GetSlotsResponse{
		// A cache whose last free time has passed, or a window without any, is empty to this caller.
		State: stateProto(stateOf(row, v.starts[from:to])), AsOfTime: timestamppb.New(row.AsOf), CalendarLink: defaultName(row),
		PublicUrl: row.Link.PublicURL, Source: row.Source, SourceKind: sourceKindProto(row.Kind),
	}
	// The field slots, encoded before: what is unknown to a message goes over the wire as it is, and is known again to who
	// receives it.
	out.ProtoReflect().SetUnknown(said.encoded(from, to))
	near := v.index(anchor.Add(slots.PreferWithin + 1))
	out.Suggestions = said.suggestions(part{from: from, to: to, near: near, waking: q.zoneAsked}, func() []time.Time {
		return slots.Distribute(v.starts[from:to], slots.Choice{
			Zone: q.zone.String(), Now: now, StartAfter: q.start, Waking: q.zoneAsked,
		})
	})
	return out, nil
}

func defaultName(row store.Row) string {
	if row.Link == nil {
		return workspaceName(row.Workspace)
	}
	return linkName(row.Workspace, row.Link.ID)
}

// stateNames are the states of the API; StateNew is its UNSPECIFIED.
var stateNames = map[availabilityv1.AvailabilityState]slots.State{
	availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNSPECIFIED:  slots.StateNew,
	availabilityv1.AvailabilityState_AVAILABILITY_STATE_OK:           slots.StateOK,
	availabilityv1.AvailabilityState_AVAILABILITY_STATE_EMPTY:        slots.StateEmpty,
	availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNREACHABLE:  slots.StateUnreachable,
	availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNCONFIGURED: slots.StateUnconfigured,
}

func stateProto(state slots.State) availabilityv1.AvailabilityState {
	for value, name := range stateNames {
		if name == state {
			return value
		}
	}
	return availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNSPECIFIED
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
