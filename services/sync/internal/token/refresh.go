package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/crashpoint"
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

// fresh gives a credential that has more than a minute to live, renewing it once however many ask. While somebody else renews
// it, one that still lives is used.
func (k *Keeper) fresh(ctx context.Context, s slot, c credential) (credential, error) {
	// The flight does not end with the caller that began it: a refresh that is cut off loses the new pair.
	flight := k.flights.DoChan(fmt.Sprintf("%s/%d", s.key(), c.version), func() (any, error) {
		return k.refresh(context.WithoutCancel(ctx), s, c)
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case done := <-flight:
		if done.Err != nil {
			return c, done.Err
		}
		return done.Val.(credential), nil
	case <-timer.C:
		return c, ErrNotReady
	case <-ctx.Done():
		return c, ctx.Err()
	}
}

// refresh takes the lease or waits for its holder.
func (k *Keeper) refresh(ctx context.Context, s slot, c credential) (credential, error) {
	for end := time.After(lease); ; {
		again, err := s.lease(ctx, c.version)
		if err == nil {
			return k.renewed(ctx, s, c, again)
		}
		if !postgres.IsNoRows(err) {
			return c, fmt.Errorf("lease refresh: %w", err)
		}
		now, err := s.read(ctx)
		if err != nil || !now.stale || now.alive || now.state != c.state {
			return now, err
		}
		if now.version != c.version {
			return now, ErrNotReady
		}
		select {
		case <-time.After(poll):
		case <-end:
			return c, ErrNotReady
		}
	}
}

// renewed makes the call and keeps what it gives before anyone uses it.
func (k *Keeper) renewed(ctx context.Context, s slot, c credential, again bool) (credential, error) {
	crashpoint.At(crashpoint.T1)
	tokens, err := s.renew(ctx, c)
	crashpoint.At(crashpoint.T2)
	var answer *AnswerError
	if errors.As(err, &answer) {
		return k.refused(ctx, s, c, refusal{answer: answer, again: again})
	}
	if err != nil {
		return c, err
	}
	if err := keep(ctx, s, c.version, tokens); err != nil {
		return c, err
	}
	crashpoint.At(crashpoint.T3)
	// That no row changed means that other credentials came meanwhile, or that an earlier try of this commit had succeeded.
	return s.read(ctx)
}

// spend exchanges a refresh token. An answer that got lost is asked for once more at once, with the same token, while the
// provider still gives the same pair.
func (k *Keeper) spend(ctx context.Context, refresh redact.Secret, agency bool) (Tokens, error) {
	tokens, err := k.OAuth.Refresh(ctx, refresh, agency)
	var answer *AnswerError
	if errors.As(err, &answer) && answer.Kind == NoAnswer {
		tokens, err = k.OAuth.Refresh(ctx, refresh, agency)
	}
	return tokens, err
}

// keep stores the new tokens. While the database is away it tries again: they are in this process only.
func keep(ctx context.Context, s slot, version int64, t Tokens) error {
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	for {
		err := s.keep(ctx, version, t)
		if err == nil {
			return nil
		}
		if !postgres.IsUnavailable(err) || ctx.Err() != nil {
			return fmt.Errorf("store refreshed token: %w", err)
		}
		time.Sleep(poll)
	}
}

// refusal is an answer without tokens.
type refusal struct {
	answer *AnswerError
	// again: the version had been asked for before, by a holder that did not come back.
	again bool
}

// refused keeps what a no means. One line is logged when the state changes, none for the same no again.
func (k *Keeper) refused(ctx context.Context, s slot, c credential, no refusal) (credential, error) {
	var state sending.ConnectionState
	switch no.answer.Kind {
	case Refused:
		state = sending.ReconnectNeeded
	case Inactive:
		state = sending.Inactive
	default:
		k.Logger.WarnContext(ctx, "token refresh got no tokens; it is tried again", "credential", s.key(),
			"kind", string(no.answer.Kind), "status", no.answer.Status)
		return c, fmt.Errorf("%w: %w", ErrNotReady, no.answer)
	}
	changed, err := s.fail(ctx, c.version, state)
	if err != nil {
		return c, fmt.Errorf("store refused refresh: %w", err)
	}
	if changed > 0 {
		k.Logger.WarnContext(ctx, "provider connection cannot be refreshed", "credential", s.key(), "state", string(state), "after_crash", no.again)
	}
	return s.read(ctx)
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

// Authorize spends a grant. Errors: AnswerError.
func (k *Keeper) Authorize(ctx context.Context, g Grant) (Tokens, error) {
	// Not cut off by the caller: a spent grant without its answer is lost.
	ctx = context.WithoutCancel(ctx)
	if g.Code != "" {
		return k.OAuth.Exchange(ctx, g.Code, g.RedirectURI)
	}
	return k.spend(ctx, g.Refresh, g.Agency)
}

// OAuthApp is the client id of the configured app; empty when there is none.
func (k *Keeper) OAuthApp() string {
	if k.OAuth == nil {
		return ""
	}
	return k.OAuth.App()
}
