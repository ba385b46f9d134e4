package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/legal"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	maxBody    = 64 << 10
	maxHTML    = 256 << 10
	maxSubject = 1000
)

// SendMessage sends one message at most once and answers with its state.
func (s *Server) SendMessage(ctx context.Context, req *syncv1.SendMessageRequest) (*syncv1.SendMessageResponse, error) {
	in, err := sendRequest(req)
	if err != nil {
		return nil, err
	}
	if err := principal.AuthorizeWorkspace(ctx, in.Workspace.String()); err != nil {
		return nil, err
	}
	if who, _ := principal.FromContext(ctx); in.Purpose == legal.Manual && who.Kind == principal.KindFollowUps {
		return nil, apierr.Invalid(apierr.FieldViolation{Field: "purpose", Description: "a service is no person"})
	}
	out, err := s.Sender.Send(ctx, in)
	if err != nil {
		return nil, callError(err, req.GetLead(), "this request_id was used with other content; a new message needs a new id",
			"the database did not acknowledge the claim, so nothing was sent; ask again")
	}
	if e := refused(out, req.GetLead()); e != nil {
		return nil, e
	}
	message, err := s.sent(ctx, in.Workspace, out)
	if err != nil {
		return nil, err
	}
	return &syncv1.SendMessageResponse{Message: message}, nil
}

// sent is the message of an outcome, read only where the outcome does not bring it.
func (s *Server) sent(ctx context.Context, workspace uuid.UUID, out sender.Outcome) (*syncv1.Message, error) {
	if out.Row != nil {
		return s.messageProto(*out.Row)
	}
	return s.message(ctx, workspace, out.Message)
}

func sendRequest(req *syncv1.SendMessageRequest) (sender.Request, error) {
	var c check
	in := sender.Request{
		Content: sending.Content{Subject: req.GetSubject(), Body: req.GetBody(), HTML: req.GetHtml()},
		Policy:  policyOf(req.GetUnknownPolicy()),
	}
	in.Workspace, in.Lead = c.child("lead", req.GetLead(), "leads")
	in.RequestID = c.id("request_id", req.GetRequestId())
	in.ReplyTo = c.replyTo(req, in.Workspace)
	in.RepliedSince = c.time("unless_replied_since", req.GetUnlessRepliedSince(), false)
	in.Expire = c.time("expire_time", req.GetExpireTime(), false)
	in.Purpose = c.purpose(req.GetPurpose())
	switch req.GetChannel() {
	case syncv1.Channel_CHANNEL_SMS:
		in.Channel = sending.SMS
		c.when(req.GetSubject() != "", "subject", "is for email only")
		c.when(req.GetHtml() != "", "html", "is for email only")
	case syncv1.Channel_CHANNEL_EMAIL:
		in.Channel = sending.Email
	default:
		c.add("channel", "must be CHANNEL_SMS or CHANNEL_EMAIL")
	}
	c.when(len(req.GetBody()) > maxBody, "body", "must be at most 64 KiB")
	c.when(len(req.GetHtml()) > maxHTML, "html", "must be at most 256 KiB")
	c.when(utf8.RuneCountInString(req.GetSubject()) > maxSubject || strings.ContainsAny(req.GetSubject(), "\r\n"),
		"subject", "must be one line of at most 1000 characters")
	if _, known := syncv1.UnknownPolicy_name[int32(req.GetUnknownPolicy())]; !known {
		c.add("unknown_policy", "is not a known policy")
	}
	return in, c.err()
}

// replyTo reads the message to answer, which is of the lead's workspace.
func (c *check) replyTo(req *syncv1.SendMessageRequest, workspace uuid.UUID) *uuid.UUID {
	if req.GetReplyTo() == "" {
		return nil
	}
	of, id := c.child("reply_to", req.GetReplyTo(), "messages")
	c.when(of != workspace, "reply_to", "must be in the lead's workspace")
	c.when(req.GetChannel() != syncv1.Channel_CHANNEL_EMAIL, "reply_to", "is for email only")
	return &id
}

func (c *check) purpose(p syncv1.SendPurpose) legal.Purpose {
	switch p {
	case syncv1.SendPurpose_SEND_PURPOSE_UNSPECIFIED, syncv1.SendPurpose_SEND_PURPOSE_FOLLOW_UP:
		return legal.FollowUp
	case syncv1.SendPurpose_SEND_PURPOSE_REPLY:
		return legal.Reply
	case syncv1.SendPurpose_SEND_PURPOSE_MANUAL:
		return legal.Manual
	default:
		c.add("purpose", "is not a known purpose")
		return legal.FollowUp
	}
}

// callError is the error of a call that was asked for: a send, a booking, a link. Reused and unacknowledged are what its caller reads
// of a request id with other content, and of a claim that the database did not acknowledge.
func callError(err error, lead, reused, unacknowledged string) error {
	var other *sending.ReusedError
	switch {
	case errors.As(err, &other):
		return requestReused(other, lead, reused)
	case errors.Is(err, sending.ErrNoLead):
		return apierr.NotFound("lead", lead)
	case errors.Is(err, sending.ErrClaimUnknown):
		return apierr.Unavailable(unacknowledged, err)
	default:
		return mapped(err)
	}
}

// requestReused is the error of a request id that comes with other content than before.
func requestReused(e *sending.ReusedError, subject, message string) error {
	out := refusal(sending.Refusal{Reason: sending.RequestIDReused, Meta: map[string]string{"fields": strings.Join(e.Fields, ",")}}, subject, 0)
	out.Message = message
	return out
}

// refused gives the error of a send that did not leave, or nil when its message is the answer.
func refused(out sender.Outcome, lead string) error {
	switch {
	case out.State.Live():
		return nil // An unknown outcome is a state, whatever came before it.
	case out.Refusal != nil && (out.State != sending.Parked || out.Refusal.Reason == sending.SendExhausted):
		return refusal(*out.Refusal, lead, out.RetryAfter)
	case out.State.Claimable():
		return apierr.Unavailable("the message is planned and not yet sent; ask again", nil)
	default:
		return nil
	}
}

// GetMessage reads one message.
func (s *Server) GetMessage(ctx context.Context, req *syncv1.GetMessageRequest) (*syncv1.GetMessageResponse, error) {
	var c check
	workspace, id := c.child("name", req.GetName(), "messages")
	_, known := syncv1.MessageView_name[int32(req.GetView())]
	c.when(!known, "view", "is not a known view")
	if err := c.err(); err != nil {
		return nil, err
	}
	message, err := s.message(ctx, workspace, id)
	if err == nil && req.GetView() == syncv1.MessageView_MESSAGE_VIEW_FULL {
		err = s.evidence(ctx, workspace, id, message)
	}
	if err != nil {
		return nil, err
	}
	return &syncv1.GetMessageResponse{Message: message}, nil
}

func (s *Server) message(ctx context.Context, workspace, id uuid.UUID) (*syncv1.Message, error) {
	var row db.MessageRow
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		row, err = tx.OwnMessage(ctx, workspace, id)
		return found(err, "message", messageName(workspace, id))
	})
	if err != nil {
		return nil, err
	}
	return s.messageProto(row)
}

// ListMessages lists the messages of a lead or a workspace, newest first.
func (s *Server) ListMessages(ctx context.Context, req *syncv1.ListMessagesRequest) (*syncv1.ListMessagesResponse, error) {
	var c check
	var asked messageList
	if strings.Contains(req.GetParent(), "/leads/") {
		workspace, id := c.child("parent", req.GetParent(), "leads")
		asked.workspace, asked.lead = workspace, &id
	} else {
		asked.workspace = c.workspace("parent", req.GetParent())
	}
	states := c.states(req.GetStates())
	scope := "messages:" + req.GetParent() + ":" + strings.Join(states, ",")
	size, last := c.page(scope, req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	asked.page = size + 1
	if last != uuid.Nil {
		asked.before = &last
	}
	rows, err := s.messages(ctx, asked, states)
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListMessagesResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken(scope, rows[size-1].Message.ID)
	}
	for _, r := range rows {
		m, err := s.messageProto(r)
		if err != nil {
			return nil, err
		}
		out.Messages = append(out.Messages, m)
	}
	return out, nil
}

// messageList is the page of messages that is asked for: of a lead or, without one, of the workspace; after a message or the first.
type messageList struct {
	workspace    uuid.UUID
	lead, before *uuid.UUID
	page         int32
}

func (s *Server) messages(ctx context.Context, l messageList, states []string) (out []db.MessageRow, err error) {
	if len(states) > 0 {
		return s.unsettled(ctx, db.UnsettledMessagesParams{
			WorkspaceID: l.workspace, States: states, LeadID: l.lead, Before: before(store.Deref(l.before)), Page: l.page,
		})
	}
	err = s.inWorkspace(ctx, l.workspace, func(tx *store.Tx) error {
		out, err = l.read(ctx, tx)
		return err
	})
	return out, err
}

// read asks for a lead's messages and a workspace's by statements of their own: one for both has to do without the index of the one
// or the other.
func (l messageList) read(ctx context.Context, tx *store.Tx) (out []db.MessageRow, err error) {
	if l.lead != nil {
		rows, err := tx.ListLeadMessages(ctx, db.ListLeadMessagesParams{WorkspaceID: l.workspace, LeadID: *l.lead, Before: l.before, Page: l.page})
		for _, r := range rows {
			out = append(out, db.MessageRow(r))
		}
		return out, err
	}
	rows, err := tx.ListMessages(ctx, db.ListMessagesParams{WorkspaceID: l.workspace, Before: l.before, Page: l.page})
	for _, r := range rows {
		out = append(out, db.MessageRow(r))
	}
	return out, err
}

// states reads the filter of a list of sends that are not settled.
func (c *check) states(asked []syncv1.MessageState) []string {
	var out []string
	for _, state := range asked {
		name := strings.TrimPrefix(state.String(), "MESSAGE_STATE_")
		switch sending.State(name) {
		case sending.Sending, sending.Unknown, sending.Retryable, sending.Parked:
			out = append(out, name)
		default:
			c.add("states", "accepts SENDING, UNKNOWN, RETRYABLE, PARKED")
			return nil
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// policyOf is empty where the API leaves the choice to a default.
func policyOf(p syncv1.UnknownPolicy) sending.Policy {
	return map[syncv1.UnknownPolicy]sending.Policy{
		syncv1.UnknownPolicy_UNKNOWN_POLICY_RESEND: sending.Resend, syncv1.UnknownPolicy_UNKNOWN_POLICY_HOLD: sending.Hold,
	}[p]
}
