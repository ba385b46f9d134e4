package server

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/postgres"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// SetConnection connects a workspace to a GHL location.
func (s *Server) SetConnection(ctx context.Context, req *syncv1.SetConnectionRequest) (*syncv1.SetConnectionResponse, error) {
	var c check
	id := c.workspace("parent", req.GetParent())
	location, secret := req.GetConnection().GetLocation(), req.GetConnection().GetToken()
	c.when(!lead.ValidID(location), "connection.location", "must be 15 to 64 letters and digits")
	c.when(len(secret) < 8 || len(secret) > 4096 || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }),
		"connection.token", "must be a private integration token: 8 to 4096 visible ASCII characters")
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.Connection
	err := s.inWorkspace(ctx, id, func(tx *store.Tx) error {
		if _, err := tx.LockWorkspace(ctx, id); err != nil {
			return found(err, "workspace", workspaceName(id))
		}
		sealed, err := tx.Seal(secret, store.TokenPlace(id))
		if err != nil {
			return err
		}
		err = tx.UpsertConnection(ctx, db.UpsertConnectionParams{WorkspaceID: id, Location: location, TokenEnc: sealed, Now: tx.Now})
		if postgres.IsUnique(err, "connection_location_key") {
			return typed(codes.AlreadyExists, reasonLocationInUse, "another workspace is connected to this location").With("location", location)
		}
		if err != nil {
			return err
		}
		row, err = tx.Connection(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.SetConnectionResponse{Connection: connectionProto(row)}, nil
}

// GetConnectionHealth tells whether the connection works.
func (s *Server) GetConnectionHealth(ctx context.Context, req *syncv1.GetConnectionHealthRequest) (*syncv1.GetConnectionHealthResponse, error) {
	var c check
	id := c.workspace("parent", req.GetParent())
	if err := c.err(); err != nil {
		return nil, err
	}
	row, err := s.connection(ctx, id)
	if err != nil {
		return nil, err
	}
	if req.GetProbe() {
		account, err := s.account(row)
		if err != nil {
			return nil, err
		}
		err = s.Client.Probe(ctx, account)
		if v, limited := ghl.RateLimited(err); limited {
			return nil, refusal(v.Refusal, workspaceName(id), v.Wait).WithCause(err)
		}
		if err := s.learn(ctx, id, err); err != nil {
			return nil, err
		}
		if row, err = s.connection(ctx, id); err != nil {
			return nil, err
		}
	}
	return &syncv1.GetConnectionHealthResponse{Connection: connectionProto(row)}, nil
}

// connection reads a workspace's connection. Errors: NotFound, PROVIDER_NOT_CONNECTED.
func (s *Server) connection(ctx context.Context, id uuid.UUID) (row db.Connection, err error) {
	err = s.inWorkspace(ctx, id, func(tx *store.Tx) (err error) {
		if _, err := tx.OneWorkspace(ctx, id); err != nil {
			return found(err, "workspace", workspaceName(id))
		}
		row, err = tx.Connection(ctx, id)
		if postgres.IsNoRows(err) {
			return refusal(*sending.SetupRefusal(sending.NotConnected, false), workspaceName(id), 0)
		}
		return err
	})
	return row, err
}

func (s *Server) account(row db.Connection) (ghl.Account, error) { return s.Accounts.Open(row) }

// learn keeps what a provider read says about the connection.
func (s *Server) learn(ctx context.Context, id uuid.UUID, outcome error) error {
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
	return s.inWorkspace(ctx, id, func(tx *store.Tx) error {
		if _, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{State: string(state), Now: tx.Now, WorkspaceID: id}); err != nil {
			return err
		}
		if state != sending.Connected {
			return nil
		}
		return tx.TouchConnectionSuccess(ctx, db.TouchConnectionSuccessParams{Now: &tx.Now, WorkspaceID: id})
	})
}
