package refresh

import (
	"context"
	"log/slog"
	"time"
)

const (
	// lowEvery is the time between searches for workspaces with few free times: each reads all that were not told of.
	lowEvery = 6 * time.Hour
	// lowFresh is how old a look may be that such a search goes by.
	lowFresh = time.Hour
)

// Week is the Monday, in UTC, that a moment's week began with.
func Week(at time.Time) time.Time {
	day := at.UTC().Truncate(24 * time.Hour)
	return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
}

// tellLow tells, once a week each, of workspaces that have fewer free times than they want to be told of. It searches every six
// hours in each process.
func (r *run) tellLow(ctx context.Context) error {
	f := r.refresher
	last := f.lowAt.Load()
	if last != 0 && r.now.Sub(time.Unix(last, 0)).Abs() < lowEvery || !f.lowAt.CompareAndSwap(last, r.now.Unix()) {
		return nil
	}
	for told := settleBatch; told == settleBatch && ctx.Err() == nil; {
		low, err := f.cfg.Store.TellLow(ctx, r.now, Week(r.now), r.now.Add(-lowFresh), settleBatch)
		if err != nil {
			f.lowAt.Store(last)
			return r.unlessOver(ctx, err)
		}
		for _, workspace := range low {
			f.cfg.Logger.WarnContext(ctx, "few free times in the next 7 days", slog.String("workspace", workspace.Workspace.String()),
				slog.Int("free", workspace.Left), slog.Int("threshold", workspace.Threshold))
		}
		told = len(low)
	}
	return nil
}
