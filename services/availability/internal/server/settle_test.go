package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// tickOf runs one whole refresh on the replica and gives the statements that it took.
func (r *replica) tickOf(t *testing.T) (*availabilityv1.RefreshReceipt, int64) {
	t.Helper()
	before := r.queries.Load()
	// The budget is shortened to what the caller's deadline leaves: this one leaves all of it.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := r.admin.RefreshDueAvailability(ctx, &availabilityv1.RefreshDueAvailabilityRequest{
		TimeBudget: durationpb.New(55 * time.Second),
	})
	if err != nil || !out.GetFinishedWithinBudget() {
		t.Fatalf("%v %v", out, err)
	}
	return out.GetReceipt(), r.queries.Load() - before
}

// Ten thousand workspaces without a calendar take no statement each, neither when they are first seen nor later, and one
// line each in the log. Workspaces with a calendar are the control: each takes statements, and the counter sees them.
func TestManyUnconfiguredCostNothingEach(t *testing.T) {
	t.Parallel()
	const many, linked, page = 10_000, 50, 1000
	w := newWorld(t)
	w.sync.set(func(f *fakeSync) { f.page = page })
	r := w.newReplica(t, nil, w.db.DSN(store.Schema))
	for range many {
		w.workspace(t)
	}
	// One statement a page finds them, ten a thousand settle them: begin, scope, lock, update, commit and some to spare.
	const bound = 12 * (many/page + 2)
	receipt, cost := r.tickOf(t)
	if receipt.GetChecked() != many || receipt.GetSkippedNoDefault() != many || receipt.GetAttempted() != 0 || cost > bound {
		t.Errorf("first tick: %d statements, at most %d; %v", cost, bound, receipt)
	}
	if lines := len(w.logs.take()); lines != many {
		t.Errorf("%d lines for %d changes", lines, many)
	}
	receipt, quiet := r.tickOf(t)
	if receipt.GetChecked() != 0 || quiet > bound {
		t.Errorf("second tick: %d statements, at most %d; %v", quiet, bound, receipt)
	}
	// Once what changed lately is known, nothing is listed, and the statements are those of an empty run, however many
	// workspaces there are.
	w.clock.Advance(10 * time.Minute)
	r.tickOf(t)
	w.sync.set(func(f *fakeSync) { f.listed, f.found = 0, 0 })
	receipt, quiet = r.tickOf(t)
	t.Logf("a tick over %d workspaces without a calendar: %d statements", many, quiet)
	if receipt.GetChecked() != 0 || quiet > 30 || w.sync.listed != 1 || w.sync.found != 0 {
		t.Errorf("quiet tick: %d statements, %d pages of %d workspaces; %v", quiet, w.sync.listed, w.sync.found, receipt)
	}
	// Control: one that is made since is found, alone.
	w.workspace(t)
	receipt, _ = r.tickOf(t)
	if receipt.GetSkippedNoDefault() != 1 || w.sync.found != 1 {
		t.Errorf("a new one: %d found; %v", w.sync.found, receipt)
	}
	w.sync.set(func(f *fakeSync) { f.workspaces = f.workspaces[:many] })
	w.logs.take()
	w.clock.Advance(25 * time.Hour)
	receipt, cost = r.tickOf(t)
	if lines := len(w.logs.take()); receipt.GetSkippedNoDefault() != many+1 || cost > bound || lines != 0 {
		t.Errorf("a day later: %d statements, at most %d; %d lines; %v", cost, bound, lines, receipt)
	}
	w.sync.set(func(f *fakeSync) { f.workspaces = f.workspaces[:linked] })
	for _, id := range w.sync.workspaces {
		w.link(t, "workspaces/"+id.String())
	}
	receipt, cost = r.tickOf(t)
	if receipt.GetRefreshed() != linked || receipt.GetAttempted() != linked || cost < 3*linked {
		t.Errorf("control: %d statements for %d calendars; %v", cost, linked, receipt)
	}
}

// Settling leaves alone the workspaces that somebody holds, who may be about to give them a calendar, and those that have one.
func TestSettlingLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	if err := w.store.AddWorkspaces(t.Context(), []uuid.UUID{parse(t, acme)}); err != nil {
		t.Fatal(err)
	}
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SELECT set_config('relance.scope', 'system', true)`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM availability WHERE workspace_id = $1 FOR UPDATE`, parse(t, acme)); err != nil {
		t.Fatal(err)
	}
	refused := store.Result{State: slots.StateUnconfigured, Reason: slots.ReasonNoDefaultCalendar, Due: now()}
	settled, err := w.store.SettleUnconfigured(t.Context(), now(), refused, 10)
	if err != nil || settled.Count != 0 {
		t.Fatalf("settled a row that somebody holds: %v %v", settled, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if settled, err = w.store.SettleUnconfigured(t.Context(), now(), refused, 10); err != nil || settled.Count != 1 || len(settled.Changed) != 1 {
		t.Fatalf("control: %v %v", settled, err)
	}
	w.link(t, acme)
	if settled, err = w.store.SettleUnconfigured(t.Context(), now(), refused, 10); err != nil || settled.Count != 0 {
		t.Fatalf("settled a workspace with a calendar: %v %v", settled, err)
	}
	if r := w.tick(t); r.GetRefreshed() != 1 || r.GetSkippedNoDefault() != 0 {
		t.Errorf("%v", r)
	}
}
