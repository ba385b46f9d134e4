package server

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	defaultSyncBudget = 25 * time.Second
	maxSyncBudget     = 55 * time.Second
)

// GetConversation reads a conversation and its certificate.
func (s *Server) GetConversation(ctx context.Context, req *syncv1.GetConversationRequest) (*syncv1.GetConversationResponse, error) {
	var c check
	thread := c.thread("name", req.GetName())
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.Conversation
	err := s.inWorkspace(ctx, thread.Workspace, func(tx *store.Tx) (err error) {
		row, err = tx.Conversation(ctx, db.ConversationParams{WorkspaceID: thread.Workspace, LeadID: thread.Lead, Channel: string(thread.Channel)})
		return found(err, "conversation", req.GetName())
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.GetConversationResponse{Conversation: conversationProto(row)}, nil
}

// ListConversations lists the conversations of a workspace, by lead.
func (s *Server) ListConversations(ctx context.Context, req *syncv1.ListConversationsRequest) (*syncv1.ListConversationsResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	size, _ := c.page("", req.GetPageSize(), "")
	params := db.ListConversationsParams{WorkspaceID: workspace, Unproven: req.GetUnprovenOnly(), Page: size + 1}
	scope := "conversations:" + req.GetParent() + "|"
	if token := req.GetPageToken(); token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		text, ok := strings.CutPrefix(string(raw), scope)
		lead, channel, cut := strings.Cut(text, "|")
		params.AfterChannel = channel
		id, parseErr := uuid.Parse(lead)
		params.AfterLead = id
		c.when(err != nil || !ok || !cut || parseErr != nil, "page_token", "is not a token of this list")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.Conversation
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		rows, err = tx.ListConversations(ctx, params)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListConversationsResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		last := rows[size-1]
		out.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(scope + last.LeadID.String() + "|" + last.Channel))
	}
	for _, row := range rows {
		out.Conversations = append(out.Conversations, conversationProto(row))
	}
	return out, nil
}

// SyncConversation compares one conversation with the provider.
func (s *Server) SyncConversation(ctx context.Context, req *syncv1.SyncConversationRequest) (*syncv1.SyncConversationResponse, error) {
	var c check
	thread := c.thread("name", req.GetName())
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := authorize(ctx, thread.Workspace); err != nil {
		return nil, err
	}
	row, unknown := s.connection(ctx, thread.Workspace)
	receipt, err := s.Mirror.Sync(ctx, thread, req.GetVerifyOnly())
	if unknown == nil {
		if learnErr := s.learn(ctx, row, err); learnErr != nil {
			return nil, learnErr
		}
	}
	if err != nil {
		return nil, s.mirrorError(ctx, err, thread)
	}
	return &syncv1.SyncConversationResponse{
		Conversation: conversationProto(receipt.Conversation), Imported: int32(receipt.Imported), Healed: int32(receipt.Healed), // #nosec G115 -- bounded
		Unchanged: int32(receipt.Unchanged), Pages: int32(receipt.Pages), // #nosec G115 -- bounded
	}, nil
}

// mirrorError says why a conversation could not be read.
func (s *Server) mirrorError(ctx context.Context, err error, thread store.Thread) error {
	subject := leadName(thread.Workspace, thread.Lead)
	var read *ghl.ReadError
	verdict, limited := ghl.RateLimited(err)
	switch {
	case errors.Is(err, mirror.ErrNoLead):
		return apierr.NotFound("lead", subject)
	case errors.Is(err, mirror.ErrNoContact):
		return refusal(sending.Refusal{Reason: sending.ContactNotFound}, subject, 0)
	case errors.Is(err, mirror.ErrNotConnected):
		row, lookErr := s.connection(ctx, thread.Workspace)
		if lookErr != nil {
			return lookErr
		}
		if r := sending.SetupRefusal(row.Provider, sending.ConnectionState(row.State), false); r != nil {
			return refusal(*r, workspaceName(thread.Workspace), 0)
		}
		return apierr.Aborted("the connection changed in between; ask again").WithCause(err)
	case limited:
		return refusal(verdict.Refusal, workspaceName(thread.Workspace), verdict.Wait).WithCause(err)
	case errors.As(err, &read) && read.Verdict.Class == classify.Suspended:
		return refusal(read.Verdict.Refusal, workspaceName(thread.Workspace), read.Verdict.Wait).WithCause(err)
	case errors.As(err, &read) && read.NotFound():
		return refusal(sending.Refusal{Reason: sending.ContactNotFound}, subject, 0).WithCause(err)
	case errors.As(err, &read):
		return refusal(read.Unavailable(provider.GHL), workspaceName(thread.Workspace), read.Verdict.Wait).WithCause(err)
	default:
		return mapped(err)
	}
}

// SyncDueConversations compares what is due.
func (s *Server) SyncDueConversations(ctx context.Context, req *syncv1.SyncDueConversationsRequest) (*syncv1.SyncDueConversationsResponse, error) {
	var c check
	in := mirror.Due{Budget: defaultSyncBudget}
	if b := req.GetTimeBudget(); b != nil {
		in.Budget = b.AsDuration()
		c.when(!b.IsValid() || in.Budget <= 0 || in.Budget > maxSyncBudget, "time_budget", "must be above 0 and at most 55 s")
	}
	if req.GetWorkspace() != "" {
		in.Workspace = c.workspace("workspace", req.GetWorkspace())
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	// Who is bound to a workspace has to name it: without one all are compared.
	if err := authorize(ctx, in.Workspace); err != nil {
		return nil, err
	}
	run, err := s.Mirror.RunDue(budget.InBulk(ctx), in)
	if err != nil {
		return nil, mapped(err)
	}
	return &syncv1.SyncDueConversationsResponse{
		Run: run.ID.String(), Checked: run.Checked, Proven: run.Proven, Unproven: run.Unproven, Deferred: run.Deferred, Failed: run.Failed,
		Imported: run.Imported, Healed: run.Healed, Finished: run.Finished,
	}, nil
}

// BackfillConversations makes the conversations of a workspace due and counts what waits.
func (s *Server) BackfillConversations(ctx context.Context, req *syncv1.BackfillConversationsRequest) (*syncv1.BackfillConversationsResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	since := c.time("since", req.GetSince(), false)
	channel, known := map[syncv1.Channel]sending.Channel{syncv1.Channel_CHANNEL_SMS: sending.SMS, syncv1.Channel_CHANNEL_EMAIL: sending.Email}[req.GetChannel()]
	c.when(!known, "channel", "must be CHANNEL_SMS or CHANNEL_EMAIL")
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.BackfillCountRow
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) error {
		if _, err := tx.OneWorkspace(ctx, workspace); err != nil {
			return found(err, "workspace", req.GetParent())
		}
		if since == nil {
			since = &tx.Now
		}
		if !req.GetValidateOnly() {
			err := tx.BackfillStart(ctx, db.BackfillStartParams{Channel: string(channel), Now: tx.Now, WorkspaceID: workspace, Since: *since})
			if err != nil {
				return err
			}
		}
		var err error
		row, err = tx.BackfillCount(ctx, db.BackfillCountParams{Since: *since, Channel: string(channel), WorkspaceID: workspace})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.BackfillConversationsResponse{Leads: row.Leads, Waiting: row.Waiting, Since: stamp(*since)}, nil
}

// thread reads "workspaces/{uuid}/leads/{uuid}/conversations/{channel}".
func (c *check) thread(field, name string) store.Thread {
	parent, channel, ok := strings.Cut(name, "/conversations/")
	if of := sending.Channel(channel); ok && (of == sending.SMS || of == sending.Email) {
		var inner check
		workspace, lead := inner.child(field, parent, "leads")
		if inner.err() == nil {
			return store.Thread{Workspace: workspace, Lead: lead, Channel: of}
		}
	}
	c.add(field, "must be workspaces/{uuid}/leads/{uuid}/conversations/{sms|email}")
	return store.Thread{}
}

func conversationName(workspace, lead uuid.UUID, channel string) string {
	return leadName(workspace, lead) + "/conversations/" + channel
}

func conversationProto(r db.Conversation) *syncv1.Conversation {
	return &syncv1.Conversation{
		Name: conversationName(r.WorkspaceID, r.LeadID, r.Channel), Proven: r.ProvenRevision != nil && *r.ProvenRevision == r.Revision,
		ProvenTime: optStamp(r.ProvenTime), CheckTime: optStamp(r.CheckTime), ListedCount: r.ListedCount, StoredCount: r.StoredCount,
		ListedHash: hex.EncodeToString(r.ListedHash), StoredHash: hex.EncodeToString(r.StoredHash),
		Missing: r.Missing, Extra: r.Extra, Altered: r.Altered, DifferenceCount: r.DifferenceCount, NextTime: stamp(r.NextTime), LastReason: r.LastReason,
	}
}
