package slots

import (
	"cmp"
	"slices"
	"time"
)

const (
	// preferWithin is how far from the anchor times are preferred.
	preferWithin = 5 * 24 * time.Hour
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

func (c Choice) pool(starts []time.Time, zone *time.Location) []time.Time {
	anchor := c.Now
	if c.StartAfter.After(anchor) {
		anchor = c.StartAfter
	}
	all := slices.DeleteFunc(Within(starts, anchor, time.Time{}), func(t time.Time) bool {
		return slices.ContainsFunc(c.Exclude, t.Equal)
	})
	near := slices.DeleteFunc(slices.Clone(all), func(t time.Time) bool { return t.After(anchor.Add(preferWithin)) })
	if len(near) > 0 {
		all = near
	}
	if !c.Waking {
		return all
	}
	waking := slices.DeleteFunc(slices.Clone(all), func(t time.Time) bool {
		hour := t.In(zone).Hour()
		return hour < wakingFrom || hour >= wakingTo
	})
	if len(waking) > 0 {
		return waking
	}
	return all
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
