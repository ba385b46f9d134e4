package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Plan is a send that is planned and claimed in one commit.
type Plan struct {
	// Intent is its row. What the database fills in is left out.
	Intent db.SendIntent
	// Message is its row in the timeline, made by Draft and stored when its call has ended.
	Message db.Message
}

// Draft makes the rows of a new send, its content sealed and its id drawn.
func (t *Tx) Draft(intent db.SendIntent, content sending.Content) (Plan, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Plan{}, fmt.Errorf("plan send: %w", err)
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return Plan{}, fmt.Errorf("plan send: %w", err)
	}
	hash := content.Hash()
	intent.ID, intent.SubjectHash, intent.BodyHash, intent.HtmlHash = id, hash.Subject, hash.Body, hash.HTML
	if intent.ContentEnc, err = t.Seal(string(raw), ContentPlace(id)); err != nil {
		return Plan{}, err
	}
	own := t.own(Entry{Workspace: intent.WorkspaceID, Lead: intent.LeadID, Channel: sending.Channel(intent.Channel), Body: content.Body}, id)
	if err := t.sealMessage(&own, content.Subject, content.Body); err != nil {
		return Plan{}, err
	}
	return Plan{Intent: intent, Message: db.Message{
		WorkspaceID: own.WorkspaceID, ID: id, LeadID: own.LeadID, Channel: own.Channel, Direction: own.Direction, Origin: own.Origin,
		SubjectEnc: own.SubjectEnc, BodyEnc: own.BodyEnc, BodyHash: own.BodyHash, MessageTime: own.MessageTime, CreateTime: own.Now, Arrival: own.Arrival,
	}}, nil
}

// Claimed stores drafted sends as claimed for their first attempt (T0 and T2), under a lease by the database's clock. The
// caller holds the locks of their leads, all of one workspace.
func (t *Tx) Claimed(ctx context.Context, workspace uuid.UUID, lease time.Duration, plans []Plan) error {
	in := db.InsertClaimedParams{WorkspaceID: workspace, Now: t.Now, LeaseSeconds: lease.Seconds()}
	for _, p := range plans {
		i := p.Intent
		in.Ids, in.LeadIds, in.Channels = append(in.Ids, i.ID), append(in.LeadIds, i.LeadID), append(in.Channels, i.Channel)
		in.RequestIds, in.Contents = append(in.RequestIds, i.RequestID), append(in.Contents, i.ContentEnc)
		in.SubjectHashes, in.BodyHashes = append(in.SubjectHashes, i.SubjectHash), append(in.BodyHashes, i.BodyHash)
		in.HtmlHashes, in.Policies, in.Purposes = append(in.HtmlHashes, i.HtmlHash), append(in.Policies, i.Policy), append(in.Purposes, i.Purpose)
		in.RepliedSince = append(in.RepliedSince, Deref(i.RepliedSince).UTC())
		in.ExpireTimes = append(in.ExpireTimes, Deref(i.ExpireTime).UTC())
	}
	if err := t.InsertClaimed(ctx, in); err != nil {
		return fmt.Errorf("claim sends: %w", err)
	}
	return nil
}

// Taken says that the provider took a message of ours at once, with what the attempt's row keeps of the call.
type Taken struct {
	// Intent and Message are the rows of its Plan.
	Intent  db.SendIntent
	Message db.Message
	// ClaimedAt is the time of the claim by the database's clock.
	ClaimedAt                  time.Time
	ProviderID, ConversationID string
	Status                     int
	Wrote                      bool
	Trace                      string
	Latency                    time.Duration
	// Evidence is JSON.
	Evidence []byte
}

// AcceptTogether moves sends of one workspace to ACCEPTED (T4) and shows them in the timeline. It gives the sends that it
// moved: those whose lead nobody else was changing and whose fence still held.
func (t *Tx) AcceptTogether(ctx context.Context, workspace uuid.UUID, sources []string, taken []Taken) (map[uuid.UUID]bool, error) {
	in := db.AcceptClaimedParams{
		WorkspaceID: workspace, Now: t.Now, Sources: sources, FirstClaim: taken[0].ClaimedAt, LastClaim: taken[0].ClaimedAt,
	}
	for _, a := range taken {
		in.Ids, in.LeadIds = append(in.Ids, a.Intent.ID), append(in.LeadIds, a.Intent.LeadID)
		in.Attempts, in.HttpStatuses = append(in.Attempts, a.Intent.Attempt), append(in.HttpStatuses, int32(a.Status))
		in.ProviderIds, in.ConversationIds = append(in.ProviderIds, a.ProviderID), append(in.ConversationIds, a.ConversationID)
		in.Wrote, in.TraceIds = append(in.Wrote, a.Wrote), append(in.TraceIds, a.Trace)
		in.Latencies, in.Evidence = append(in.Latencies, a.Latency.Milliseconds()), append(in.Evidence, string(a.Evidence))
		in.Subjects, in.Bodies = append(in.Subjects, a.Message.SubjectEnc), append(in.Bodies, a.Message.BodyEnc)
		in.TextHashes = append(in.TextHashes, a.Message.BodyHash)
		if a.ClaimedAt.Before(in.FirstClaim) {
			in.FirstClaim = a.ClaimedAt
		}
		if a.ClaimedAt.After(in.LastClaim) {
			in.LastClaim = a.ClaimedAt
		}
	}
	rows, err := t.AcceptClaimed(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("accept sends: %w", err)
	}
	moved, shown := make(map[uuid.UUID]bool, len(rows)), make(map[uuid.UUID]bool, len(rows))
	for _, r := range rows {
		moved[r.ID], shown[r.ID] = true, r.Shown
	}
	for _, a := range taken {
		if !moved[a.Intent.ID] {
			continue
		}
		if err := t.afterAcceptance(ctx, a, shown[a.Intent.ID]); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

// afterAcceptance does what few acceptances need.
func (t *Tx) afterAcceptance(ctx context.Context, a Taken, shown bool) error {
	if !shown {
		return t.Accepted(ctx, Acceptance{Intent: a.Intent, ProviderID: a.ProviderID, At: t.Now})
	}
	return t.sample(ctx, a.Intent)
}
