package slots

import (
	"slices"
	"time"
)

// Strategy is how times to offer are chosen.
type Strategy string

// The strategies.
const (
	// Distributed: a morning first, then another day and the other half of the day; what was offered least comes first.
	Distributed Strategy = "distributed"
	// Earliest: the earliest times.
	Earliest Strategy = "earliest"
	// OnePerDay: the earliest time of each of the next days that have one.
	OnePerDay Strategy = "one_per_day"
)

// Offer chooses up to count starts by a strategy, in the order in which they are to be said.
func Offer(starts []time.Time, count int, strategy Strategy, c Choice) []time.Time {
	zone, err := Zone(c.Zone)
	if err != nil {
		return nil
	}
	switch strategy {
	case Earliest:
		pool := c.pool(starts, zone)
		return pool[:min(count, len(pool))]
	case OnePerDay:
		return onePerDay(c.everything(starts, zone), zone, count)
	default:
		return c.distributed(starts, count)
	}
}

// distributed takes pairs until there are enough.
func (c Choice) distributed(starts []time.Time, count int) []time.Time {
	var out []time.Time
	c.Exclude = slices.Clone(c.Exclude)
	for len(out) < count {
		pair := Distribute(starts, c)
		if len(pair) == 0 {
			break
		}
		pair = pair[:min(len(pair), count-len(out))]
		out, c.Exclude = append(out, pair...), append(c.Exclude, pair...)
	}
	return out
}

func onePerDay(pool []time.Time, zone *time.Location, count int) []time.Time {
	var out []time.Time
	for _, start := range pool {
		if len(out) == count {
			break
		}
		if len(out) == 0 || !sameDay(out[len(out)-1], start, zone) {
			out = append(out, start)
		}
	}
	return out
}

// Step is one rule of a choice and what it did.
type Step struct {
	// Rule and Input are for people.
	Rule, Input string
	// Removed and Left are counts of starts.
	Removed, Left int
}

// Steps tells rule by rule what a choice does to the starts, by the rules that Distribute goes by.
func (c Choice) Steps(starts []time.Time) ([]Step, error) {
	zone, err := Zone(c.Zone)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, rule := range c.rules(zone) {
		kept := apply([]choiceRule{rule}, starts)
		steps = append(steps, Step{Rule: rule.name, Input: rule.input, Removed: len(starts) - len(kept), Left: len(kept)})
		starts = kept
	}
	return steps, nil
}
