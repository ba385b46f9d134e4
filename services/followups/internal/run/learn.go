package run

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
)

const leadsPerCall = 500

// workspace is what a run learned of one.
type workspace struct {
	zoneName string
	zone     *time.Location
	disabled bool
	// away tells that sync did not answer; it is asked again for the next batch.
	away bool
	// slots is nil until a step needs them.
	slots     *followup.Slots
	slotsAway bool
}

// learn reads workspaces and leads, one call each per workspace.
func (p *pass) learn(ctx context.Context, works []*work) {
	byWorkspace := map[uuid.UUID][]*work{}
	for _, w := range works {
		id := w.item.Enrollment.Workspace
		byWorkspace[id] = append(byWorkspace[id], w)
	}
	for id, group := range byWorkspace {
		known := p.workspaces[id]
		if known == nil || known.away {
			known = p.readWorkspace(ctx, id)
			p.workspaces[id] = known
		}
		if known.away || !p.readLeads(ctx, id, group) {
			for _, w := range group {
				if ctx.Err() == nil {
					w.settle(followup.Away(followup.ReasonSyncUnavailable, w.item.Enrollment, w.try.Now))
				}
			}
		}
	}
}

func (p *pass) readWorkspace(ctx context.Context, id uuid.UUID) *workspace {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, err := p.cfg.Sync.GetWorkspace(ctx, &syncv1.GetWorkspaceRequest{Name: name.Workspace(id)})
	if apierr.Code(err) == codes.NotFound {
		return &workspace{} // no zone: deferred slowly
	}
	if err != nil {
		return &workspace{away: true}
	}
	ws := resp.GetWorkspace()
	zone, err := followup.Zone(ws.GetTimeZone())
	if err != nil {
		zone = nil
	}
	return &workspace{zoneName: ws.GetTimeZone(), zone: zone, disabled: ws.GetSendingDisabled()}
}

// readLeads gives each item its lead, or nil for one that is gone. It reports false when sync did not answer.
func (p *pass) readLeads(ctx context.Context, id uuid.UUID, group []*work) bool {
	for chunk := range slices.Chunk(group, leadsPerCall) {
		req := &syncv1.BatchGetLeadsRequest{Parent: name.Workspace(id)}
		for _, w := range chunk {
			req.Names = append(req.Names, name.Lead(id, w.item.Enrollment.Lead))
		}
		slices.Sort(req.Names)
		req.Names = slices.Compact(req.Names)
		call, cancel := context.WithTimeout(ctx, readTimeout)
		resp, err := p.cfg.Sync.BatchGetLeads(call, req)
		cancel()
		if err != nil {
			return false
		}
		leads := map[string]*syncv1.Lead{}
		for _, lead := range resp.GetLeads() {
			leads[lead.GetName()] = lead
		}
		for _, w := range chunk {
			if lead, ok := leads[name.Lead(id, w.item.Enrollment.Lead)]; ok {
				w.lead = toLead(lead)
			}
		}
	}
	return true
}

func toLead(lead *syncv1.Lead) *followup.Lead {
	out := &followup.Lead{
		FirstName: lead.GetFirstName(), LastName: lead.GetLastName(), Email: lead.GetEmail(), Phone: lead.GetPhone(),
		Company: lead.GetCompanyName(), Blocked: lead.GetBlocked(),
	}
	if lead.GetLastInboundTime() != nil {
		out.LastInbound = lead.GetLastInboundTime().AsTime()
	}
	return out
}

// readSlots asks the calendar once per workspace and run. It reports false when availability did not answer.
func (p *pass) readSlots(ctx context.Context, id uuid.UUID) (*followup.Slots, bool) {
	ws := p.workspaces[id]
	if ws.slots != nil || ws.slotsAway {
		return ws.slots, !ws.slotsAway
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, err := p.cfg.Availability.GetSlots(ctx, &availabilityv1.GetSlotsRequest{Parent: name.Workspace(id), TimeZone: ws.zoneName})
	switch {
	case err == nil:
		ws.slots = &followup.Slots{Link: resp.GetPublicUrl()}
		for _, slot := range resp.GetSuggestions() {
			ws.slots.Labels = append(ws.slots.Labels, slot.GetLabel())
		}
	case apierr.Code(err) == codes.FailedPrecondition: // no default calendar, or one that cannot be served
		ws.slots = &followup.Slots{}
	case apierr.Reason(err) == "CALENDAR_UNREACHABLE":
		ws.slots = &followup.Slots{Unreachable: true}
	default:
		ws.slotsAway = true
	}
	return ws.slots, !ws.slotsAway
}
