package refresh

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/relance/relance/services/availability/internal/breaker"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

const (
	// hostResting is the typed reason of a calendar that was not asked because its host is left alone.
	hostResting = "PROVIDER_CIRCUIT_OPEN"
	// grace is how much longer than its host a calendar waits. It is made due when the host answers again; this is for
	// when nobody finds out.
	grace = 5 * time.Minute
)

// enter asks whether the host of a look may be asked.
func (r *Refresher) enter(ctx context.Context, ask look.Ask, now time.Time) (store.Pass, error) {
	host := r.cfg.Provider.Host(ask)
	if host == "" {
		return store.Pass{}, nil
	}
	return r.cfg.Store.EnterHost(ctx, host, now, r.lease())
}

// evidence is what the outcome of a look says of its host.
type evidence int

const (
	says evidence = iota // it answered, whatever it said
	failsIt
	saysNothing
)

// weigh tells an outcome that the host is to blame for from one that concerns a single calendar, token or feed.
func weigh(ask look.Ask, err error) evidence {
	if err == nil {
		return says
	}
	failure, ok := errors.AsType[*look.Error](err)
	switch {
	case !ok:
		return failsIt
	case failure.Kind == slots.ReasonInactive:
		return says
	case failure.Kind != slots.ReasonUnreachable:
		return saysNothing // decided without a call, or by what was remembered
	}
	switch failure.Reason {
	case "PROVIDER_NOT_CONNECTED", "PROVIDER_AUTH_REVOKED", "LOCATION_INACTIVE":
		return saysNothing
	case "SYNC_FAILED":
		return saysNothing // an answer about one calendar that sync has no word for, or a fault of ours
	case "PROVIDER_RATE_LIMITED":
		if ask.Token != "" || ask.Kind == calendar.GHL {
			return saysNothing // the limit of one token
		}
		return failsIt // that of our address
	case "BAD_ANSWER":
		if ask.Kind == calendar.ICalendar {
			return saysNothing // one feed of many
		}
		return failsIt
	}
	if len(failure.Reason) == len("HTTP_400") && failure.Reason[:len("HTTP_4")] == "HTTP_4" {
		return says
	}
	if ask.Kind == calendar.ICalendar && strings.HasPrefix(failure.Reason, "HTTP_3") {
		return says // a feed that has moved
	}
	return failsIt
}

// settle tells the host's breaker what a look found, and logs when it turns.
func (r *Refresher) settle(ctx context.Context, pass store.Pass, weight evidence, v store.Verdict) (store.HostChange, error) {
	switch {
	case pass.Host == "":
		return store.HostChange{}, nil
	case weight == saysNothing:
		return store.HostChange{}, r.cfg.Store.LeaveHost(ctx, pass)
	}
	v.Failed = weight == failsIt
	change, err := r.cfg.Store.SettleHost(ctx, pass, v)
	if err != nil {
		return change, err
	}
	switch was, is := change.Before.Kind(v.Now), change.After.Kind(v.Now); {
	case was == breaker.Closed && is == breaker.Open:
		r.cfg.Logger.WarnContext(ctx, "calendar host is left alone: it keeps failing", slog.String("host", pass.Host),
			slog.String("last_error", v.LastError), slog.Time("until", change.After.Until))
	case was == breaker.HalfOpen && is == breaker.Closed:
		r.cfg.Logger.InfoContext(ctx, "calendar host answers again", slog.String("host", pass.Host),
			slog.Duration("outage", v.Now.Sub(change.Before.Since)), slog.Int("calendars_due", change.Hastened))
	}
	return change, nil
}

// waits is the result for a calendar that is not asked because its host is left alone. Nothing new is known of it.
func waits(row store.Row, pass store.Pass, now time.Time) store.Result {
	result := rests(pass.Wait, now)
	result.Host, result.Unasked, result.Failures = pass.Host, true, row.Failures
	result.Slots, result.AsOf, result.Source = row.Slots, row.AsOf, row.Source
	if row.LastError != "" {
		result.LastError = row.LastError
	}
	if row.State == slots.StateUnconfigured {
		result.State, result.Reason = row.State, row.Reason
	}
	return result
}

// rests is what is stored of all calendars of a host that is left alone.
func rests(until, now time.Time) store.Result {
	if until.Before(now) {
		until = now
	}
	return store.Result{
		State: slots.StateUnreachable, Reason: slots.ReasonUnreachable, LastError: hostResting, Due: until.Add(grace), Waiting: true,
	}
}

// putOff has the due calendars of hosts that are left alone wait, many at a time, and lets one of a host whose time is over
// find out whether it answers again.
func (r *run) putOff(ctx context.Context) error {
	f := r.refresher
	hosts, err := f.cfg.Store.RestingHosts(ctx, r.now)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		result := rests(host.Until, r.now)
		for deferred := settleBatch; deferred == settleBatch && ctx.Err() == nil; {
			n, changed, err := f.cfg.Store.DeferWaiting(ctx, host.Host, r.now, result, settleBatch)
			if err != nil {
				return err
			}
			for _, key := range changed {
				f.logChange(ctx, key, result)
			}
			deferred = n
		}
		if host.Until.After(r.now) || host.Probing {
			continue
		}
		if err := f.cfg.Store.Nudge(ctx, host.Host); err != nil {
			return err
		}
	}
	return nil
}
