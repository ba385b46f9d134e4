package server

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/postgres"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// GetConnectionHealth tells whether the connection works.
func (s *Server) GetConnectionHealth(ctx context.Context, req *syncv1.GetConnectionHealthRequest) (*syncv1.GetConnectionHealthResponse, error) {
	var c check
	id := c.workspace("parent", req.GetParent())
	kind := c.provider("provider", req.GetProvider())
	if err := c.err(); err != nil {
		return nil, err
	}
	row, err := s.connectionOf(ctx, id, kind)
	if err != nil {
		return nil, err
	}
	if req.GetProbe() {
		if err := s.probe(ctx, row); err != nil {
			return nil, err
		}
		if row, err = s.connectionOf(ctx, id, kind); err != nil {
			return nil, err
		}
	}
	budget, err := s.budget(ctx, row)
	if err != nil {
		return nil, err
	}
	return &syncv1.GetConnectionHealthResponse{Connection: connectionProto(row), Budget: budget}, nil
}

// probe makes one read and keeps what it says. A dead OAuth grant is not asked: only a person can mend it.
func (s *Server) probe(ctx context.Context, row db.Connection) error {
	if sending.ConnectionState(row.State) == sending.ReconnectNeeded {
		return nil
	}
	account, err := s.account(row)
	if err != nil {
		return err
	}
	if mail, ok := s.Mail[account.Kind]; ok {
		err = mail.Probe(ctx, account)
	} else if account.Kind == provider.Calendly {
		err = s.Calendly.Probe(ctx, account)
	} else {
		err = s.Client.Probe(ctx, account)
	}
	if v, limited := ghl.RateLimited(err); limited {
		return refusal(v.Refusal, workspaceName(row.WorkspaceID), v.Wait).WithCause(err)
	}
	return s.learn(ctx, row, err)
}

func (s *Server) budget(ctx context.Context, row db.Connection) (*syncv1.ProviderBudget, error) {
	account := provider.Account{Kind: provider.Kind(row.Provider), Location: row.Location, App: row.App}
	state, known, err := s.Store.Budgets().Read(ctx, account.Budget())
	if err != nil || !known {
		return nil, mapped(err)
	}
	out := &syncv1.ProviderBudget{
		Limit: int32(state.Limit.Calls), Interval: durationpb.New(state.Limit.Interval), DailyLimit: int32(state.DailyLimit),
		DailyRemaining: int32(state.DailyLeft),
	}
	if !state.HoldUntil.IsZero() {
		out.HoldUntil, out.HoldWindow = stamp(state.HoldUntil), string(state.HoldWindow)
	}
	if !state.DailyAt.IsZero() {
		out.DailyTime = stamp(state.DailyAt)
	}
	return out, nil
}

// connection reads a workspace's GHL connection. Errors: NotFound, PROVIDER_NOT_CONNECTED.
func (s *Server) connection(ctx context.Context, id uuid.UUID) (db.Connection, error) {
	return s.connectionOf(ctx, id, provider.GHL)
}

func (s *Server) connectionOf(ctx context.Context, id uuid.UUID, kind provider.Kind) (row db.Connection, err error) {
	err = s.inWorkspace(ctx, id, func(tx *store.Tx) (err error) {
		if _, err := tx.OneWorkspace(ctx, id); err != nil {
			return found(err, "workspace", workspaceName(id))
		}
		row, err = tx.ConnectionOf(ctx, db.ConnectionOfParams{WorkspaceID: id, Provider: string(kind)})
		if postgres.IsNoRows(err) {
			return refusal(sending.Refusal{Reason: sending.ProviderNotConnected, Meta: map[string]string{"provider": string(kind)}}, workspaceName(id), 0)
		}
		return err
	})
	return row, err
}

func (s *Server) account(row db.Connection) (ghl.Account, error) { return s.Accounts.Open(row) }

// learn keeps what a provider read says about the connection, which is as it was before the read: of other credentials, which may
// be in its place by now, the read says nothing.
func (s *Server) learn(ctx context.Context, row db.Connection, outcome error) error {
	state := sending.Connected
	var failed *ghl.ReadError
	if outcome != nil {
		if !errors.As(outcome, &failed) || failed.Verdict.Class != classify.Suspended {
			return nil // Says nothing about the connection.
		}
		state = sending.AuthRevoked
		if failed.Verdict.Refusal.Reason == sending.LocationInactive {
			state = sending.Inactive
		}
	}
	return s.inWorkspace(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		if _, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{
			State: string(state), Now: tx.Now, WorkspaceID: row.WorkspaceID, Provider: row.Provider, TokenVersion: &row.TokenVersion,
		}); err != nil {
			return err
		}
		if state != sending.Connected {
			return nil
		}
		return tx.TouchConnectionSuccess(ctx, db.TouchConnectionSuccessParams{Now: &tx.Now, WorkspaceID: row.WorkspaceID, Provider: row.Provider})
	})
}
