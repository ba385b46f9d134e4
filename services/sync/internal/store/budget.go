package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Budgets are the rows of the providers' budgets. They belong to no workspace.
func (s *Store) Budgets() *BudgetRows { return &BudgetRows{store: s} }

// BudgetRows implements budget.Rows.
type BudgetRows struct{ store *Store }

var _ budget.Rows = (*BudgetRows)(nil)

// Update changes one budget under its row's lock.
func (b *BudgetRows) Update(ctx context.Context, key budget.Key, initial budget.Limit, fn func(budget.State, time.Time) budget.State) error {
	err := postgres.InTx(ctx, b.store.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		where := db.LockBudgetParams{Provider: key.Provider, App: key.App, Account: key.Account}
		row, err := q.LockBudget(ctx, where)
		if postgres.IsNoRows(err) {
			err = q.InsertBudget(ctx, db.InsertBudgetParams{
				Provider: key.Provider, App: key.App, Account: key.Account,
				LimitCalls: int32(initial.Calls), LimitIntervalMs: initial.Interval.Milliseconds(),
			})
			if err == nil {
				row, err = q.LockBudget(ctx, where)
			}
		}
		if err != nil {
			return err
		}
		return q.UpdateBudget(ctx, budgetParams(key, fn(budgetState(row), row.Now)))
	})
	if err != nil {
		return fmt.Errorf("provider budget: %w", err)
	}
	return nil
}

// Read gives a budget as it stands, and false when no call was made yet.
func (b *BudgetRows) Read(ctx context.Context, key budget.Key) (s budget.State, known bool, err error) {
	err = postgres.InTx(ctx, b.store.pool, func(tx pgx.Tx) error {
		row, err := db.New(tx).Budget(ctx, db.BudgetParams{Provider: key.Provider, App: key.App, Account: key.Account})
		s = budgetState(db.LockBudgetRow(row))
		return err
	})
	if postgres.IsNoRows(err) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("provider budget: %w", err)
	}
	return s, true, nil
}

func budgetState(r db.LockBudgetRow) budget.State {
	return budget.State{
		Limit: budget.Limit{Calls: int(r.LimitCalls), Interval: time.Duration(r.LimitIntervalMs) * time.Millisecond},
		TAT:   r.Tat, ReadTAT: r.ReadTat, HoldUntil: Deref(r.HoldUntil), HoldWindow: budget.Window(r.HoldWindow),
		DailyLimit: int(r.DailyLimit), DailyLeft: int(r.DailyLeft), DailyAt: Deref(r.DailyTime),
	}
}

func budgetParams(key budget.Key, s budget.State) db.UpdateBudgetParams {
	p := db.UpdateBudgetParams{
		Provider: key.Provider, App: key.App, Account: key.Account,
		LimitCalls: int32(s.Limit.Calls), LimitIntervalMs: s.Limit.Interval.Milliseconds(), Tat: s.TAT, ReadTat: s.ReadTAT,
		HoldWindow: string(s.HoldWindow), DailyLimit: int32(s.DailyLimit), DailyLeft: int32(s.DailyLeft),
	}
	if !s.HoldUntil.IsZero() {
		p.HoldUntil = &s.HoldUntil
	}
	if !s.DailyAt.IsZero() {
		p.DailyTime = &s.DailyAt
	}
	return p
}
