package sender

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/relance/relance/services/sync/internal/legal"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/zone"
)

// subject is a send with the rows that decide on it.
type subject struct {
	row db.SendIntent
	who db.Lead
	set setup
}

// capWindow is the longest period that a cap looks back.
const capWindow = 24 * time.Hour

// legalCase gathers what the law is asked about, in the transaction that claims. The lead is locked there, so that two
// sends to it cannot both be the last one under a cap.
func (s *Sender) legalCase(ctx context.Context, tx *store.Tx, on subject) (legal.Case, error) {
	c, err := s.lawOf(on, tx.Now)
	if err != nil {
		return c, err
	}
	return c, s.history(ctx, tx, on, &c)
}

// lawOf is the case without its history: what was sent, and what was opted out of.
func (s *Sender) lawOf(on subject, now time.Time) (legal.Case, error) {
	row, who := on.row, on.who
	facts := store.FactsOf(who).Clues()
	facts.Workspace = on.set.workspace.TimeZone
	place := zone.Locate(facts)
	c := legal.Case{
		Channel: legal.Channel(row.Channel), Purpose: legal.Purpose(cmp.Or(row.Purpose, string(legal.FollowUp))), Now: now,
		Margin: s.Assumed.Timing(row.Provider).Departure(), Jurisdictions: place.Jurisdictions, LastInbound: store.Deref(who.LastInboundTime),
	}
	for _, z := range place.Zones {
		location, err := zone.Load(z.Name)
		if err != nil {
			return c, fmt.Errorf("load zone: %w", err)
		}
		c.Zones = append(c.Zones, legal.Zone{
			Location: location, Source: cmp.Or(string(z.Source), "none"), Fallback: z.Source == zone.Workspace,
		})
	}
	if err := json.Unmarshal(on.set.workspace.ContactPolicy, &c.Policy); err != nil {
		return c, fmt.Errorf("read contact policy: %w", err)
	}
	return c, nil
}

// history adds what was sent, and what the lead, its number or its address opted out of.
func (s *Sender) history(ctx context.Context, tx *store.Tx, on subject, c *legal.Case) error {
	sent, err := tx.RecentSends(ctx, db.RecentSendsParams{
		WorkspaceID: on.who.WorkspaceID, Channel: on.row.Channel, ID: on.row.ID, Since: tx.Now.Add(-capWindow), LeadID: on.who.ID,
	})
	if err != nil {
		return fmt.Errorf("read recent sends: %w", err)
	}
	for _, at := range sent {
		c.Sent = append(c.Sent, store.Deref(at))
	}
	revoked, err := tx.Revocations(ctx, db.RevocationsParams{
		WorkspaceID: on.who.WorkspaceID, LeadID: on.who.ID, Phone: store.Deref(on.who.Phone), Email: store.Deref(on.who.Email),
	})
	if err != nil {
		return fmt.Errorf("read opt-outs: %w", err)
	}
	for _, r := range revoked {
		c.Revocations = append(c.Revocations, legal.Revocation{
			Channel: legal.Channel(r.Channel), At: r.OptOutTime, Address: r.LeadID != on.who.ID,
		})
	}
	return nil
}

// notNow answers a new request that the law puts off, or whose lead has no contact yet, before anything of it is stored: its caller asks
// again at the time told, and decides then anew what to say and whether. The gate asks the law again when the send is claimed.
func (s *Sender) notNow(ctx context.Context, tx *store.Tx, r Request, on subject) (*Outcome, error) {
	on.row = db.SendIntent{
		WorkspaceID: r.Workspace, LeadID: r.Lead, Channel: string(r.Channel), Purpose: string(r.Purpose),
		RepliedSince: r.RepliedSince, ExpireTime: r.Expire, Provider: string(r.via), ReplyTo: r.ReplyTo,
	}
	facts, err := s.gateFacts(ctx, tx, on)
	if err != nil {
		return nil, err
	}
	facts.Content = r.Content
	d := sending.Gate(facts)
	if d.Refusal == nil {
		return nil, nil
	}
	switch d.Refusal.Reason {
	case sending.ContactPending:
		err = askForContact(ctx, tx, on)
	case sending.QuietHours, sending.FrequencyCap:
	default:
		return nil, nil
	}
	return &Outcome{Refusal: d.Refusal, RetryAfter: d.Retry}, err
}
