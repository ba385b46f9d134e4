package token

import (
	"context"
	"fmt"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// AppUninstalled drops the tokens of a location whose app was uninstalled (the UNINSTALL webhook), in the caller's
// transaction. The connection stays, as RECONNECT_NEEDED. It reports whether there was one; a token made by hand is none of
// the app's.
func AppUninstalled(ctx context.Context, tx *store.Tx, location string) (bool, error) {
	c, err := tx.ConnectionByLocation(ctx, location)
	if postgres.IsNoRows(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("drop tokens: %w", err)
	}
	blank, err := tx.Seal("", store.SecretPlace(c.WorkspaceID, c.Provider, "token"))
	if err != nil {
		return false, err
	}
	_, err = tx.ForgetConnection(ctx, db.ForgetConnectionParams{TokenEnc: blank, Now: tx.Now, WorkspaceID: c.WorkspaceID})
	if postgres.IsNoRows(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("drop tokens: %w", err)
	}
	return true, nil
}

// AppInstalled has a location's connection tried again at once (the INSTALL webhook), in the caller's transaction. The event
// carries no token: a connection that needs one waits for SetConnection with the code of the install, unless an agency's token
// mints it. It reports whether a connection will be tried.
func AppInstalled(ctx context.Context, tx *store.Tx, location string) (bool, error) {
	n, err := tx.HastenCheck(ctx, location)
	if err != nil {
		return false, fmt.Errorf("try connection again: %w", err)
	}
	minted, err := tx.ReviveMinted(ctx, db.ReviveMintedParams{Now: tx.Now, Location: location})
	if err != nil {
		return false, fmt.Errorf("try connection again: %w", err)
	}
	return n+minted > 0, nil
}

// Recovered records that a connection which could not be used answers again.
func Recovered(ctx context.Context, tx *store.Tx, c db.ClaimChecksRow) (bool, error) {
	n, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{
		State: string(sending.Connected), Now: tx.Now, WorkspaceID: c.WorkspaceID, Provider: c.Provider,
	})
	if err != nil {
		return false, fmt.Errorf("record recovery: %w", err)
	}
	return n > 0, nil
}
