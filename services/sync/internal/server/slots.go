package server

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
)

// maxSlotRange is the longest range that the provider answers.
const maxSlotRange = 31 * 24 * time.Hour

// ListFreeSlots reads a GHL calendar's free start times with one provider call, and how long they are with another.
func (s *Server) ListFreeSlots(ctx context.Context, req *syncv1.ListFreeSlotsRequest) (*syncv1.ListFreeSlotsResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	c.when(!lead.ValidID(req.GetCalendar()), "calendar", "must be 15 to 64 letters and digits")
	start := c.time("start_time", req.GetStartTime(), true)
	end := c.time("end_time", req.GetEndTime(), true)
	if start != nil && end != nil {
		c.when(!end.After(*start) || end.Sub(*start) > maxSlotRange, "end_time", "must be after start_time, by at most 31 days")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	row, err := s.connection(ctx, workspace)
	if err != nil {
		return nil, err
	}
	if r := sending.SetupRefusal(row.Provider, sending.ConnectionState(row.State), false); r != nil {
		return nil, refusal(*r, workspaceName(workspace), 0)
	}
	account, err := s.account(row)
	if err != nil {
		return nil, err
	}
	slots, err := s.Client.FreeSlots(ctx, account, ghl.SlotQuery{Calendar: req.GetCalendar(), Start: *start, End: *end})
	if learnErr := s.learn(ctx, row, err); learnErr != nil {
		return nil, learnErr
	}
	if err != nil {
		return nil, slotError(err, req)
	}
	out := &syncv1.ListFreeSlotsResponse{}
	if req.GetWithSlotDuration() {
		length, err := s.Client.SlotLength(ctx, account, req.GetCalendar())
		if err != nil {
			return nil, slotError(err, req)
		}
		if length > 0 {
			out.SlotDuration = durationpb.New(length)
		}
	}
	for _, t := range slots {
		out.StartTimes = append(out.StartTimes, stamp(t))
	}
	return out, nil
}

func slotError(err error, req *syncv1.ListFreeSlotsRequest) error {
	var failed *ghl.ReadError
	if !errors.As(err, &failed) {
		return err
	}
	switch {
	case failed.Verdict.Class == classify.Suspended,
		failed.Verdict.Class == classify.Retryable && failed.Verdict.Refusal.Reason == sending.ProviderRateLimited:
		return refusal(failed.Verdict.Refusal, req.GetParent(), failed.Verdict.Wait).WithCause(err)
	case failed.Status == 429:
		r := sending.Refusal{Reason: sending.ProviderRateLimited, Meta: map[string]string{"window": "burst"}}
		return refusal(r, req.GetParent(), 30*time.Second).WithCause(err)
	case failed.Status >= 400 && failed.Status < 500 && (failed.NotFound() || failed.Mentions("inactive") || failed.Mentions("not active")):
		return typed(codes.FailedPrecondition, reasonCalendarInactive, "the provider says the calendar is off or gone").
			With("calendar", req.GetCalendar()).WithPrecondition(reasonCalendarInactive, req.GetParent(), "the calendar is off or gone").WithCause(err)
	case failed.Status >= 400 && failed.Status < 500:
		r := sending.Refusal{Reason: sending.RefusedUnclassified, Meta: map[string]string{"provider_status": strconv.Itoa(failed.Status)}}
		return refusal(r, req.GetParent(), 0).WithCause(err)
	default:
		return refusal(failed.Unavailable(provider.GHL), req.GetParent(), failed.Verdict.Wait).WithCause(err)
	}
}
