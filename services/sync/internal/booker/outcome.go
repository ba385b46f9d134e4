package booker

import (
	"context"
	"errors"
	"time"

	"github.com/relance/relance/services/sync/internal/appointment"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// providerSkew is how far before the claim our own word of an appointment is dated: whatever the provider says of it later
// stands over it, also when the provider's clock is behind ours.
const providerSkew = 2 * time.Minute

// call is what is known after the call of a claim.
type call struct {
	verdict booking.Verdict
	status  int
	latency time.Duration
}

// move is one transition about to be stored.
type move struct {
	to   booking.State
	rule booking.Rule
	// refusal is why; nil for none.
	refusal     *sending.Refusal
	appointment string
	// kind, code, status and latency are kept as a step.
	kind, code string
	status     int
	latency    time.Duration
	// complete and failed count looks; wait is the time to the next look of UNKNOWN.
	complete, failed int32
	wait             time.Duration
	// suspend says that the connection cannot be used any more.
	suspend bool
}

// conclude stores what the call led to. A taken time is read back first: it can be the lead's own appointment.
func (b *Booker) conclude(ctx context.Context, r ready, c call) (Outcome, error) {
	m := move{kind: "call", code: c.verdict.Code, status: c.status, latency: c.latency}
	if c.verdict.Refusal.Reason != "" {
		m.refusal = &c.verdict.Refusal
	}
	switch c.verdict.Class {
	case booking.Made:
		m.to, m.rule, m.appointment = booking.Booked, booking.B2, c.verdict.Appointment
	case booking.No:
		m.to, m.rule = booking.Refused, booking.B3
	case booking.NotNow:
		m.to, m.rule, m.suspend = booking.Planned, booking.B4, c.verdict.Suspended
	case booking.Taken:
		m = b.takenBy(ctx, r, m)
	default:
		m.to, m.rule, m.wait = booking.Unknown, booking.B5, b.Timing.Looks()[0]
	}
	out, err := b.commit(ctx, r, m)
	if err != nil {
		return out, err
	}
	switch booking.State(out.Row.State) {
	case booking.Planned:
		out.Refusal, out.RetryAfter = m.refusal, max(c.verdict.Wait, time.Second)
	case booking.Unknown:
		// Most lost answers show at once: the caller need not wait for the job.
		return b.lookNow(ctx, r, out)
	}
	return out, nil
}

// takenBy tells whose appointment takes the time.
func (b *Booker) takenBy(ctx context.Context, r ready, m move) move {
	id, err := r.calendar.Find(ctx, r.account, r.what)
	switch {
	case err != nil:
		m.to, m.rule, m.refusal, m.wait = booking.Unknown, booking.B5, nil, b.Timing.Looks()[0]
	case id != "":
		m.to, m.rule, m.refusal, m.appointment = booking.Booked, booking.B7, nil, id
	default:
		m.to, m.rule = booking.Refused, booking.B3
	}
	return m
}

// lookNow is the look that the caller waits for. Whatever fails in it leaves the booking to the job.
func (b *Booker) lookNow(ctx context.Context, r ready, out Outcome) (Outcome, error) {
	id, err := r.calendar.Find(ctx, r.account, r.what)
	if err != nil {
		b.Logger.InfoContext(ctx, "booking not read back at once; a job will", "booking", r.row.ID.String(), "error", err)
	}
	if err != nil || id == "" {
		return out, nil //nolint:nilerr // the booking is stored as UNKNOWN, which is the answer
	}
	return b.commit(ctx, r, move{to: booking.Booked, rule: booking.B7, appointment: id, kind: "look", code: "found", complete: 1})
}

// commit stores a move.
func (b *Booker) commit(ctx context.Context, r ready, m move) (out Outcome, err error) {
	err = b.Commit(ctx, subject(r.row), func(tx *store.Tx) (err error) {
		out, err = b.move(ctx, tx, r, m)
		return err
	})
	if err != nil {
		return out, err
	}
	if out.Row.State == string(m.to) {
		b.metrics.moved(ctx, out.Row)
	}
	return out, nil
}

// move stores a transition and what it changes. The caller holds the lead. When the fence is gone, or an earlier try had
// succeeded, what is stored stands.
func (b *Booker) move(ctx context.Context, tx *store.Tx, r ready, m move) (Outcome, error) {
	reason, meta, err := once.Stored(m.refusal)
	if err != nil {
		return Outcome{}, err
	}
	n, err := tx.MoveBooking(ctx, db.MoveBookingParams{
		State: string(m.to), Reason: reason, ReasonMeta: meta, Appointment: m.appointment, Complete: m.complete, Failed: m.failed,
		LookSeconds: m.wait.Seconds(), Now: tx.Now, WorkspaceID: r.row.WorkspaceID, ID: r.row.ID, Attempt: r.row.Attempt,
		Sources: booking.Sources(m.to, m.rule),
	})
	if err == nil && n > 0 {
		err = b.effects(ctx, tx, r, m)
	}
	if err != nil {
		return Outcome{}, err
	}
	row, err := tx.OneBooking(ctx, db.OneBookingParams{WorkspaceID: r.row.WorkspaceID, ID: r.row.ID})
	return outcomeOf(row), err
}

// effects are a booking's evidence, at once, and its step.
func (b *Booker) effects(ctx context.Context, tx *store.Tx, r ready, m move) error {
	err := tx.RecordBookingStep(ctx, db.RecordBookingStepParams{
		WorkspaceID: r.row.WorkspaceID, IntentID: r.row.ID, Attempt: r.row.Attempt, Kind: m.kind, Rule: string(m.rule), Code: m.code,
		HttpStatus: int32(m.status), LatencyMs: m.latency.Milliseconds(),
	})
	if err != nil {
		return err
	}
	if m.to == booking.Booked {
		return appointment.Take(ctx, tx, r.word(tx, m.appointment))
	}
	if !m.suspend {
		return nil
	}
	return tx.Suspend(ctx, r.account, m.refusal.Reason)
}

// word is the appointment as we know it until its provider says more.
func (r ready) word(tx *store.Tx, id string) appointment.Word {
	at := store.Deref(r.row.ClaimTime)
	if at.IsZero() {
		at = tx.Now
	}
	calendar := r.row.Calendar
	if len(r.what.Known) > 0 {
		calendar = r.what.Known[0]
	}
	return appointment.Word{
		Workspace: r.row.WorkspaceID, Lead: r.row.LeadID, Provider: r.row.Provider, ID: id, Calendar: calendar, Status: booking.Held,
		Start: r.row.StartTime, End: r.row.EndTime, At: at.Add(-providerSkew),
	}
}

// isRead reports whether err is the provider's or the connection's, and not ours.
func isRead(err error) bool {
	var read *provider.ReadError
	return errors.As(err, &read)
}
