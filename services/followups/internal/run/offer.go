package run

import (
	"context"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
	"github.com/relance/relance/services/followups/internal/name"
)

// offer asks availability what to offer the lead, and has it remembered there: times are not offered to a lead twice. Asked
// again under the step's request id, it is the same offer. A workspace without a usable calendar is asked for once in a
// run. It reports false when availability did not answer.
func (p *pass) offer(ctx context.Context, w *work) (*followup.Slots, bool) {
	e, ws := w.item.Enrollment, p.workspaces[w.item.Enrollment.Workspace]
	linkOnly := !w.item.Step.NeedsSlots()
	if known := ws.calendar[linkOnly]; known != nil || ws.slotsAway {
		return known, known != nil
	}
	request := &availabilityv1.OfferSlotsRequest{
		Lead: name.Lead(e.Workspace, e.Lead), RequestId: w.item.Key().RequestID().String(), TimeZone: ws.ZoneName, LinkOnly: linkOnly,
	}
	if w.lead.Zone != nil {
		request.TimeZone = w.lead.Zone.String()
	}
	slots, ok := p.askOffer(ctx, request)
	switch {
	case !ok:
		ws.slotsAway = !over(ctx) // out of time, nothing was learned of availability
	case slots.Refusal.Reason != "":
		if ws.calendar == nil {
			ws.calendar = map[bool]*followup.Slots{}
		}
		ws.calendar[linkOnly] = slots
	}
	return slots, ok
}

func (p *pass) askOffer(ctx context.Context, request *availabilityv1.OfferSlotsRequest) (*followup.Slots, bool) {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	resp, err := p.cfg.Availability.OfferSlots(ctx, request)
	if apierr.Reason(err) == "REQUEST_ID_REUSED" {
		// A run that died offered in the zone that was known then, and nobody has said it: the lead is offered others.
		own, parseErr := uuid.Parse(request.GetRequestId())
		if parseErr != nil {
			return nil, false
		}
		request.RequestId = uuid.NewSHA1(own, []byte(request.GetTimeZone())).String()
		resp, err = p.cfg.Availability.OfferSlots(ctx, request)
	}
	if err != nil {
		return learn.NoSlots(err)
	}
	slots := &followup.Slots{Link: resp.GetOffer().GetPublicUrl(), Labels: learn.Labels(resp.GetOffer().GetSlots())}
	for _, slot := range resp.GetOffer().GetSlots() {
		if at := slot.GetStartTime().AsTime(); slot.GetStartTime() != nil && (slots.First.IsZero() || at.Before(slots.First)) {
			slots.First = at
		}
	}
	return slots, true
}
