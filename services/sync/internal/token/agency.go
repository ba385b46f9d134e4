package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// agency is the slot of an agency's install, under which the locations' tokens are minted. Many workspaces may use it.
type agency struct {
	keeper       *Keeper
	app, company string
}

func (s agency) key() string { return "agency " + s.company }

func (s agency) read(ctx context.Context) (credential, error) {
	var row db.AgencyForUseRow
	err := s.keeper.Store.System(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.AgencyForUse(ctx, db.AgencyForUseParams{App: s.app, Company: s.company})
		return err
	})
	if postgres.IsNoRows(err) {
		return credential{}, ErrNoAgency
	}
	if err != nil {
		return credential{}, fmt.Errorf("read agency: %w", err)
	}
	return credential{
		version: row.Agency.TokenVersion, state: sending.ConnectionState(row.Agency.State), stale: row.Stale, alive: row.Alive, agency: row.Agency,
	}, nil
}

func (s agency) lease(ctx context.Context, version int64) (again bool, err error) {
	err = s.keeper.Store.System(ctx, func(tx *store.Tx) (err error) {
		again, err = tx.LeaseAgency(ctx, db.LeaseAgencyParams{LeaseSeconds: lease.Seconds(), App: s.app, Company: s.company, TokenVersion: version})
		return err
	})
	return again, err
}

func (s agency) renew(ctx context.Context, c credential) (Tokens, error) {
	refresh, err := s.keeper.Store.Open(c.agency.RefreshEnc, store.AgencyPlace(s.app, s.company, "refresh"))
	if err != nil {
		return Tokens{}, err
	}
	return s.keeper.spend(ctx, redact.Secret(refresh), true)
}

func (s agency) keep(ctx context.Context, version int64, t Tokens) error {
	return s.keeper.Store.System(ctx, func(tx *store.Tx) error {
		p, err := s.sealed(tx, t)
		if err != nil {
			return err
		}
		_, err = tx.StoreAgency(ctx, db.StoreAgencyParams{
			TokenEnc: p.TokenEnc, RefreshEnc: p.RefreshEnc, ExpiresInSeconds: p.ExpiresInSeconds, Now: p.Now, App: s.app, Company: s.company, TokenVersion: version,
		})
		return err
	})
}

func (s agency) fail(ctx context.Context, version int64, state sending.ConnectionState) (changed int64, err error) {
	err = s.keeper.Store.System(ctx, func(tx *store.Tx) (err error) {
		changed, err = tx.FailAgency(ctx, db.FailAgencyParams{State: string(state), Now: tx.Now, App: s.app, Company: s.company, TokenVersion: version})
		return err
	})
	return changed, err
}

func (s agency) sealed(tx *store.Tx, t Tokens) (p db.UpsertAgencyParams, err error) {
	p = db.UpsertAgencyParams{App: s.app, Company: s.company, ExpiresInSeconds: t.Life.Seconds(), Now: tx.Now}
	if p.TokenEnc, err = tx.Seal(t.Access.Reveal(), store.AgencyPlace(s.app, s.company, "token")); err == nil {
		p.RefreshEnc, err = tx.Seal(t.Refresh.Reveal(), store.AgencyPlace(s.app, s.company, "refresh"))
	}
	return p, err
}

// KeepAgency stores an agency's tokens, in place of older ones of it, before anything is made with them.
func (k *Keeper) KeepAgency(ctx context.Context, t Tokens) error {
	s := agency{keeper: k, app: k.OAuthApp(), company: t.Company}
	err := k.Store.System(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		p, err := s.sealed(tx, t)
		if err != nil {
			return err
		}
		return tx.UpsertAgency(ctx, p)
	})
	if err != nil {
		return fmt.Errorf("store agency: %w", err)
	}
	return nil
}

// Mint makes a token of a location with its agency's. Errors: ErrNoAgency, ErrNotReady, AnswerError; a dead grant of the agency
// is a refusal like any other.
func (k *Keeper) Mint(ctx context.Context, company, location string) (Tokens, error) {
	s := agency{keeper: k, app: k.OAuthApp(), company: company}
	c, err := s.read(ctx)
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := k.mint(ctx, s, c, location)
	var answer *AnswerError
	if !errors.As(err, &answer) || answer.Kind != Expired {
		return tokens, err
	}
	if err := k.expireAgency(ctx, s, c); err != nil {
		return Tokens{}, err
	}
	if c, err = s.read(ctx); err != nil {
		return Tokens{}, err
	}
	return k.mint(ctx, s, c, location)
}

func (k *Keeper) mint(ctx context.Context, s agency, c credential, location string) (Tokens, error) {
	var err error
	if c.stale && c.state != sending.ReconnectNeeded {
		if c, err = k.fresh(ctx, s, c); err != nil {
			return Tokens{}, err
		}
	}
	switch c.state {
	case sending.ReconnectNeeded:
		return Tokens{}, &AnswerError{Kind: Refused}
	case sending.Inactive:
		return Tokens{}, &AnswerError{Kind: Inactive}
	}
	access, err := k.Store.Open(c.agency.TokenEnc, store.AgencyPlace(s.app, s.company, "token"))
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := k.OAuth.Mint(ctx, redact.Secret(access), s.company, location)
	tokens.Company, tokens.Location, tokens.Refresh = s.company, location, ""
	return tokens, err
}

func (k *Keeper) expireAgency(ctx context.Context, s agency, c credential) error {
	err := k.Store.System(ctx, func(tx *store.Tx) error {
		_, err := tx.ExpireAgency(ctx, db.ExpireAgencyParams{App: s.app, Company: s.company, TokenVersion: c.version})
		return err
	})
	if err != nil {
		return fmt.Errorf("expire agency's token: %w", err)
	}
	return nil
}
