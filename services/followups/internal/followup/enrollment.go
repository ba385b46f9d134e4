package followup

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// State is the life of an enrollment.
type State string

// States. Completed and cancelled absorb.
const (
	Active    State = "active"
	Paused    State = "paused"
	Completed State = "completed"
	Cancelled State = "cancelled"
	Awaiting  State = "awaiting_outcome"
)

// Ended reports whether nothing can happen to the enrollment any more.
func (s State) Ended() bool { return s == Completed || s == Cancelled }

// ErrTransition is returned when the current state does not allow a change.
var ErrTransition = errors.New("transition not allowed from the current state")

// Enrollment is one lead's run through one version of a sequence.
type Enrollment struct {
	// ID, Workspace, Lead and Sequence name it.
	ID, Workspace, Lead, Sequence uuid.UUID
	// Version of the sequence's steps it is pinned to.
	Version int
	// State and Reason tell where it stands and why.
	State  State
	Reason string
	// Position is the next step, from 1.
	Position int
	// Base is when the step before was done, or the start: the next wait counts from it.
	Base time.Time
	// Due is when the next step is due by the schedule; zero when it could not be counted yet for want of a zone.
	Due time.Time
	// Next is when it is looked at again: Due, or later when deferred. Zero when it has ended.
	Next time.Time
	// Start and End bound it; End is zero while it runs.
	Start, End time.Time
	// RepliedSince is the start or the last resumption: an inbound message after it pauses.
	RepliedSince time.Time
	// Attempts counts failed tries of the current step.
	Attempts int
	// HeldBack counts how often sync held the message of the current step back without trying it.
	HeldBack int
	// Part counts plans of the current step that were definitely refused; see StepKey.
	Part int
	// Approved tells that a person approved the message of the current step.
	Approved bool
	// WakeOn is the event that the current step is held for, as WakeEvent.On names it; empty for none.
	WakeOn string
	// HoldUntil is when the hold of the current step is over; it stays when the event came, so that a second hold is not
	// longer. Zero when the step was never held.
	HoldUntil time.Time
}

// Enroll starts a lead on a sequence. With a nil zone a first wait in days is counted at the first look instead.
func Enroll(e Enrollment, first *Step, zone *time.Location, now time.Time) Enrollment {
	e.State, e.Reason, e.Position, e.Start, e.RepliedSince = Active, "", 1, now, now
	return e.schedule(first, zone, now)
}

// schedule sets when the step at e.Position is due, counting from now.
func (e Enrollment) schedule(step *Step, zone *time.Location, now time.Time) Enrollment {
	e.Base, e.Attempts, e.Part, e.HeldBack = now, 0, 0, 0
	e.WakeOn, e.HoldUntil, e.Approved = "", time.Time{}, false
	switch {
	case step == nil:
		e.Due, e.Next = now, now
	case step.NeedsZone() && zone == nil:
		e.Due, e.Next = time.Time{}, now
	default:
		e.Due = Due(e.anchors(), *step, orUTC(zone))
		e.Next = e.Due
	}
	return e
}

// anchors are what the delay of the step at e.Position counts from.
func (e Enrollment) anchors() Anchors { return Anchors{Start: e.Start, Previous: e.Base} }

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC // only for waits in minutes, which are the same everywhere
	}
	return zone
}

// Wake ends the hold of an active enrollment: its step is looked at again at once. It reports false when the enrollment
// does not wait for the event.
func (e Enrollment) Wake(event string, now time.Time) (Enrollment, bool) {
	if e.State != Active || event == "" || e.WakeOn != event {
		return e, false
	}
	e.WakeOn, e.Reason, e.Next = "", "", now
	return e, true
}

// Pause holds an active enrollment, until it is looked at again if the reason's Meaning says when. Error: ErrTransition.
func (e Enrollment) Pause(reason string, now time.Time) (Enrollment, error) {
	if e.State != Active {
		return e, ErrTransition
	}
	return e.pause(reason, now), nil
}

func (e Enrollment) pause(reason string, now time.Time) Enrollment {
	// Whatever the step was held for is asked anew after the pause; HoldUntil stays, so that the wait is not longer.
	e.State, e.Reason, e.Next, e.WakeOn = Paused, reason, recheck(reason, now), ""
	return e
}

// recheck is when something that waits for the reason is looked at again; zero for never by the clock.
func recheck(reason string, now time.Time) time.Time {
	meaning, _ := MeaningOf(reason)
	if meaning.Recheck == 0 {
		return time.Time{}
	}
	return now.Add(meaning.Recheck)
}

// Resume makes a paused enrollment active; an overdue step is due at once. told is the time of the newest reply that was told: it
// and those before are known to whoever resumes. Error: ErrTransition.
func (e Enrollment) Resume(told, now time.Time) (Enrollment, error) {
	if e.State != Paused {
		return e, ErrTransition
	}
	switch {
	case told.After(e.RepliedSince):
		e.RepliedSince = told
	case e.Reason == ReasonLeadReplied:
		e.RepliedSince = now // a run noticed the reply, which is not told yet
	}
	e.Attempts, e.HeldBack, e.WakeOn = 0, 0, ""
	return e.GoOn(now), nil
}

// GoOn makes a paused enrollment active without forgetting what the lead wrote meanwhile: the pause is over because its
// time or what it waited for has come. Others stay as they are.
func (e Enrollment) GoOn(now time.Time) Enrollment {
	if e.State != Paused {
		return e
	}
	e.State, e.Reason, e.Next = Active, "", e.Due
	if e.Next.IsZero() {
		e.Next = now
	}
	return e
}

// Cancel ends an enrollment that has not ended. Error: ErrTransition.
func (e Enrollment) Cancel(reason string, now time.Time) (Enrollment, error) {
	if e.State.Ended() {
		return e, ErrTransition
	}
	e.State, e.Reason = Cancelled, reason
	e.End, e.Next = now, time.Time{}
	return e, nil
}

// EndedEarly reports whether the enrollment ended before its last step was done: what it asked of people is void.
func (e Enrollment) EndedEarly() bool { return e.State.Ended() && e.Reason != "" }

// Apply moves an enrollment by the effect of its step. When a person or an event paused or ended it while the step was
// under way, the fact (sent, refused) is kept and the state stands.
func (e Enrollment) Apply(effect Effect, next *Step, zone *time.Location, now time.Time) Enrollment {
	if e.State.Ended() {
		return e
	}
	moved := e.move(effect, next, zone, now)
	if e.State == Paused && moved.State == Paused {
		moved.Next = e.Next // the pause keeps its own time
	}
	return moved
}

func (e Enrollment) move(effect Effect, next *Step, zone *time.Location, now time.Time) Enrollment {
	running := e.State == Active || e.State == Awaiting
	switch effect.Move {
	case Advance:
		return e.advance(next, zone, now)
	case Stay:
		e.Attempts, e.Next, e.WakeOn = effect.Attempts, effect.Until, effect.WakeOn
		if !effect.HoldUntil.IsZero() {
			e.HoldUntil = effect.HoldUntil
		}
		if effect.HeldBack {
			e.HeldBack++
		}
		if effect.NewPart {
			e.Part++
		}
		e.Approved = e.Approved && !effect.Renew
		if !effect.Due.IsZero() {
			e.Due = effect.Due
		}
		if running {
			e.State, e.Reason = Active, effect.Reason
		}
	case Hold:
		e.Attempts = effect.Attempts
		if effect.NewPart {
			e.Part++
		}
		if running {
			e = e.pause(effect.Reason, now)
			if !effect.Until.IsZero() {
				e.Next = effect.Until
			}
			if !effect.HoldUntil.IsZero() {
				e.WakeOn, e.HoldUntil = effect.WakeOn, effect.HoldUntil
			}
		}
	case Resume:
		e.State, e.Reason, e.Attempts, e.Next, e.WakeOn = Active, "", 0, e.Due, ""
		if effect.Heard.After(e.RepliedSince) {
			e.RepliedSince = effect.Heard
		}
		if e.Next.IsZero() {
			e.Next = now
		}
	case Await:
		if running {
			e.State, e.Reason, e.Next = Awaiting, effect.Reason, recheck(effect.Reason, now)
		}
	case End, EndLead:
		e.State, e.Reason, e.End, e.Next = Cancelled, effect.Reason, now, time.Time{}
	case Finish:
		e.State, e.Reason, e.End, e.Next = Completed, "", now, time.Time{}
		if effect.Reason == ReasonBooked {
			e.Reason = ReasonBooked // ended early
		}
	}
	return e
}

func (e Enrollment) advance(next *Step, zone *time.Location, now time.Time) Enrollment {
	e.Position++
	if next == nil {
		e.State, e.Reason, e.End, e.Next = Completed, "", now, time.Time{}
		e.Attempts, e.Part, e.HeldBack = 0, 0, 0
		return e
	}
	if e.State != Paused {
		e.State, e.Reason = Active, ""
	}
	return e.schedule(next, zone, now)
}
