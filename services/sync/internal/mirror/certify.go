package mirror

import (
	"context"
	"fmt"

	"github.com/relance/relance/services/sync/internal/history"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// maxNamed bounds how many differing messages a certificate names of each kind.
const maxNamed = 100

// certify compares the whole lists with what is stored and writes the certificate, under the lead's lock.
func (m *Mirror) certify(ctx context.Context, w *walk) error {
	err := m.Store.Batch(ctx, w.Workspace, func(tx *store.Tx) error {
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: w.Workspace, ID: w.Lead}); err != nil {
			return err
		}
		stored, err := tx.Timeline(ctx, w.Thread)
		if err != nil {
			return err
		}
		relinked := 0
		if !w.verify {
			if relinked, err = m.relink(ctx, tx, w, stored); err != nil {
				return err
			}
		}
		if relinked > 0 {
			if stored, err = tx.Timeline(ctx, w.Thread); err != nil {
				return err
			}
		}
		c := history.Compare(w.listed, stored, w.began)
		row, err := tx.SaveCertificate(ctx, db.SaveCertificateParams{
			Now: tx.Now, Again: tx.Now.Add(provenAgain), Proven: c.Proven(), ListedCount: int32(c.Listed), StoredCount: int32(c.Stored), // #nosec G115 -- bounded by maxPages
			ListedHash: c.ListedSum[:], StoredHash: c.StoredSum[:], Missing: named(c.Missing), Extra: named(c.Extra), Altered: named(c.Altered),
			DifferenceCount: int32(c.Differences()), WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel), // #nosec G115 -- as above
		})
		w.receipt.Conversation = row
		w.receipt.Healed += relinked
		if !w.verify {
			// The lists overlap; each message counts once.
			w.receipt.Unchanged = max(0, c.Listed-w.receipt.Imported-w.receipt.Healed)
		}
		if err == nil && !w.verify {
			err = w.endTrail(ctx, tx)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("certify conversation: %w", err)
	}
	return nil
}

// relink follows messages that a person sent again at the provider, which gave them new ids.
func (m *Mirror) relink(ctx context.Context, tx *store.Tx, w *walk, stored []history.Stored) (int, error) {
	links := history.Relink(w.listed, stored)
	if len(links) == 0 {
		return 0, nil
	}
	byKey, byProvider := map[string]history.Stored{}, map[string]string{}
	for _, s := range stored {
		byKey[s.Key], byProvider[s.ProviderID] = s, s.Key
	}
	for _, link := range links {
		at := byKey[link.Key].At
		for _, l := range w.listed {
			if l.ID == link.ProviderID {
				at = l.At
			}
		}
		if err := tx.Relink(ctx, w.Thread, byKey[link.Key], link, byProvider[link.ProviderID], at); err != nil {
			return 0, err
		}
	}
	return len(links), nil
}

func named(ids []string) []string { return append([]string{}, ids[:min(len(ids), maxNamed)]...) }
