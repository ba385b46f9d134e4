package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// maxPages bounds one lead's import: 100 messages each.
const maxPages = 200

// importHistory reads a lead's messages page by page, newest first. Each page is one commit with the cursor of the next,
// so that an interrupted import goes on where it was.
func (d Deps) importHistory(ctx context.Context, args work.ImportHistory) error {
	workspace, leadID, err := ids(args.Workspace, args.Lead)
	if err != nil {
		return err
	}
	account, usable, err := d.account(ctx, workspace)
	if err != nil || !usable {
		return err // Without a usable connection nothing is read; the row without done_time shows it.
	}
	for range maxPages {
		done, err := d.importPage(ctx, account, page{workspace: workspace, lead: leadID, channel: sending.Channel(args.Channel)})
		if err != nil || done {
			return err
		}
	}
	return nil
}

type page struct {
	workspace, lead uuid.UUID
	channel         sending.Channel
}

func (d Deps) importPage(ctx context.Context, account ghl.Account, p page) (bool, error) {
	var state db.HistoryImport
	var contact string
	err := d.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) (err error) {
		state, err = tx.HistoryImport(ctx, db.HistoryImportParams{WorkspaceID: p.workspace, LeadID: p.lead, Channel: string(p.channel)})
		if err != nil {
			return err
		}
		row, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: p.workspace, ID: p.lead})
		contact = store.Deref(row.GhlContactID)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("import history: %w", err)
	}
	if state.DoneTime != nil || contact == "" {
		return true, nil
	}
	found, next, err := d.Client.History(ctx, account, ghl.HistoryQuery{ContactID: contact, Channel: p.channel, Cursor: state.Cursor})
	if err != nil {
		return d.importFailed(ctx, p, state, err)
	}
	if next == state.Cursor {
		next = "" // A cursor that leads to itself ends the walk.
	}
	return next == "", d.savePage(ctx, p, found, next)
}

func (d Deps) importFailed(ctx context.Context, p page, state db.HistoryImport, err error) (bool, error) {
	var failed *ghl.ReadError
	if !errors.As(err, &failed) {
		return false, fmt.Errorf("import history: %w", err)
	}
	if failed.Verdict.Class == classify.Suspended {
		return true, d.suspend(ctx, p.workspace, failed.Verdict.Refusal.Reason)
	}
	if v, ok := ghl.RateLimited(err); ok {
		return false, river.JobSnooze(v.Wait) // Waiting for the budget is no failed attempt.
	}
	if state.Cursor != "" && failed.Status >= 400 && failed.Status < 500 && failed.Status != 429 {
		// The cursor is a handle that expires: begin again, repeats are known by their ids.
		reset := d.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) error {
			return tx.ResetImport(ctx, db.ResetImportParams{WorkspaceID: p.workspace, LeadID: p.lead, Channel: string(p.channel)})
		})
		err = errors.Join(err, reset)
	}
	return false, fmt.Errorf("import history: %w", err)
}

func (d Deps) savePage(ctx context.Context, p page, found []ghl.HistoryMessage, next string) error {
	err := d.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) error {
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: p.workspace, ID: p.lead}); err != nil {
			return err
		}
		fresh, err := record(ctx, tx, p, found)
		if err != nil {
			return err
		}
		save := db.SaveImportParams{
			Cursor: next, Imported: fresh, Repeated: int32(len(found)) - fresh, WorkspaceID: p.workspace, LeadID: p.lead, Channel: string(p.channel),
		}
		if next == "" {
			save.DoneTime = &tx.Now
		}
		return tx.SaveImport(ctx, save)
	})
	if err != nil {
		return fmt.Errorf("save history: %w", err)
	}
	return nil
}

func record(ctx context.Context, tx *store.Tx, p page, found []ghl.HistoryMessage) (fresh int32, err error) {
	var in, out time.Time
	for _, m := range found {
		if m.At.IsZero() {
			m.At = tx.Now
		}
		_, isNew, err := tx.Record(ctx, store.Entry{
			Workspace: p.workspace, Lead: p.lead, Channel: m.Channel, Inbound: m.Inbound, Body: m.Body, ProviderID: m.ID, At: m.At,
		})
		if err != nil {
			return 0, err
		}
		if isNew {
			fresh++
		}
		if m.Inbound && m.At.After(in) {
			in = m.At
		}
		if !m.Inbound && m.At.After(out) {
			out = m.At
		}
	}
	if !in.IsZero() {
		err = tx.TouchInbound(ctx, db.TouchInboundParams{At: in, Now: tx.Now, WorkspaceID: p.workspace, ID: p.lead})
	}
	if err == nil && !out.IsZero() {
		err = tx.TouchOutbound(ctx, db.TouchOutboundParams{At: out, Now: tx.Now, WorkspaceID: p.workspace, ID: p.lead})
	}
	return fresh, err
}
