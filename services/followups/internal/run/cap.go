package run

import (
	"context"
	"time"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store"
)

// takePlaces takes a place of the lead's day for every message that is about to be asked for, where the workspace has a
// cap, and defers those for which the day is full.
func (p *pass) takePlaces(ctx context.Context, works []*work, now time.Time) error {
	var places []store.Place
	var asking []*work
	for _, w := range works {
		zone := p.workspaces[w.item.Enrollment.Workspace].Zone
		if w.item.Enrollment.State == followup.Awaiting {
			continue // it may have left on the day whose place it has; asking for its outcome is no new message
		}
		if w.content == nil || w.effect != nil || w.item.Settings.DailyCap == 0 || zone == nil {
			continue
		}
		places = append(places, store.Place{
			Key: w.item.Key(), Lead: w.item.Enrollment.Lead, Day: followup.DayOf(now, zone), Cap: w.item.Settings.DailyCap,
		})
		asking = append(asking, w)
	}
	full, err := p.cfg.Store.TakePlaces(ctx, places, now)
	if err != nil {
		return err
	}
	for i, w := range asking {
		if !full[places[i].Key.RequestID()] {
			continue
		}
		effect := followup.Capped(followup.Input{
			Now: now, Enrollment: w.item.Enrollment, Settings: w.item.Settings, Zone: p.workspaces[w.item.Enrollment.Workspace].Zone,
		})
		w.content = nil
		w.trace = append(w.trace, followup.CapCheck(effect, w.item.Settings.DailyCap))
		w.settle(effect)
	}
	return nil
}
