package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

const (
	// unreadAgain is how long after a try the text of a reply is asked for again, unreadEnd how long after the reply that ends.
	unreadAgain = time.Minute
	unreadEnd   = 7 * 24 * time.Hour
)

// UnreadReply is a reply whose text could not be read when it was told.
type UnreadReply struct {
	Event, Workspace, Lead uuid.UUID
	// Message is its name in sync, Time when the lead wrote it.
	Message string
	Time    time.Time
	// Last tells that it is not asked for again.
	Last bool
}

// keepUnread remembers, with the event, that the date of a reply is still to be taken.
func keepUnread(ctx context.Context, q *db.Queries, event Event, now time.Time) error {
	if event.Type != LeadReplied || !event.Unread {
		return nil
	}
	err := q.InsertUnreadReply(ctx, db.InsertUnreadReplyParams{
		WorkspaceID: event.Workspace, EventID: event.ID, LeadID: event.Lead, Message: event.Message, EventTime: event.Time,
		NextTime: now, EndTime: now.Add(unreadEnd),
	})
	if err != nil {
		return fmt.Errorf("keep unread reply: %w", err)
	}
	return nil
}

// ClaimUnreadReplies takes up to size replies whose text is to be asked for. They come again unless ReadReply ends them.
func (s *Store) ClaimUnreadReplies(ctx context.Context, now time.Time, size int) (out []UnreadReply, err error) {
	err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
		rows, err := q.ClaimUnreadReplies(ctx, db.ClaimUnreadRepliesParams{Now: now, Again: now.Add(unreadAgain), Size: int32(size)})
		out = make([]UnreadReply, len(rows))
		for i, r := range rows {
			out[i] = UnreadReply{
				Event: r.EventID, Workspace: r.WorkspaceID, Lead: r.LeadID, Message: r.Message, Time: r.EventTime.UTC(), Last: !now.Before(r.EndTime),
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim unread replies: %w", err)
	}
	return out, nil
}

// ReadReply ends an unread reply and snoozes, until the date that it names (zero for none), what it would have snoozed when it
// was told: not what a person answered or resumed since, and nothing when the lead has written again.
func (s *Store) ReadReply(ctx context.Context, reply UnreadReply, until, now time.Time) error {
	err := s.in(ctx, reply.Workspace, func(q *db.Queries) error {
		n, err := q.DeleteUnreadReply(ctx, db.DeleteUnreadReplyParams{WorkspaceID: reply.Workspace, EventID: reply.Event})
		if err != nil || n == 0 || until.IsZero() {
			return err
		}
		// The enrollments first: a later reply is told under the same locks.
		rows, err := q.LockLeadEnrollments(ctx, db.LockLeadEnrollmentsParams{WorkspaceID: reply.Workspace, LeadID: reply.Lead})
		if err != nil {
			return fmt.Errorf("lock enrollments of lead: %w", err)
		}
		newest, err := q.NewestReply(ctx, db.NewestReplyParams{WorkspaceID: reply.Workspace, LeadID: reply.Lead})
		if err != nil || newest.After(reply.Time) {
			return err
		}
		event := Event{ID: reply.Event, Workspace: reply.Workspace, Lead: reply.Lead, Type: LeadReplied, Time: reply.Time, Snooze: until}
		return applyTo(ctx, q, rows, event, now)
	})
	if err != nil {
		return fmt.Errorf("read reply: %w", err)
	}
	return nil
}

// ResumeEnrollment makes a paused enrollment active. Replies that were told until now are known to whoever resumes; one that is
// told later pauses again, however long before it was written. Errors: ErrNotFound, followup.ErrTransition.
func (s *Store) ResumeEnrollment(ctx context.Context, workspace, id uuid.UUID, now time.Time) (out followup.Enrollment, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.LockEnrollment(ctx, db.LockEnrollmentParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err)
		}
		told, err := q.NewestReply(ctx, db.NewestReplyParams{WorkspaceID: workspace, LeadID: row.LeadID})
		if err != nil {
			return fmt.Errorf("read newest reply: %w", err)
		}
		out = toEnrollment(row)
		if out, err = out.Resume(told.UTC(), now); err != nil {
			return err
		}
		return save(ctx, q, out, now)
	})
	return out, err
}
