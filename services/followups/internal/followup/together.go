package followup

import "time"

// Life is one enrollment to look ahead for.
type Life struct {
	// In is its next step's input, now.
	In Input
	// Outlook bounds the look.
	Outlook Outlook
}

// Beside completes an enrollment of which only its own is known, its steps, plan and sequence, with what it shares with
// another one of the same lead. It goes beyond no pause, whatever the other does.
func (l Life) Beside(other Life) Life {
	out := other
	out.In.Enrollment, out.In.Planned = l.In.Enrollment, l.In.Planned
	out.In.SequenceActive, out.In.ContinueOnReply, out.In.Meeting = l.In.SequenceActive, l.In.ContinueOnReply, l.In.Meeting
	out.Outlook.Steps, out.Outlook.Past = l.Outlook.Steps, false
	out.Outlook.Try.Policy.Sequence = l.Outlook.Try.Policy.Sequence
	return out
}

// ForeseeTogether walks running enrollments of one lead ahead side by side, in order of time: what one of them sends counts
// for the caps of the others. Of two that are due at once the first goes first.
func ForeseeTogether(lives []Life) [][]Foreseen {
	var sent []Ask
	walks := make([]*walk, len(lives))
	for i, life := range lives {
		walks[i] = &walk{in: life.In, o: life.Outlook, e: life.In.Enrollment, sent: &sent, left: (len(life.Outlook.Steps) + 1) * looksPerStep}
	}
	for w := earliest(walks); w != nil; w = earliest(walks) {
		if w.left--; !w.look() {
			w.left = 0
		}
	}
	out := make([][]Foreseen, len(walks))
	for i, w := range walks {
		out[i] = w.out
	}
	return out
}

func earliest(walks []*walk) (first *walk) {
	for _, w := range walks {
		if w.left > 0 && (first == nil || w.when().Before(first.when())) {
			first = w
		}
	}
	return first
}

// when is the time of the next look.
func (w *walk) when() time.Time {
	if w.e.Next.After(w.in.Now) {
		return w.e.Next
	}
	return w.in.Now
}
