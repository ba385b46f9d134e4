package server

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/clock"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/breaker"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

func stamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }

func optStamp(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

func workspaceProto(w db.OneWorkspaceRow) *syncv1.Workspace {
	return &syncv1.Workspace{
		Name: workspaceName(w.ID), DisplayName: w.DisplayName, TimeZone: w.TimeZone, GhlLocation: w.Location,
		CreateTime: stamp(w.CreateTime), UpdateTime: stamp(w.UpdateTime), SendingDisabled: w.SendingDisabled, Agency: w.Agency,
		UnknownPolicy: syncv1.UnknownPolicy(syncv1.UnknownPolicy_value["UNKNOWN_POLICY_"+strings.ToUpper(w.UnknownPolicy)]),
		ContactPolicy: policyProto(w.ContactPolicy), OptOutConfirmation: w.OptOutConfirmation, CreateContacts: w.CreateContacts,
	}
}

func connectionProto(c db.Connection) *syncv1.Connection {
	b := breaker.State{Until: store.Deref(c.BreakerUntil)}
	return &syncv1.Connection{
		BreakerState: syncv1.BreakerState(syncv1.BreakerState_value["BREAKER_STATE_"+string(b.Kind(clock.System().Now()))]), BreakerTime: optStamp(c.BreakerUntil),
		Name: workspaceName(c.WorkspaceID) + "/connections/" + c.Provider, Location: c.Location, Provider: c.Provider, BaseUrl: c.BaseUrl, Agency: c.Company,
		Auth:      syncv1.ConnectionAuth(syncv1.ConnectionAuth_value["CONNECTION_AUTH_"+c.Auth]),
		State:     syncv1.ConnectionState(syncv1.ConnectionState_value["CONNECTION_STATE_"+c.State]),
		StateTime: stamp(c.StateTime), LastWebhookTime: optStamp(c.LastWebhookTime), LastSuccessTime: optStamp(c.LastSuccessTime),
	}
}

func channelProto(channel string) syncv1.Channel {
	switch sending.Channel(channel) {
	case sending.SMS:
		return syncv1.Channel_CHANNEL_SMS
	case sending.Email:
		return syncv1.Channel_CHANNEL_EMAIL
	default:
		return syncv1.Channel_CHANNEL_UNSPECIFIED
	}
}

func leadProto(l db.Lead, channels []db.LeadChannelsRow) *syncv1.Lead {
	out := &syncv1.Lead{
		Name: leadName(l.WorkspaceID, l.ID), GhlContactId: store.Deref(l.GhlContactID), FirstName: l.FirstName, LastName: l.LastName,
		Email: store.Deref(l.Email), Phone: store.Deref(l.Phone), TimeZone: l.TimeZone, CompanyName: l.CompanyName, Blocked: l.Blocked,
		TimeZoneSource: l.TimeZoneSource, State: l.State, Country: l.Country, InboundDndTime: optStamp(l.InboundDndTime),
		UnblockedBy: l.UnblockedBy, UnblockReason: l.UnblockReason, UnblockTime: optStamp(l.UnblockTime),
		LastInboundTime: optStamp(l.LastInboundTime), LastOutboundTime: optStamp(l.LastOutboundTime),
		CreateTime: stamp(l.CreateTime), UpdateTime: stamp(l.UpdateTime),
	}
	for _, c := range channels {
		if c.LeadID != l.ID || c.Status == string(sending.Open) {
			continue
		}
		out.Channels = append(out.Channels, &syncv1.ChannelState{
			Channel: channelProto(c.Channel), Status: syncv1.ChannelStatus(syncv1.ChannelStatus_value["CHANNEL_STATUS_"+c.Status]),
			Source: c.Source, UpdateTime: stamp(c.UpdateTime), PushState: pushState(c.Push), PushConfirmTime: optStamp(c.ConfirmTime),
		})
	}
	return out
}

func (s *Server) messageProto(r db.MessageRow) (*syncv1.Message, error) {
	subject, body, err := s.Store.Text(r.Message)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	m := r.Message
	out := &syncv1.Message{
		Name: messageName(m.WorkspaceID, m.ID), Lead: leadName(m.WorkspaceID, m.LeadID), Channel: channelProto(m.Channel),
		Direction: syncv1.Direction_DIRECTION_OUTBOUND, State: syncv1.MessageState(syncv1.MessageState_value["MESSAGE_STATE_"+r.State]),
		RefusalReason: r.Reason, Subject: subject, Body: body, ProviderMessageId: store.Deref(m.ProviderMessageID),
		Provider: r.Provider, DeliveryStatus: r.Delivery, DuplicateSuspected: r.DuplicateSuspected,
		Resolution:   syncv1.Resolution(syncv1.Resolution_value["RESOLUTION_"+r.Resolution]),
		AttemptCount: r.Attempt, MessageTime: stamp(m.MessageTime), CreateTime: stamp(m.CreateTime),
	}
	if m.Direction == "inbound" {
		out.Direction = syncv1.Direction_DIRECTION_INBOUND
	}
	if r.RequestID != nil {
		out.RequestId = r.RequestID.String()
	}
	if r.Replaces != nil {
		out.Replaces = messageName(m.WorkspaceID, *r.Replaces)
	}
	if r.ReplyTo != nil {
		out.ReplyTo = messageName(m.WorkspaceID, *r.ReplyTo)
	}
	if sending.State(r.State) == sending.Retryable {
		out.NextAttemptTime = optStamp(r.NextTime)
	}
	return out, nil
}

func webhookProto(r db.ListInboxRow) *syncv1.WebhookEvent {
	out := &syncv1.WebhookEvent{
		Name: eventName(r.ID), Source: sourceProto(r.Source), EventType: r.EventType,
		State: webhookState(r.State), ErrorReason: r.ErrorReason, WebhookId: r.WebhookID,
		CreateTime: stamp(r.CreateTime), ProcessTime: optStamp(r.ProcessTime), RepeatCount: r.Repeats, ReplayCount: r.Replays,
		BodySha256: r.BodySha256,
	}
	if r.WorkspaceID != nil {
		out.Workspace = workspaceName(*r.WorkspaceID)
	}
	return out
}

func webhookState(state string) syncv1.WebhookState {
	return syncv1.WebhookState(syncv1.WebhookState_value["WEBHOOK_STATE_"+state])
}
