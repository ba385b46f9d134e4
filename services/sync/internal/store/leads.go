package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/zone"
)

// ErrContended is returned when a lead's identities kept changing under concurrent inserts.
var ErrContended = errors.New("lead identities are contended")

// UpsertLead finds the lead that normalised facts and the lead's other addresses mean and fills it, or makes it. The row is
// locked until the end of the transaction. It reports true when the lead is new. Who else holds what was said is recorded as
// a conflict; nothing is merged.
func (t *Tx) UpsertLead(ctx context.Context, workspace uuid.UUID, said lead.Facts, alternates ...string) (db.Lead, bool, error) {
	for range attempts {
		row, created, found, err := t.tryLead(ctx, workspace, person{Facts: said, alternates: alternates})
		if err != nil {
			return db.Lead{}, false, fmt.Errorf("upsert lead: %w", err)
		}
		if found {
			return row, created, nil
		}
	}
	return db.Lead{}, false, ErrContended
}

// person is what was said of somebody, and the leads that it may mean.
type person struct {
	lead.Facts
	alternates []string
	stored     []lead.Stored
}

// candidates reads and locks the leads that facts may mean.
func (t *Tx) candidates(ctx context.Context, workspace uuid.UUID, said *person) ([]db.MatchLeadsRow, error) {
	rows, err := t.MatchLeads(ctx, db.MatchLeadsParams{
		WorkspaceID: workspace, GhlContactID: opt(said.ContactID), Addresses: lead.Addresses(said.Facts, said.alternates), Phone: opt(said.Phone),
	})
	said.stored = make([]lead.Stored, len(rows))
	for i, r := range rows {
		said.stored[i] = lead.Stored{Key: r.Lead.ID.String(), Facts: FactsOf(r.Lead), Emails: r.Emails}
	}
	return rows, err
}

func (t *Tx) tryLead(ctx context.Context, workspace uuid.UUID, said person) (row db.Lead, created, found bool, err error) {
	rows, err := t.candidates(ctx, workspace, &said)
	if err != nil {
		return db.Lead{}, false, false, err
	}
	match, ok := lead.Match(said.Facts, said.stored, said.alternates...)
	if !ok {
		row, created, found, err = t.insertLead(ctx, workspace, lead.Unclaimed(said.Facts, "", said.stored))
	} else {
		for _, r := range rows {
			if r.Lead.ID.String() == match.Key {
				row = r.Lead
			}
		}
		row, err = t.fillLead(ctx, row, match, said)
		found = err == nil
	}
	if err != nil || !found {
		return db.Lead{}, false, false, err
	}
	return row, created, true, t.identify(ctx, workspace, row.ID, said)
}

// fillLead completes a matched lead.
func (t *Tx) fillLead(ctx context.Context, row db.Lead, match lead.Stored, said person) (db.Lead, error) {
	facts, changed := lead.Fill(match, said.Facts, said.stored)
	if !changed {
		return row, nil
	}
	if err := t.writeFacts(ctx, row, facts); err != nil {
		return db.Lead{}, err
	}
	if facts.ContactID != match.ContactID {
		if err := t.retell(ctx, row.WorkspaceID, row.ID); err != nil {
			return db.Lead{}, err
		}
		// Messages may wait for the contact.
		if err := t.Publish(ctx, Event{Type: EventUpdated, Workspace: row.WorkspaceID, Lead: row.ID, At: t.Now}); err != nil {
			return db.Lead{}, err
		}
	}
	return t.LockLead(ctx, db.LockLeadParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
}

func (t *Tx) writeFacts(ctx context.Context, row db.Lead, facts lead.Facts) error {
	return t.FillLead(ctx, db.FillLeadParams{
		GhlContactID: opt(facts.ContactID), FirstName: facts.FirstName, LastName: facts.LastName, Email: opt(facts.Email),
		Phone: opt(facts.Phone), TimeZone: facts.TimeZone, TimeZoneSource: string(facts.TimeZoneSource), State: facts.State, Country: facts.Country,
		CompanyName: facts.CompanyName, Now: t.Now, WorkspaceID: row.WorkspaceID, ID: row.ID,
	})
}

func (t *Tx) insertLead(ctx context.Context, workspace uuid.UUID, said lead.Facts) (row db.Lead, created, found bool, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return db.Lead{}, false, false, err
	}
	said = said.Located()
	n, err := t.InsertLead(ctx, db.InsertLeadParams{
		WorkspaceID: workspace, ID: id, GhlContactID: opt(said.ContactID), FirstName: said.FirstName, LastName: said.LastName,
		Email: opt(said.Email), Phone: opt(said.Phone), TimeZone: said.TimeZone, TimeZoneSource: string(said.TimeZoneSource), State: said.State, Country: said.Country,
		CompanyName: said.CompanyName, Now: t.Now,
	})
	if err != nil || n == 0 {
		return db.Lead{}, false, false, err // none inserted: somebody else was faster; match again
	}
	row, err = t.LockLead(ctx, db.LockLeadParams{WorkspaceID: workspace, ID: id})
	return row, true, err == nil, err
}

// RefreshLead overwrites a lead's details with what its provider says now, and reports whether anything changed. The
// caller holds the lead's lock. What another lead holds stays with that one, and is recorded as a conflict.
func (t *Tx) RefreshLead(ctx context.Context, workspace, id uuid.UUID, said lead.Facts, alternates ...string) (bool, error) {
	row, err := t.Lead(ctx, db.LeadParams{WorkspaceID: workspace, ID: id})
	if err != nil {
		return false, fmt.Errorf("refresh lead: %w", err)
	}
	who := person{Facts: said, alternates: alternates}
	who.ContactID = "" // the lead's own is no question here
	if _, err := t.candidates(ctx, workspace, &who); err != nil {
		return false, fmt.Errorf("refresh lead: %w", err)
	}
	facts, changed := lead.Refresh(lead.Stored{Key: id.String(), Facts: FactsOf(row)}, said, who.stored)
	if changed {
		err = t.writeFacts(ctx, row, facts)
		who.now(id, facts, Deref(row.Email))
	}
	if err == nil {
		err = t.identify(ctx, workspace, id, who)
	}
	if err != nil {
		return false, fmt.Errorf("refresh lead: %w", err)
	}
	return changed, nil
}

// now puts a lead's new facts in place of those that were read. An address that it had is none of it any more, and may be told
// again as one of its others.
func (p *person) now(id uuid.UUID, facts lead.Facts, had string) {
	for i := range p.stored {
		if p.stored[i].Key != id.String() {
			continue
		}
		p.stored[i].Facts = facts
		if had != facts.Email {
			p.stored[i].Emails = slices.DeleteFunc(p.stored[i].Emails, func(email string) bool { return email == had })
		}
	}
}

// FactsOf gives what is known of a lead.
func FactsOf(r db.Lead) lead.Facts {
	return lead.Facts{
		ContactID: Deref(r.GhlContactID), FirstName: r.FirstName, LastName: r.LastName, Email: Deref(r.Email),
		Phone: Deref(r.Phone), TimeZone: r.TimeZone, TimeZoneSource: zone.Source(r.TimeZoneSource), State: r.State,
		Country: r.Country, CompanyName: r.CompanyName,
	}
}

// Flag is a change of a lead's channel.
type Flag struct {
	Workspace, Lead uuid.UUID
	Channel         sending.Channel
	Status          sending.ChannelStatus
	// Source is provider_refusal, dnd_webhook, inbound_stop or contact_read.
	Source string
	// Evidence is what an opt-out was learned from.
	Evidence Evidence
}

// SetFlag sets a channel's flag and reports whether that changed anything. An opt-out is absorbing: nothing replaces it.
// Opening a channel that has no flag changes nothing.
func (t *Tx) SetFlag(ctx context.Context, f Flag) (bool, error) {
	if f.Status == sending.Open {
		known, err := t.Flag(ctx, f.Workspace, f.Lead, f.Channel)
		if err != nil || known == "" || known == sending.Open {
			return false, err
		}
	}
	if f.Status == sending.Opted {
		if err := t.recordOptOut(ctx, f); err != nil {
			return false, err
		}
	}
	n, err := t.SetLeadChannel(ctx, db.SetLeadChannelParams{
		WorkspaceID: f.Workspace, LeadID: f.Lead, Channel: string(f.Channel), Status: string(f.Status), Source: f.Source, Now: t.Now,
	})
	if err != nil {
		return false, fmt.Errorf("set channel flag: %w", err)
	}
	return n > 0, nil
}

// Flag reads a channel's flag, empty for none.
func (t *Tx) Flag(ctx context.Context, workspace, leadID uuid.UUID, channel sending.Channel) (sending.ChannelStatus, error) {
	rows, err := t.LeadChannels(ctx, db.LeadChannelsParams{WorkspaceID: workspace, LeadIds: []uuid.UUID{leadID}})
	if err != nil {
		return "", fmt.Errorf("read channel flag: %w", err)
	}
	for _, r := range rows {
		if r.Channel == string(channel) {
			return sending.ChannelStatus(r.Status), nil
		}
	}
	return "", nil
}

// FlagSource tells what set a channel's flag, empty for none.
func (t *Tx) FlagSource(ctx context.Context, workspace, leadID uuid.UUID, channel sending.Channel) (string, error) {
	rows, err := t.LeadChannels(ctx, db.LeadChannelsParams{WorkspaceID: workspace, LeadIds: []uuid.UUID{leadID}})
	if err != nil {
		return "", fmt.Errorf("read channel flag: %w", err)
	}
	for _, r := range rows {
		if r.Channel == string(channel) && r.Status != string(sending.Open) {
			return r.Source, nil
		}
	}
	return "", nil
}

// Deref gives the value or the zero value.
func Deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

func opt(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// OptTime gives nil for the zero time.
func OptTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
