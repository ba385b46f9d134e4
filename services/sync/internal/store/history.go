package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/history"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Thread is a conversation's key: a lead on a channel.
type Thread struct {
	Workspace, Lead uuid.UUID
	Channel         sending.Channel
}

// Imported is a message of the provider's history with its text.
type Imported struct {
	ID            string
	Inbound       bool
	At            time.Time
	Subject, Body string
	// Texted tells whether Body was given: lists leave out the texts of email.
	Texted bool
	// hash is of Body, once somebody asked.
	hash []byte
}

func (m *Imported) textHash() []byte {
	if m.hash == nil {
		m.hash = sending.TextHash(m.Body)
	}
	return m.hash
}

// Page counts what storing a page did.
type Page struct {
	Imported, Healed, Unchanged int
}

// StorePage merges a page of the provider's history into the timeline: known ids are healed, messages without an id get
// it when they are the same, the rest is inserted by one statement. The caller holds the lead's lock, so that only the same
// id with another lead can come in between: then the transaction fails and is run again.
func (t *Tx) StorePage(ctx context.Context, thread Thread, page []Imported) (Page, error) {
	var out Page
	if len(page) == 0 {
		return out, nil
	}
	rest, err := t.healKnown(ctx, thread, page, &out)
	if err != nil || len(rest) == 0 {
		return out, err
	}
	if rest, err = t.linkTexts(ctx, thread, rest, &out); err != nil || len(rest) == 0 {
		return out, err
	}
	if err := t.insertImported(ctx, thread, rest); err != nil {
		return out, err
	}
	out.Imported = len(rest)
	return out, nil
}

// StoreNew is StorePage for messages none of which is stored, as the caller believes. Where one is, with another lead or channel,
// the transaction fails and is run again.
func (t *Tx) StoreNew(ctx context.Context, thread Thread, page []Imported) (Page, error) {
	if len(page) == 0 {
		return Page{}, nil
	}
	return Page{Imported: len(page)}, t.insertImported(ctx, thread, page)
}

// healKnown brings time and text of messages that are known by id in line, and answers those that are not known. A
// provider's older id of a message counts as known.
func (t *Tx) healKnown(ctx context.Context, thread Thread, page []Imported, out *Page) ([]Imported, error) {
	ids := make([]string, len(page))
	for i, m := range page {
		ids[i] = m.ID
	}
	rows, err := t.PageMessages(ctx, db.PageMessagesParams{WorkspaceID: thread.Workspace, Ids: ids})
	if err != nil {
		return nil, fmt.Errorf("look for messages: %w", err)
	}
	known := make(map[string]*db.PageMessagesRow, len(page))
	for i, row := range rows {
		if row.ID != uuid.Nil || known[row.ProviderMessageID] == nil {
			known[row.ProviderMessageID] = &rows[i]
		}
	}
	rest := make([]Imported, 0, len(page))
	once := &db.PageMessagesRow{}
	for i := range page {
		m := &page[i]
		row := known[m.ID]
		if row == nil {
			rest = append(rest, *m)
			known[m.ID] = once // Also when the page repeats it.
			continue
		}
		healed, err := t.heal(ctx, thread, m, row)
		if err != nil {
			return nil, err
		}
		if healed {
			out.Healed++
		} else {
			out.Unchanged++
		}
	}
	return rest, nil
}

func (t *Tx) heal(ctx context.Context, thread Thread, m *Imported, row *db.PageMessagesRow) (bool, error) {
	late := !row.MessageTime.Equal(m.At)
	// The text of a send of ours stays as it was meant: the provider may rewrite links and append a line.
	differs := m.Texted && row.Origin != "OWN" && !bytes.Equal(row.BodyHash, m.textHash())
	if row.ID == uuid.Nil || (!late && !differs) {
		return false, nil
	}
	change := db.HealMessageParams{WorkspaceID: thread.Workspace, ID: row.ID, MessageTime: m.At, ProviderMessageID: m.ID}
	if differs {
		var sealed db.InsertMessageParams
		sealed.ID = row.ID
		if err := t.sealMessage(&sealed, m.Subject, m.Body); err != nil {
			return false, err
		}
		change.SubjectEnc, change.BodyEnc, change.BodyHash = sealed.SubjectEnc, sealed.BodyEnc, m.textHash()
	}
	if err := t.HealMessage(ctx, change); err != nil {
		return false, fmt.Errorf("heal message: %w", err)
	}
	return true, nil
}

// linkTexts gives stored messages without an id the one of the listed message that they are.
func (t *Tx) linkTexts(ctx context.Context, thread Thread, page []Imported, out *Page) ([]Imported, error) {
	find := db.UnlinkedMessagesParams{
		WorkspaceID: thread.Workspace, LeadID: thread.Lead, Channel: string(thread.Channel), Oldest: page[0].At, Newest: page[0].At,
	}
	for _, m := range page {
		if m.At.Before(find.Oldest) {
			find.Oldest = m.At
		}
		if m.At.After(find.Newest) {
			find.Newest = m.At
		}
	}
	rows, err := t.UnlinkedMessages(ctx, find)
	if err != nil {
		return nil, fmt.Errorf("look for messages without an id: %w", err)
	}
	if len(rows) == 0 {
		return page, nil
	}
	byID := map[string]Imported{}
	listed := make([]history.Listed, len(page))
	for i := range page {
		byID[page[i].ID], listed[i] = page[i], page[i].Listed()
	}
	stored := make([]history.Stored, len(rows))
	for i, r := range rows {
		stored[i] = history.Stored{Key: r.ID.String(), Inbound: r.Direction == "inbound", Hash: r.BodyHash, At: r.MessageTime, Created: r.CreateTime}
	}
	for _, link := range history.LinkTexts(listed, stored) {
		err := t.HealMessage(ctx, db.HealMessageParams{
			WorkspaceID: thread.Workspace, ID: uuid.MustParse(link.Key), MessageTime: byID[link.ProviderID].At, ProviderMessageID: link.ProviderID,
		})
		if err != nil {
			return nil, fmt.Errorf("link message: %w", err)
		}
		delete(byID, link.ProviderID)
		out.Healed++
	}
	var rest []Imported
	for _, m := range page {
		if _, left := byID[m.ID]; left {
			rest = append(rest, m)
		}
	}
	return rest, nil
}

func (t *Tx) insertImported(ctx context.Context, thread Thread, page []Imported) error {
	in := db.InsertMessagesParams{WorkspaceID: thread.Workspace, LeadID: thread.Lead, Channel: string(thread.Channel), Now: t.Now}
	for i := range page {
		m := &page[i]
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("import message: %w", err)
		}
		row := db.InsertMessageParams{ID: id, Direction: "outbound", Origin: "IMPORTED"}
		if m.Inbound {
			row.Direction, row.Origin = "inbound", "RECEIVED"
		}
		if err := t.sealMessage(&row, m.Subject, m.Body); err != nil {
			return err
		}
		in.Ids, in.Directions, in.Origins = append(in.Ids, id), append(in.Directions, row.Direction), append(in.Origins, row.Origin)
		in.Subjects, in.Bodies = append(in.Subjects, row.SubjectEnc), append(in.Bodies, row.BodyEnc)
		in.Hashes, in.ProviderIds = append(in.Hashes, m.textHash()), append(in.ProviderIds, m.ID)
		in.Times = append(in.Times, m.At)
	}
	if err := t.InsertMessages(ctx, in); err != nil {
		return fmt.Errorf("import messages: %w", err)
	}
	return nil
}

// Listed is the message as lists are compared.
func (m *Imported) Listed() history.Listed {
	l := history.Listed{ID: m.ID, Inbound: m.Inbound, At: m.At}
	if m.Texted {
		l.Hash = m.textHash()
	}
	return l
}

// Timeline reads the stored messages of a thread that have a provider's id.
func (t *Tx) Timeline(ctx context.Context, thread Thread) ([]history.Stored, error) {
	rows, err := t.StoredMessages(ctx, db.StoredMessagesParams{WorkspaceID: thread.Workspace, LeadID: thread.Lead, Channel: string(thread.Channel)})
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	out := make([]history.Stored, len(rows))
	for i, r := range rows {
		out[i] = history.Stored{
			Key: r.ID.String(), ProviderID: r.ProviderMessageID, Inbound: r.Direction == "inbound", Own: r.Origin == "OWN",
			Hash: r.BodyHash, At: r.MessageTime, Created: r.CreateTime,
		}
	}
	return out, nil
}

// Relink gives a stored message the new id that the provider gave it, and takes away the copy that the new id had brought.
// The intent of a send of ours keeps the id under which it was accepted: that claim is for ever.
func (t *Tx) Relink(ctx context.Context, thread Thread, old history.Stored, link history.Link, copyKey string, at time.Time) error {
	id := uuid.MustParse(old.Key)
	if copyKey != "" {
		if err := t.DeleteMessage(ctx, db.DeleteMessageParams{WorkspaceID: thread.Workspace, ID: uuid.MustParse(copyKey)}); err != nil {
			return fmt.Errorf("drop copy: %w", err)
		}
	}
	err := t.RememberFormer(ctx, db.RememberFormerParams{
		WorkspaceID: thread.Workspace, ProviderMessageID: old.ProviderID, MessageID: id, Now: t.Now,
	})
	if err == nil {
		err = t.HealMessage(ctx, db.HealMessageParams{WorkspaceID: thread.Workspace, ID: id, MessageTime: at, ProviderMessageID: link.ProviderID})
	}
	if err != nil {
		return fmt.Errorf("relink message: %w", err)
	}
	return nil
}
