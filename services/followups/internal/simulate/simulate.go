// Package simulate foretells what a sequence would do to leads. It decides by package followup, on facts that it is given,
// with a clock of its own. Nothing that it can reach is able to send, write or read anything; a test holds it to that.
package simulate

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/foretell"
)

// Cohort is what all leads of a simulation have in common.
type Cohort struct {
	// Steps of the sequence's version.
	Steps []followup.Step
	// Settings, Zone and SendingDisabled are the workspace's.
	Settings        followup.Settings
	Zone            *time.Location
	SendingDisabled bool
	// Active tells whether the sequence may send.
	Active bool
	// ContinueOnReply tells that a reply does not pause the sequence.
	ContinueOnReply bool
	// Slots is what the calendar offers; nil when it is not known.
	Slots *followup.Slots
	// From and To bound the simulated time.
	From, To time.Time
	// Try bounds tries and carries the refusal policy.
	Try followup.Try
	// Gate foretells what sync would say.
	Gate foretell.Gate
}

// Subject is one lead on its way.
type Subject struct {
	// Enrollment is where it stands, or one that begins now.
	Enrollment followup.Enrollment
	// Lead is nil when it is gone.
	Lead *followup.Lead
	// Planned is the message of an earlier try of the present step, or nil.
	Planned *followup.Content
	// Taken are the places of its days that other messages have.
	Taken map[followup.DayPlace]int
	// Meeting is when its last appointment is that the sequence ends for; zero for none.
	Meeting time.Time
	// Beside are the lead's running enrollments in other sequences; their messages count for its caps.
	Beside []followup.Life
}

// Begin is a lead that starts the sequence at the cohort's From.
func (c Cohort) Begin(id uuid.UUID, lead *followup.Lead) Subject {
	var first *followup.Step
	if len(c.Steps) > 0 {
		first = &c.Steps[0]
	}
	zone := c.Zone
	if lead != nil && lead.Zone != nil {
		zone = lead.Zone
	}
	e := followup.Enroll(followup.Enrollment{ID: uuid.Must(uuid.NewV7()), Lead: id}, first, zone, c.From)
	if lead != nil && lead.LastInbound.After(e.RepliedSince) {
		e.RepliedSince = lead.LastInbound
	}
	return Subject{Enrollment: e, Lead: lead}
}

// Touch is one step as it is foretold.
type Touch struct {
	// Position and Channel of the step; Channel is empty when no step was left.
	Position int
	Channel  followup.Channel
	// At is when it is settled.
	At time.Time
	// Result and Reason are those of its last look.
	Result followup.Result
	Reason string
}

// Plan is what is foretold for one lead.
type Plan struct {
	// Lead is whose.
	Lead uuid.UUID
	// Touches in order of time.
	Touches []Touch
	// Ends tells that the sequence ends within the simulated time; otherwise Waits says why not, as a reason or NoCommonHour.
	Ends  bool
	Waits string
	// Beside is the number of other sequences that the lead runs through.
	Beside int
}

// NoCommonHour is what a lead waits for whose zone is so uncertain that no hour of the law suits all it may be in.
const NoCommonHour = "no_common_hour"

// Run foretells the subjects, in their order. It stops early when ctx ends. Errors: those of the gate.
func Run(ctx context.Context, c Cohort, subjects []Subject) ([]Plan, error) {
	looks := make([]foretell.Look, len(subjects))
	for i, subject := range subjects {
		looks[i] = c.look(subject)
	}
	seen, err := foretell.Run(ctx, c.Gate, looks)
	if err != nil {
		return nil, err
	}
	plans := make([]Plan, len(subjects))
	for i, subject := range subjects {
		plans[i] = c.plan(subject, seen[i])
	}
	return plans, nil
}

func (c Cohort) look(s Subject) foretell.Look {
	return foretell.Look{
		Beside: s.Beside,
		In: followup.Input{
			Now: c.From, Enrollment: s.Enrollment, SendingDisabled: c.SendingDisabled, SequenceActive: c.Active, ContinueOnReply: c.ContinueOnReply, Meeting: s.Meeting, Lead: s.Lead,
			Settings: c.Settings, Zone: c.Zone, Planned: s.Planned,
		},
		Outlook: followup.Outlook{Steps: c.Steps, Slots: c.Slots, Until: c.To, Try: c.Try, Taken: s.Taken},
	}
}

func (c Cohort) plan(s Subject, looks []followup.Foreseen) Plan {
	plan := Plan{Lead: s.Enrollment.Lead, Ends: s.Enrollment.State.Ended(), Beside: len(s.Beside)}
	for _, look := range looks {
		plan.Waits, plan.Ends = look.Effect.Reason, c.ends(look)
		if look.NoCommonHour {
			plan.Waits = NoCommonHour
		}
		switch look.Effect.Move {
		case followup.Stay, followup.Resume:
			continue
		case followup.Advance:
			plan.Waits = ""
		}
		touch := Touch{Position: look.Position, At: look.At, Result: look.Effect.Result, Reason: look.Effect.Reason}
		if look.Position <= len(c.Steps) {
			touch.Channel = c.Steps[look.Position-1].Channel
		}
		plan.Touches = append(plan.Touches, touch)
	}
	if plan.Ends {
		plan.Waits = ""
	}
	return plan
}

func (c Cohort) ends(look followup.Foreseen) bool {
	switch look.Effect.Move {
	case followup.End, followup.EndLead, followup.Finish:
		return true
	case followup.Advance:
		return look.Position >= len(c.Steps)
	}
	return false
}

// Count is how many steps had one result for one reason.
type Count struct {
	Result followup.Result
	Reason string
	Count  int
}

// Counts add up plans. The zero value is ready to use.
type Counts struct {
	// Leads and Ended count plans, Beside those of leads that run through other sequences too.
	Leads, Ended, Beside int
	// counts are of steps, waits of plans that do not end.
	counts, waits map[Count]int
}

// Add counts a plan.
func (c *Counts) Add(plan Plan) {
	if c.counts == nil {
		c.counts, c.waits = map[Count]int{}, map[Count]int{}
	}
	c.Leads++
	if plan.Ends {
		c.Ended++
	} else if plan.Waits != "" {
		c.waits[Count{Result: followup.Waiting, Reason: plan.Waits}]++
	}
	if plan.Beside > 0 {
		c.Beside++
	}
	for _, touch := range plan.Touches {
		c.counts[Count{Result: touch.Result, Reason: touch.Reason}]++
	}
}

// All lists the counts of steps, by result and reason.
func (c *Counts) All() []Count { return list(c.counts) }

// Waits lists what the leads wait for whose sequence does not end.
func (c *Counts) Waits() []Count { return list(c.waits) }

func list(counts map[Count]int) []Count {
	var out []Count
	for key := range maps.Keys(counts) {
		key.Count = counts[key]
		out = append(out, key)
	}
	slices.SortFunc(out, func(a, b Count) int {
		if a.Result != b.Result {
			return cmpText(string(a.Result), string(b.Result))
		}
		return cmpText(a.Reason, b.Reason)
	})
	return out
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
