package slots

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const (
	// PreferWithin is how far from the anchor times are preferred.
	PreferWithin = 5 * 24 * time.Hour
	// Hours of the day, in the zone, in which a meeting may be suggested.
	wakingFrom, wakingTo = 7, 21
	noon                 = 12
)

// Choice says how to choose the times to offer.
type Choice struct {
	// Zone is the IANA zone in which days and halves of the day are told apart. An unknown zone chooses nothing.
	Zone string
	// Now is the current time; nothing before it is chosen.
	Now time.Time
	// StartAfter moves the earliest time past Now, for leads who asked for later; zero means Now.
	StartAfter time.Time
	// OfferedCounts tells how often each start (in UTC) was offered in the workspace; the least offered come first.
	OfferedCounts map[time.Time]int
	// Exclude are starts that must not be chosen, because this lead was offered them before.
	Exclude []time.Time
	// Waking leaves out times before 7:00 and from 21:00 in the zone, unless nothing would be left.
	Waking bool
}

// Distribute chooses up to two starts: a morning first, then preferably another day and the other half of the day.
func Distribute(starts []time.Time, c Choice) []time.Time {
	zone, err := Zone(c.Zone)
	if err != nil {
		return nil
	}
	pool := c.pool(starts, zone)
	if len(pool) == 0 {
		return nil
	}
	slices.SortStableFunc(pool, func(a, b time.Time) int {
		return cmp.Or(cmp.Compare(c.OfferedCounts[a], c.OfferedCounts[b]), a.Compare(b))
	})
	first := pool[0]
	if i := slices.IndexFunc(pool, func(t time.Time) bool { return morning(t, zone) }); i >= 0 {
		first = pool[i]
	}
	second, ok := companion(pool, first, zone)
	if !ok {
		return []time.Time{first}
	}
	return []time.Time{first, second}
}

// choiceRule is one rule of a choice. An optional one is not applied when it would leave nothing.
type choiceRule struct {
	name, input string
	optional    bool
	keep        func([]time.Time) []time.Time
}

// rules are the rules of the choice in their order; there is no second copy of them.
func (c Choice) rules(zone *time.Location) []choiceRule {
	anchor := c.Now
	if c.StartAfter.After(anchor) {
		anchor = c.StartAfter
	}
	without := func(drop func(time.Time) bool) func([]time.Time) []time.Time {
		return func(starts []time.Time) []time.Time { return slices.DeleteFunc(slices.Clone(starts), drop) }
	}
	rules := []choiceRule{
		{name: "not before", input: stamp(anchor), keep: func(starts []time.Time) []time.Time {
			return Within(starts, anchor, time.Time{})
		}},
		{
			name: "not offered to this lead before", input: fmt.Sprintf("%d times offered", len(c.Exclude)),
			keep: without(func(t time.Time) bool { return slices.ContainsFunc(c.Exclude, t.Equal) }),
		},
	}
	if c.Waking {
		rules = append(rules, choiceRule{
			name: "7:00 to 21:00 for the lead, where there are any", input: c.Zone, optional: true,
			keep: without(func(t time.Time) bool {
				hour := t.In(zone).Hour()
				return hour < wakingFrom || hour >= wakingTo
			}),
		})
	}
	near := choiceRule{
		name: "within 5 days, where there are any", input: stamp(anchor.Add(PreferWithin)), optional: true,
		keep: without(func(t time.Time) bool { return t.After(anchor.Add(PreferWithin)) }),
	}
	// Nearness comes before daylight, as it always did: a lead is rather asked at an odd hour than a week late.
	return slices.Insert(rules, 2, near)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (c Choice) pool(starts []time.Time, zone *time.Location) []time.Time {
	return apply(c.rules(zone), starts)
}

// everything is pool without the preference for the next days.
func (c Choice) everything(starts []time.Time, zone *time.Location) []time.Time {
	return apply(slices.Delete(c.rules(zone), 2, 3), starts)
}

func apply(rules []choiceRule, starts []time.Time) []time.Time {
	for _, rule := range rules {
		if kept := rule.keep(starts); len(kept) > 0 || !rule.optional {
			starts = kept
		}
	}
	return starts
}

func companion(pool []time.Time, first time.Time, zone *time.Location) (time.Time, bool) {
	otherDay := func(t time.Time) bool { return !sameDay(t, first, zone) }
	for _, fits := range []func(time.Time) bool{
		func(t time.Time) bool { return otherDay(t) && morning(t, zone) != morning(first, zone) },
		otherDay,
		func(t time.Time) bool { return !t.Equal(first) },
	} {
		if i := slices.IndexFunc(pool, fits); i >= 0 {
			return pool[i], true
		}
	}
	return time.Time{}, false
}

func morning(t time.Time, zone *time.Location) bool { return t.In(zone).Hour() < noon }

func sameDay(a, b time.Time, zone *time.Location) bool {
	ay, am, ad := a.In(zone).Date()
	by, bm, bd := b.In(zone).Date()
	return ay == by && am == bm && ad == bd
}
