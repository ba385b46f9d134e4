package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	// lease is how long one replica may refresh. It is shorter than the 30 s in which the provider answers a spent token with
	// the same new pair, so that the one who comes after a crash still gets it.
	lease = 20 * time.Second
	// patience is how long a caller waits for somebody's refresh.
	patience = 4 * time.Second
	// poll is how often a caller without the lease looks whether it is done.
	poll = 100 * time.Millisecond
	// storeFor is how long the new pair is tried to be stored while the database is away.
	storeFor = 10 * time.Minute
)

// fresh gives the connection with a token that has more than a minute to live, refreshing it once however many ask. While
// somebody else refreshes, a token that still lives is used.
func (k *Keeper) fresh(ctx context.Context, row db.ConnectionForUseRow) (db.ConnectionForUseRow, error) {
	c := row.Connection
	// The flight does not end with the caller that began it: a refresh that is cut off loses the new pair.
	flight := k.flights.DoChan(fmt.Sprintf("%s/%s/%d", c.WorkspaceID, c.Provider, c.TokenVersion), func() (any, error) {
		return k.refresh(context.WithoutCancel(ctx), row)
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case done := <-flight:
		if done.Err != nil {
			return row, done.Err
		}
		return done.Val.(db.ConnectionForUseRow), nil
	case <-timer.C:
		return row, ErrNotReady
	case <-ctx.Done():
		return row, ctx.Err()
	}
}

// refresh takes the lease or waits for its holder.
func (k *Keeper) refresh(ctx context.Context, row db.ConnectionForUseRow) (db.ConnectionForUseRow, error) {
	c := row.Connection
	for end := time.After(lease); ; {
		again, held, err := k.take(ctx, c)
		if err != nil {
			return row, err
		}
		if held {
			return k.spend(ctx, row, again)
		}
		now, err := k.read(ctx, c.WorkspaceID, provider.Kind(c.Provider))
		if err != nil || !now.Stale || now.Alive || now.Connection.State != c.State {
			return now, err
		}
		if now.Connection.TokenVersion != c.TokenVersion {
			return now, ErrNotReady
		}
		select {
		case <-time.After(poll):
		case <-end:
			return row, ErrNotReady
		}
	}
}

// take asks for the lease. It reports whether the version was asked for before, by a holder that did not come back.
func (k *Keeper) take(ctx context.Context, c db.Connection) (again, held bool, err error) {
	err = k.Store.Workspace(ctx, c.WorkspaceID, func(tx *store.Tx) (err error) {
		again, err = tx.LeaseRefresh(ctx, db.LeaseRefreshParams{
			LeaseSeconds: lease.Seconds(), WorkspaceID: c.WorkspaceID, Provider: c.Provider, TokenVersion: c.TokenVersion,
		})
		return err
	})
	if postgres.IsNoRows(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("lease refresh: %w", err)
	}
	return again, true, nil
}

// spend makes the call. An answer that got lost is asked for once more at once, with the same token, while the provider still
// gives the same pair.
func (k *Keeper) spend(ctx context.Context, row db.ConnectionForUseRow, again bool) (db.ConnectionForUseRow, error) {
	c := row.Connection
	refresh, err := k.Store.Open(c.RefreshEnc, store.SecretPlace(c.WorkspaceID, c.Provider, "refresh"))
	if err != nil {
		return row, err
	}
	if k.OAuth == nil || k.OAuth.App() != c.App || refresh == "" {
		return row, fmt.Errorf("%w: the OAuth app %q of the connection is not configured", ErrNotReady, c.App)
	}
	tokens, err := k.OAuth.Refresh(ctx, redact.Secret(refresh))
	var answer *AnswerError
	if errors.As(err, &answer) && answer.Kind == NoAnswer {
		tokens, err = k.OAuth.Refresh(ctx, redact.Secret(refresh))
	}
	switch {
	case err == nil:
		return k.store(ctx, row, tokens)
	case errors.As(err, &answer):
		return k.refused(ctx, row, answer, again)
	default:
		return row, err
	}
}

// store keeps the new pair before anyone uses it. While the database is away it tries again: the pair is in this process only.
func (k *Keeper) store(ctx context.Context, row db.ConnectionForUseRow, t Tokens) (db.ConnectionForUseRow, error) {
	c := row.Connection
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	var err error
	for {
		err = k.Store.Workspace(ctx, c.WorkspaceID, func(tx *store.Tx) error {
			p, err := Sealed(tx, c.WorkspaceID, provider.Kind(c.Provider), t)
			if err != nil {
				return err
			}
			_, err = tx.StoreRefresh(ctx, db.StoreRefreshParams{
				TokenEnc: p.TokenEnc, RefreshEnc: p.RefreshEnc, ExpiresInSeconds: t.Life.Seconds(), Now: tx.Now, WorkspaceID: c.WorkspaceID,
				Provider: c.Provider, TokenVersion: c.TokenVersion,
			})
			return err
		})
		if !postgres.IsUnavailable(err) || ctx.Err() != nil {
			break
		}
		time.Sleep(poll)
	}
	if err != nil {
		return row, fmt.Errorf("store refreshed token: %w", err)
	}
	// No row changed means that other credentials came meanwhile, or that an earlier try of this commit had succeeded.
	return k.read(ctx, c.WorkspaceID, provider.Kind(c.Provider))
}

// refused keeps what a no means. One line is logged when the state changes, none for the same no again.
func (k *Keeper) refused(ctx context.Context, row db.ConnectionForUseRow, answer *AnswerError, again bool) (db.ConnectionForUseRow, error) {
	c := row.Connection
	var state sending.ConnectionState
	switch answer.Kind {
	case Refused:
		state = sending.ReconnectNeeded
	case Inactive:
		state = sending.Inactive
	default:
		k.Logger.WarnContext(ctx, "token refresh got no tokens; it is tried again", "workspace", c.WorkspaceID.String(),
			"kind", string(answer.Kind), "status", answer.Status)
		return row, fmt.Errorf("%w: %w", ErrNotReady, answer)
	}
	var changed int64
	err := k.Store.Workspace(ctx, c.WorkspaceID, func(tx *store.Tx) (err error) {
		changed, err = tx.FailRefresh(ctx, db.FailRefreshParams{
			State: string(state), Now: tx.Now, WorkspaceID: c.WorkspaceID, Provider: c.Provider, TokenVersion: c.TokenVersion,
		})
		return err
	})
	if err != nil {
		return row, fmt.Errorf("store refused refresh: %w", err)
	}
	if changed > 0 {
		k.Logger.WarnContext(ctx, "provider connection cannot be refreshed", "workspace", c.WorkspaceID.String(),
			"provider", c.Provider, "state", string(state), "after_crash", again)
	}
	return k.read(ctx, c.WorkspaceID, provider.Kind(c.Provider))
}

// renew is for a caller whose token the provider called expired. Only a token of the caller's version is refreshed, and not
// one that is fresh: that the provider refuses a fresh one too is not an expiry.
func (k *Keeper) renew(ctx context.Context, c db.Connection) (provider.Account, error) {
	err := k.Store.Workspace(ctx, c.WorkspaceID, func(tx *store.Tx) error {
		_, err := tx.ExpireAccess(ctx, db.ExpireAccessParams{WorkspaceID: c.WorkspaceID, Provider: c.Provider, TokenVersion: c.TokenVersion})
		return err
	})
	if err != nil {
		return provider.Account{}, fmt.Errorf("expire access token: %w", err)
	}
	account, state, err := k.AccountOf(ctx, c.WorkspaceID, provider.Kind(c.Provider))
	if err == nil && state != sending.Connected {
		err = ErrNotReady
	}
	return account, err
}

// Sealed gives the columns of new credentials. Without a refresh token they are a token made by hand.
func Sealed(tx *store.Tx, workspace uuid.UUID, kind provider.Kind, t Tokens) (p db.UpsertConnectionParams, err error) {
	p = db.UpsertConnectionParams{WorkspaceID: workspace, Provider: string(kind), ExpiresInSeconds: t.Life.Seconds()}
	if p.TokenEnc, err = tx.Seal(t.Access.Reveal(), store.SecretPlace(workspace, p.Provider, "token")); err != nil || t.Refresh == "" {
		return p, err
	}
	p.Auth = authOAuth
	p.RefreshEnc, err = tx.Seal(t.Refresh.Reveal(), store.SecretPlace(workspace, p.Provider, "refresh"))
	return p, err
}

// Authorize spends a grant. Errors: AnswerError.
func (k *Keeper) Authorize(ctx context.Context, g Grant) (Tokens, error) {
	// Not cut off by the caller: a spent grant without its answer is lost.
	ctx = context.WithoutCancel(ctx)
	if g.Code != "" {
		return k.OAuth.Exchange(ctx, g.Code, g.RedirectURI)
	}
	tokens, err := k.OAuth.Refresh(ctx, g.Refresh)
	var answer *AnswerError
	if errors.As(err, &answer) && answer.Kind == NoAnswer {
		tokens, err = k.OAuth.Refresh(ctx, g.Refresh)
	}
	return tokens, err
}

// OAuthApp is the client id of the configured app; empty when there is none.
func (k *Keeper) OAuthApp() string {
	if k.OAuth == nil {
		return ""
	}
	return k.OAuth.App()
}
