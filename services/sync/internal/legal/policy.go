package legal

// Problem is what is wrong with a policy: the field, as in "sms.hours", and what it must be.
type Problem struct{ Field, Text string }

const (
	// leastOpen is the shortest day of a policy, in minutes. A shorter one has room for little but the protocol's margin.
	leastOpen = 60
	// mostDaily is the largest cap that means anything.
	mostDaily = 100
)

// Check tells what is wrong with a policy. A policy is asked beside the law and can only ever forbid; hours of texts that
// reach beyond the widest that any law leaves are refused all the same, since who sets them expects something else.
func (p Policy) Check() []Problem {
	var out []Problem
	for _, channel := range []Channel{SMS, Email} {
		if h, set := p.Hours[channel]; set {
			switch {
			case h.From < 0 || h.To > 24*60 || h.To-h.From < leastOpen:
				out = append(out, Problem{string(channel) + ".hours", "must open before they close, an hour at least, within 00:00 to 24:00"})
			case !lawfulDay(channel, h):
				out = append(out, Problem{string(channel) + ".hours", "can only be stricter than the law: within 08:00 to 21:00"})
			}
		}
		if limit, set := p.DailyCap[channel]; set && (limit < 1 || limit > mostDaily) {
			out = append(out, Problem{string(channel) + ".daily_cap", "must be 1 to 100, or 0 for none"})
		}
	}
	return out
}

// lawfulDay reports whether hours lie within those of every rule that holds everywhere.
func lawfulDay(channel Channel, h Hours) bool {
	for _, w := range Windows {
		if w.Jurisdiction != "*" {
			continue
		}
		for _, of := range w.Channels {
			if of == channel && (h.From < w.Days[1].From || h.To > w.Days[1].To) {
				return false
			}
		}
	}
	return true
}
