package sender

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/planted"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// lastLook looks for a send that absence lets leave again (T13), between its claim and its call. It reports that the send
// is done with when the look found it, saw something that may be it, or could not see everything. The look has half of W,
// so that the call can still begin within W.
func (s *Sender) lastLook(ctx context.Context, c claim, began time.Time) (bool, Outcome, error) {
	look, cancel := context.WithDeadline(ctx, began.Add(s.Timing.Write/2))
	defer cancel()
	seen, err := s.Looker.Look(look, c.row, c.account)
	m := move{verdict: classify.Verdict{Code: "look_found_" + strconv.Itoa(len(seen.Matches))}, result: ghl.Result{}}
	switch {
	case len(seen.Matches) > 0:
		m.state, m.duplicate = sending.Accepted, len(seen.Matches) > 1
		m.verdict.MessageID, m.verdict.ConversationID = seen.Matches[0].ID, seen.Matches[0].ConversationID
	case isLimited(err):
		m = unwritten(*limitedRead(err))
	case (err != nil || !seen.Complete) && !planted.On(planted.FailedReadAbsent):
		m = s.blind(c)
	case len(seen.Others) > 0:
		m.state, m.refusal, m.verdict.Code = sending.Parked, &sending.Refusal{Reason: sending.SendNeedsEyes}, "look_different"
	default:
		s.note(ctx, c, seen)
		return false, Outcome{}, nil
	}
	out, err := s.conclude(context.WithoutCancel(ctx), c, m)
	return true, out, err
}

// blind is the outcome of a look that could not see everything. A read that failed is not absence, so nothing leaves; and it
// is no failure of the send, which was not tried: only the provider's lists were. The send comes again, less and less often,
// until a person has to look.
func (s *Sender) blind(c claim) move {
	if from := store.Deref(c.row.ClaimFrom); s.Clock.Now().Sub(from) >= s.Timing.Blindness() {
		return move{
			state: sending.Parked, refusal: &sending.Refusal{Reason: sending.SendAmbiguous},
			verdict: classify.Verdict{Class: classify.Unknown, Code: "look_failed"},
		}
	}
	meta := map[string]string{"provider": c.row.Provider, "cause": "read_failed"}
	limit := s.Timing.Backoff(int(c.attempt-c.row.Failures) - 1)
	m := unwritten(sending.Decision{
		Refusal: &sending.Refusal{Reason: sending.ProviderUnavailable, Meta: meta}, Retry: time.Duration(rand.Int64N(int64(limit))) + time.Second,
	})
	m.verdict.Code = "look_failed"
	return m
}

// note records that the look before the second call found nothing. It is for people: without it the send goes on.
func (s *Sender) note(ctx context.Context, c claim, seen sending.Sighting) {
	err := s.Store.Workspace(ctx, c.row.WorkspaceID, func(tx *store.Tx) error {
		return tx.RecordLook(ctx, db.RecordLookParams{
			WorkspaceID: c.row.WorkspaceID, IntentID: c.row.ID, Attempt: c.attempt, Source: "claim", Result: "absent",
			Listed: int32(seen.Listed), Candidates: []string{},
		})
	})
	if err != nil {
		s.Logger.WarnContext(ctx, "look before sending again not recorded", "intent", c.row.ID.String(), "error", err)
	}
}
