package followup

import (
	"cmp"
	"fmt"
	"slices"
)

// Migration moves enrollments from one version of a sequence to another.
type Migration struct {
	// From and To are the steps of the versions.
	From, To []Step
	// Moves say where enrollments go whose next step has the id of the key: a step of To, or "" to complete them.
	Moves map[string]string
}

// Moved is where an enrollment goes.
type Moved struct {
	// From is the id of its next step; empty when none was left.
	From string
	// To is the id of its next step in the other version; empty when none is left, which completes it.
	To string
	// Position of To; 0 when it is empty.
	Position int
	// SameTime tells that the step and its delay are the same, so that the enrollment stays due when it was.
	SameTime bool
}

// Move tells where an enrollment goes whose next step is at position: to the step with the same id, or, when that is
// gone, to the first of the following ones that is still there. Nothing that was done is done again by that, since steps
// that were done keep their ids.
func (m Migration) Move(position int) Moved {
	if position < 1 || position > len(m.From) {
		return Moved{}
	}
	from := m.From[position-1]
	if to, asked := m.Moves[from.ID]; asked {
		return m.to(from, to)
	}
	for _, step := range m.From[position-1:] {
		if m.find(step.ID) >= 0 {
			return m.to(from, step.ID)
		}
	}
	return Moved{From: from.ID}
}

func (m Migration) find(id string) int {
	return slices.IndexFunc(m.To, func(step Step) bool { return step.ID == id })
}

func (m Migration) to(from Step, id string) Moved {
	i := m.find(id)
	if i < 0 {
		return Moved{From: from.ID}
	}
	to := m.To[i]
	same := from.ID == to.ID && from.DelayDays == to.DelayDays && from.DelayMinutes == to.DelayMinutes && from.Anchor == to.Anchor
	return Moved{From: from.ID, To: id, Position: i + 1, SameTime: same}
}

// CheckMoves lists what is wrong with the moves: targets that To does not have, and ids that no version in use has.
func (m Migration) CheckMoves(inUse map[string]bool) []Violation {
	var out []Violation
	for from, to := range m.Moves {
		field := fmt.Sprintf("step_moves[%s]", from)
		if to != "" && m.find(to) < 0 {
			out = append(out, Violation{Field: field, Code: CodeShape, Description: fmt.Sprintf("the newest version has no step %q", to), Remedy: "name one of its steps, or nothing to complete"})
		}
		if !inUse[from] {
			out = append(out, Violation{Field: field, Code: CodeShape, Description: "no running enrollment waits for a step with this id", Remedy: "remove the move"})
		}
	}
	slices.SortFunc(out, func(a, b Violation) int { return cmp.Compare(a.Field+a.Description, b.Field+b.Description) })
	return out
}
