// Package gauges shows how the calendars of all workspaces stand, as metrics. The figures are the database's, so every replica
// shows the same ones: take the greatest over replicas, not the sum.
package gauges

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// timeout bounds what one collection asks of the database.
const timeout = 5 * time.Second

// Config is what the gauges are made of; all are required.
type Config struct {
	Meter  metric.Meter
	Clock  clock.Clock
	Store  *store.Store
	Census func(context.Context) (store.Census, error)
}

type gauges struct {
	cfg                            Config
	workspaces, resting, low, asOf metric.Float64ObservableGauge
	run, direct                    metric.Float64ObservableGauge
}

// Register shows the gauges until the given function is called.
func Register(cfg Config) (stop func() error, err error) {
	g := &gauges{cfg: cfg}
	var made error
	gauge := func(name, description, unit string) metric.Float64ObservableGauge {
		out, err := cfg.Meter.Float64ObservableGauge(name, metric.WithDescription(description), metric.WithUnit(unit))
		made = errors.Join(made, err)
		return out
	}
	g.workspaces = gauge("availability_workspaces", "Workspaces by the state of their calendar.", "")
	g.asOf = gauge("availability_oldest_look_age", "Age of the oldest look that is served from, by state.", "s")
	g.resting = gauge("availability_hosts_resting", "Calendar hosts that are left alone because they keep failing, by class.", "")
	g.low = gauge("availability_low_workspaces", "Workspaces that were told of in this week because they have few free times.", "")
	g.run = gauge("availability_last_run_age", "Time since a refresh run ended.", "s")
	g.direct = gauge("availability_direct_book_unreachable", "Calendars for direct bookings that cannot be read.", "")
	if made != nil {
		return nil, fmt.Errorf("make gauges: %w", made)
	}
	registered, err := cfg.Meter.RegisterCallback(g.observe, g.workspaces, g.asOf, g.resting, g.low, g.run, g.direct)
	if err != nil {
		return nil, fmt.Errorf("make gauges: %w", err)
	}
	return registered.Unregister, nil
}

func (g *gauges) observe(ctx context.Context, o metric.Observer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	now := g.cfg.Clock.Now()
	census, err := g.cfg.Census(ctx)
	if err != nil {
		return err
	}
	exact, err := g.cfg.Store.Stands(ctx)
	if err != nil {
		return err
	}
	for _, state := range []slots.State{slots.StateNew, slots.StateOK, slots.StateEmpty, slots.StateUnreachable, slots.StateUnconfigured} {
		with := metric.WithAttributes(attribute.String("state", string(state)))
		known := census[string(state)]
		if state == slots.StateUnreachable {
			known = exact.Unreachable // alarms go by it
		}
		o.ObserveFloat64(g.workspaces, float64(known), with)
		if oldest := exact.Oldest[state]; !oldest.IsZero() {
			o.ObserveFloat64(g.asOf, max(now.Sub(oldest), 0).Seconds(), with)
		}
	}
	o.ObserveFloat64(g.direct, float64(exact.UnreachableDirect))
	low, err := g.cfg.Store.CountLow(ctx, refresh.Week(now))
	if err != nil {
		return err
	}
	o.ObserveFloat64(g.low, float64(low))
	runs, err := g.cfg.Store.Runs(ctx, [16]byte{}, recentRuns)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if !run.End.IsZero() {
			o.ObserveFloat64(g.run, max(now.Sub(run.End), 0).Seconds())
			break
		}
	}
	return g.hosts(ctx, o, now)
}

// recentRuns are looked through for one that ended.
const recentRuns = 20

func (g *gauges) hosts(ctx context.Context, o metric.Observer, now time.Time) error {
	hosts, err := g.cfg.Store.RestingHosts(ctx, now)
	if err != nil {
		return err
	}
	count := map[string]int{"ghl": 0, "calendly": 0, "hubspot": 0, "other": 0}
	for _, host := range hosts {
		count[Class(host.Host)]++
	}
	for class, n := range count {
		o.ObserveFloat64(g.resting, float64(n), metric.WithAttributes(attribute.String("class", class)))
	}
	return nil
}

// Class is the provider that a host belongs to, or "other": hosts of feeds are too many for labels.
func Class(host string) string {
	name, _, _ := strings.Cut(host, ":")
	for _, known := range []struct{ domain, class string }{
		{"leadconnectorhq.com", "ghl"}, {"calendly.com", "calendly"}, {"hubspot.com", "hubspot"}, {"hubapi.com", "hubspot"},
	} {
		if name == known.domain || strings.HasSuffix(name, "."+known.domain) {
			return known.class
		}
	}
	return "other"
}
