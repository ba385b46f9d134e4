package sender

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// settled is a claim with its outcome.
type settled struct {
	claim claim
	move  move
}

// acceptSoon commits an acceptance together with those that come at the same time. It gives nil when that did not settle it,
// for whatever reason: the outcome is then committed alone (conclude), which finds what stands.
func (s *Sender) acceptSoon(ctx context.Context, c claim, m move) *Outcome {
	// A connection that failed lately is told about each answer, which takes its row's lock.
	healthy := c.connection.BreakerScore == 0 && c.connection.BreakerUntil == nil
	if m.state != sending.Accepted || c.own == nil || !healthy {
		return nil
	}
	out, err := s.accepts.Do(ctx, c.row.WorkspaceID, settled{c, m})
	if err != nil {
		return nil
	}
	return out
}

// acceptTimeout is what a batch may take of the time to settle; the rest is for each alone.
const acceptTimeout = settleTimeout / 2

// acceptTogether is T4 for a batch. What it did not move has a nil outcome.
func (s *Sender) acceptTogether(ctx context.Context, workspace uuid.UUID, batch []settled) ([]*Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	taken := make([]store.Taken, len(batch))
	for i, b := range batch {
		evidence, err := b.move.evidence()
		if err != nil {
			return nil, err
		}
		v, result := b.move.verdict, b.move.result
		taken[i] = store.Taken{
			Intent: b.claim.row, Message: *b.claim.own, ClaimedAt: b.claim.at, ProviderID: v.MessageID,
			ConversationID: v.ConversationID, Status: result.Evidence.Status, Wrote: result.Wrote, Trace: v.TraceID, Latency: result.Latency,
			Evidence: evidence,
		}
	}
	var moved map[uuid.UUID]bool
	var now time.Time
	err := s.Store.Batch(ctx, workspace, func(tx *store.Tx) (err error) {
		now = tx.Now
		// Only what is still ours: of a send whose lease ran out meanwhile others must be told, which conclude does.
		moved, err = tx.AcceptTogether(ctx, workspace, []string{string(sending.Sending)}, taken)
		crashpoint.At(crashpoint.C9)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]*Outcome, len(batch))
	for i, b := range batch {
		if moved[b.claim.row.ID] {
			out[i] = &Outcome{Message: b.claim.row.ID, State: sending.Accepted, Row: acceptedRow(b, now)}
		}
	}
	return out, nil
}

// acceptedRow is the message as it stands after its acceptance, as a reader would find it.
func acceptedRow(b settled, now time.Time) *db.MessageRow {
	row := db.MessageRow{
		Message: *b.claim.own, State: string(sending.Accepted), RequestID: &b.claim.row.RequestID, Attempt: b.claim.attempt, Provider: b.claim.row.Provider,
	}
	row.Message.ProviderMessageID = &b.move.verdict.MessageID
	// The database keeps microseconds.
	row.Message.MessageTime, row.Message.CreateTime = now.Truncate(time.Microsecond), row.Message.CreateTime.Truncate(time.Microsecond)
	return &row
}
