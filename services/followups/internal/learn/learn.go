// Package learn reads from sync and availability what decisions need to know: workspaces, leads and slots. It sees only
// the reading half of those services, so that what is built on it alone cannot send.
package learn

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
)

const (
	leadsPerCall = 500
	readTimeout  = 10 * time.Second

	availabilityDomain = "availability.relance.dev"
	reused             = "REQUEST_ID_REUSED"
)

// Sync is the part of sync that only reads.
type Sync interface {
	GetWorkspace(ctx context.Context, in *syncv1.GetWorkspaceRequest, opts ...grpc.CallOption) (*syncv1.GetWorkspaceResponse, error)
	BatchGetLeads(ctx context.Context, in *syncv1.BatchGetLeadsRequest, opts ...grpc.CallOption) (*syncv1.BatchGetLeadsResponse, error)
	GetMessage(ctx context.Context, in *syncv1.GetMessageRequest, opts ...grpc.CallOption) (*syncv1.GetMessageResponse, error)
	CheckSend(ctx context.Context, in *syncv1.CheckSendRequest, opts ...grpc.CallOption) (*syncv1.CheckSendResponse, error)
}

// Availability is the part of availability that only reads.
type Availability interface {
	GetSlots(ctx context.Context, in *availabilityv1.GetSlotsRequest, opts ...grpc.CallOption) (*availabilityv1.GetSlotsResponse, error)
}

// Reader reads. It is safe for concurrent use.
type Reader struct {
	// Sync and Availability are asked.
	Sync         Sync
	Availability Availability
}

// Workspace is what sync knows of one.
type Workspace struct {
	// ZoneName is as sync has it; Zone is nil when it is not one.
	ZoneName string
	Zone     *time.Location
	// SendingDisabled is the kill switch.
	SendingDisabled bool
}

// Workspace reads one. A workspace that sync does not know has no zone. It reports false when sync did not answer.
func (r Reader) Workspace(ctx context.Context, id uuid.UUID) (Workspace, bool) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, err := r.Sync.GetWorkspace(ctx, &syncv1.GetWorkspaceRequest{Name: name.Workspace(id)})
	if apierr.Code(err) == codes.NotFound {
		return Workspace{}, true
	}
	if err != nil {
		return Workspace{}, false
	}
	ws := resp.GetWorkspace()
	zone, err := followup.Zone(ws.GetTimeZone())
	if err != nil {
		zone = nil
	}
	return Workspace{ZoneName: ws.GetTimeZone(), Zone: zone, SendingDisabled: ws.GetSendingDisabled()}, true
}

// Leads reads leads of a workspace; one that is gone is not in the answer. It reports false when sync did not answer.
func (r Reader) Leads(ctx context.Context, workspace uuid.UUID, ids []uuid.UUID) (map[uuid.UUID]*followup.Lead, bool) {
	out := make(map[uuid.UUID]*followup.Lead, len(ids))
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	for chunk := range slices.Chunk(slices.Compact(ids), leadsPerCall) {
		if !r.chunk(ctx, workspace, chunk, out) {
			return nil, false
		}
	}
	return out, true
}

func (r Reader) chunk(ctx context.Context, workspace uuid.UUID, ids []uuid.UUID, out map[uuid.UUID]*followup.Lead) bool {
	req := &syncv1.BatchGetLeadsRequest{Parent: name.Workspace(workspace)}
	for _, id := range ids {
		req.Names = append(req.Names, name.Lead(workspace, id))
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, err := r.Sync.BatchGetLeads(ctx, req)
	if err != nil {
		return false
	}
	for _, lead := range resp.GetLeads() {
		if _, id, err := name.ParseChild(lead.GetName(), "leads"); err == nil {
			out[id] = toLead(lead)
		}
	}
	return true
}

func toLead(lead *syncv1.Lead) *followup.Lead {
	out := &followup.Lead{
		FirstName: lead.GetFirstName(), LastName: lead.GetLastName(), Email: lead.GetEmail(), Phone: lead.GetPhone(),
		Company: lead.GetCompanyName(), Blocked: lead.GetBlocked(),
	}
	if zone, err := followup.Zone(lead.GetTimeZone()); err == nil {
		out.Zone = zone
	}
	if lead.GetLastInboundTime() != nil {
		out.LastInbound = lead.GetLastInboundTime().AsTime()
	}
	if lead.GetLastOutboundTime() != nil {
		out.LastOutbound = lead.GetLastOutboundTime().AsTime()
	}
	return out
}

// Slots reads what the calendar of a workspace could offer in zone, without offering it to anybody. It reports false when
// availability did not answer.
func (r Reader) Slots(ctx context.Context, id uuid.UUID, zone string) (*followup.Slots, bool) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, err := r.Availability.GetSlots(ctx, &availabilityv1.GetSlotsRequest{Parent: name.Workspace(id), TimeZone: zone})
	if err != nil {
		return NoSlots(err)
	}
	return &followup.Slots{Link: resp.GetPublicUrl(), Labels: Labels(resp.GetSuggestions())}, true
}

// Labels are the slots as they are said.
func Labels(slots []*availabilityv1.Slot) []string {
	var labels []string
	for _, slot := range slots {
		labels = append(labels, slot.GetLabel())
	}
	return labels
}

// NoSlots is what a typed refusal of availability tells of the calendar. It reports false for every other error: then
// availability did not answer.
func NoSlots(err error) (*followup.Slots, bool) {
	typed, ok := apierr.From(err)
	if !ok || typed.Domain != availabilityDomain {
		return nil, false
	}
	if _, known := (followup.Layers{}).Resolve(typed.Reason); !known || typed.Reason == reused {
		return nil, false
	}
	return &followup.Slots{Refusal: followup.Refusal{Reason: typed.Reason, Metadata: typed.Metadata, RetryAfter: typed.RetryAfter}}, true
}
