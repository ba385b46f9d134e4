package server

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Reasons of ResolveMessage.
const (
	reasonNotParked = "MESSAGE_NOT_PARKED"
	reasonClaimed   = "PROVIDER_MESSAGE_CLAIMED"
)

// ResolveMessage records what a person found out about a parked message.
func (s *Server) ResolveMessage(ctx context.Context, req *syncv1.ResolveMessageRequest) (*syncv1.ResolveMessageResponse, error) {
	var c check
	in := sender.Resolution{ProviderID: req.GetProviderMessageId()}
	in.Workspace, in.Message = c.child("name", req.GetName(), "messages")
	in.RequestID = c.id("request_id", req.GetRequestId())
	switch req.GetResolution() {
	case syncv1.Resolution_RESOLUTION_ACCEPTED:
		in.Decision = sender.DecideAccepted
		c.when(!lead.ValidID(in.ProviderID), "provider_message_id", "must be the provider's id of the message: 15 to 64 letters and digits")
	case syncv1.Resolution_RESOLUTION_NOT_SENT:
		in.Decision = sender.DecideNotSent
	case syncv1.Resolution_RESOLUTION_SEND_AGAIN:
		in.Decision = sender.DecideSendAgain
	default:
		c.add("resolution", "must be RESOLUTION_ACCEPTED, RESOLUTION_NOT_SENT or RESOLUTION_SEND_AGAIN")
	}
	c.when(in.Decision != sender.DecideAccepted && in.ProviderID != "", "provider_message_id", "is for RESOLUTION_ACCEPTED only")
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := authorize(ctx, in.Workspace); err != nil {
		return nil, err
	}
	who, _ := principal.FromContext(ctx)
	in.Principal = who.String()
	again, err := s.Sender.Resolve(ctx, in)
	if err != nil {
		return nil, resolveError(err, req, in.Workspace)
	}
	return s.resolved(ctx, in, again)
}

func (s *Server) resolved(ctx context.Context, in sender.Resolution, again *uuid.UUID) (*syncv1.ResolveMessageResponse, error) {
	out := &syncv1.ResolveMessageResponse{}
	var err error
	if out.Message, err = s.message(ctx, in.Workspace, in.Message); err != nil {
		return nil, err
	}
	if again != nil {
		out.NewMessage, err = s.message(ctx, in.Workspace, *again)
	}
	return out, err
}

func resolveError(err error, req *syncv1.ResolveMessageRequest, workspace uuid.UUID) error {
	var reused *sending.ReusedError
	var parked *sender.NotParkedError
	var claimed *sender.ClaimedError
	switch {
	case errors.As(err, &reused):
		return requestReused(reused, req.GetName(), "this request_id was used for another decision; a new decision needs a new id")
	case errors.As(err, &parked):
		const text = "only a parked message can be resolved, once; one that was provably not sent cannot be accepted"
		return typed(codes.FailedPrecondition, reasonNotParked, text).
			With("state", string(parked.State)).WithPrecondition(reasonNotParked, req.GetName(), text)
	case errors.As(err, &claimed):
		return typed(codes.AlreadyExists, reasonClaimed, "the provider's message belongs to another message").
			With("message", messageName(workspace, claimed.Message))
	case errors.Is(err, sender.ErrNoMessage):
		return apierr.NotFound("message", req.GetName())
	default:
		return mapped(err)
	}
}

// evidence adds the attempts and the looks of a send.
func (s *Server) evidence(ctx context.Context, workspace, id uuid.UUID, to *syncv1.Message) error {
	var attempts []db.SendAttempt
	var looks []db.SendLook
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		attempts, err = tx.SendAttempts(ctx, db.SendAttemptsParams{WorkspaceID: workspace, IntentID: id})
		if err != nil {
			return err
		}
		looks, err = tx.SendLooks(ctx, db.SendLooksParams{WorkspaceID: workspace, IntentID: id})
		return err
	})
	for _, a := range attempts {
		to.Attempts = append(to.Attempts, attemptProto(a))
	}
	for _, l := range looks {
		to.Looks = append(to.Looks, &syncv1.SendLook{
			Attempt: l.Attempt, CreateTime: stamp(l.At), Source: l.Source, AgeMs: l.AgeMs, Result: l.Result, Rule: l.Rule, Listed: l.Listed,
			Candidates: l.Candidates,
		})
	}
	return err
}

func attemptProto(a db.SendAttempt) *syncv1.SendAttempt {
	var evidence struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(a.Evidence, &evidence) // our own column; without it the outcome still stands
	return &syncv1.SendAttempt{
		Attempt: a.Attempt, CreateTime: stamp(a.At), Outcome: store.Deref(a.Outcome), HttpStatus: store.Deref(a.HttpStatus),
		Wrote: store.Deref(a.Wrote), TraceId: store.Deref(a.TraceID), LatencyMs: store.Deref(a.LatencyMs), Code: evidence.Code,
	}
}

// unsettled lists the sends of a state that is not final, newest first.
func (s *Server) unsettled(ctx context.Context, p db.UnsettledMessagesParams) ([]db.MessageRow, error) {
	var out []db.MessageRow
	err := s.inPage(ctx, p.WorkspaceID, func(tx *store.Tx) error {
		rows, err := tx.UnsettledMessages(ctx, p)
		for _, r := range rows {
			out = append(out, db.MessageRow{
				Message: r.Message, State: r.State, Reason: r.Reason, RequestID: &r.RequestID, Attempt: r.Attempt, NextTime: &r.NextTime,
				Delivery: r.Delivery, DuplicateSuspected: r.DuplicateSuspected, Replaces: r.Replaces, Provider: r.Provider, ReplyTo: r.ReplyTo,
			})
		}
		return err
	})
	return out, err
}
