package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/secretbox"
)

// errDatabase is a failure of our own database, without which no workspace can be audited.
var errDatabase = errors.New("read database")

// tenant is a connected workspace. broken says why its token cannot be opened.
type tenant struct {
	workspace, location, token string
	broken                     error
}

// intent is a send as our database has it. It is read by SQL of its own, not through the service.
type intent struct {
	ID, Contact, Channel, State, Provider string
	From, To                              time.Time
	text                                  string
}

// inOurs runs fn seeing all workspaces.
func (a *auditor) inOurs(ctx context.Context, fn func(pgx.Tx) error) error {
	err := pgx.BeginTxFunc(ctx, a.db, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('relance.scope', 'system', true)`); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errDatabase, err)
	}
	return nil
}

func (a *auditor) tenants(ctx context.Context) ([]tenant, error) {
	var out []tenant
	err := a.inOurs(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT workspace_id::text, location, token_enc FROM connection WHERE provider = 'ghl' AND ($1 = '' OR workspace_id::text = $1)
			ORDER BY workspace_id`, a.opts.Workspace)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t tenant
			var sealed []byte
			if err := rows.Scan(&t.workspace, &t.location, &sealed); err != nil {
				return err
			}
			token, err := a.box.Open(sealed, secretbox.AD{Table: "connection", Column: "token", ID: t.workspace})
			if err != nil {
				t.broken = fmt.Errorf("its token cannot be opened with this keyset: %w", err)
			}
			t.token = string(token)
			out = append(out, t)
		}
		return rows.Err()
	})
	return out, err
}

// intents are the sends of a workspace that were claimed since a time.
func (a *auditor) intents(ctx context.Context, workspace string, since time.Time) ([]*intent, error) {
	var out []*intent
	err := a.inOurs(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT i.id::text, coalesce(l.ghl_contact_id, ''), i.channel, i.state, coalesce(i.provider_message_id, ''),
				coalesce(i.claim_from, i.create_time), coalesce(i.claim_time, i.create_time), i.content_enc
			FROM send_intent i JOIN lead l ON l.workspace_id = i.workspace_id AND l.id = i.lead_id
			WHERE i.workspace_id = $1 AND coalesce(i.claim_time, i.create_time) >= $2`, workspace, since)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			i := &intent{}
			var sealed []byte
			if err := rows.Scan(&i.ID, &i.Contact, &i.Channel, &i.State, &i.Provider, &i.From, &i.To, &sealed); err != nil {
				return err
			}
			if i.text, err = a.text(i, sealed); err != nil {
				return err
			}
			out = append(out, i)
		}
		return rows.Err()
	})
	return out, err
}

// text is what a send says: an SMS's words, an email's HTML.
func (a *auditor) text(i *intent, sealed []byte) (string, error) {
	raw, err := a.box.Open(sealed, secretbox.AD{Table: "send_intent", Column: "content", ID: i.ID})
	if err != nil {
		return "", fmt.Errorf("content of send %s: %w", i.ID, err)
	}
	var content struct{ Body, HTML string }
	if err := json.Unmarshal(raw, &content); err != nil {
		return "", fmt.Errorf("content of send %s: %w", i.ID, err)
	}
	if i.Channel == "email" {
		return content.HTML, nil
	}
	return content.Body, nil
}
