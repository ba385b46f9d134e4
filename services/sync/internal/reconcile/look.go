package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/match"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// maxPages bounds each list of one look: 100 messages a page. What lies beyond is a partial read.
const maxPages = 20

// ErrPartial says that the provider's list could not be read to its end.
var ErrPartial = errors.New("provider list read in part")

// Looker looks for a send in the lists of its provider.
type Looker struct {
	Store  *store.Store
	Client *ghl.Client
	Mail   map[provider.Kind]provider.Mail
	Budget Budget
	// Assumed are the protocol's constants, longer for providers that were seen to be late.
	Assumed *lateness.Book
}

// subject is what one look is about.
type subject struct {
	row     db.SendIntent
	account ghl.Account
	contact string
	content sending.Content
	target  sending.Target
	seen    map[string]bool // ids in either list, so that a message counts once
}

// Look reads the export, and the conversation where the export does not show the send. A read that fails or stays partial
// makes the sighting incomplete, and is the error; what was found until then still counts. Errors: ghl.ReadError,
// ErrPartial, BudgetError, database errors.
func (l *Looker) Look(ctx context.Context, row db.SendIntent, account ghl.Account) (sending.Sighting, error) {
	s := &subject{row: row, account: account, seen: map[string]bool{}}
	if err := l.describe(ctx, s); err != nil {
		return sending.Sighting{}, err
	}
	var out sending.Sighting
	var err error
	for _, list := range l.lists(row) {
		if err == nil && len(out.Matches) == 0 {
			err = list(ctx, s, &out)
		}
	}
	out.Complete = err == nil
	byTime := func(a, b sending.Found) int { return a.At.Compare(b.At) }
	slices.SortStableFunc(out.Matches, byTime)
	slices.SortStableFunc(out.Others, byTime)
	return out, err
}

func (l *Looker) describe(ctx context.Context, s *subject) (err error) {
	if s.content, err = l.Store.Content(s.row); err != nil {
		return err
	}
	err = l.Store.Workspace(ctx, s.row.WorkspaceID, func(tx *store.Tx) error {
		who, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: s.row.WorkspaceID, ID: s.row.LeadID})
		s.contact = store.Deref(who.GhlContactID)
		if err == nil {
			s.target, _, err = tx.Target(ctx, s.row)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read whom to look for: %w", err)
	}
	return nil
}

// lists are the provider's, in the order in which they are read: GHL has two with an index each, the others show the thread.
func (l *Looker) lists(row db.SendIntent) []func(context.Context, *subject, *sending.Sighting) error {
	if row.Provider != string(provider.GHL) {
		return []func(context.Context, *subject, *sending.Sighting) error{l.thread}
	}
	return []func(context.Context, *subject, *sending.Sighting) error{l.export, l.conversations}
}

// export walks the export by contact, channel and time. It has no upper bound: a clock that is ahead, or a message that was
// taken later than assumed, must not hide one.
func (l *Looker) export(ctx context.Context, s *subject, out *sending.Sighting) error {
	from, _ := l.window(s.row)
	q := ghl.HistoryQuery{ContactID: s.contact, Channel: sending.Channel(s.row.Channel), From: from}
	return l.walk(ctx, s, out, func(cursor string) ([]ghl.HistoryMessage, string, error) {
		q.Cursor = cursor
		return l.Client.History(ctx, s.account, q)
	})
}

func (l *Looker) conversations(ctx context.Context, s *subject, out *sending.Sighting) error {
	if err := l.take(ctx, s); err != nil {
		return err
	}
	ids, err := l.Client.Conversations(ctx, s.account, s.contact)
	if err != nil {
		return err
	}
	from, _ := l.window(s.row)
	for _, id := range ids {
		q := ghl.ConversationQuery{ID: id, Channel: sending.Channel(s.row.Channel)}
		err := l.walk(ctx, s, out, func(cursor string) ([]ghl.HistoryMessage, string, error) {
			q.Cursor = cursor
			page, next, err := l.Client.Conversation(ctx, s.account, q)
			if len(page) > 0 && page[len(page)-1].At.Before(from) && !page[len(page)-1].At.IsZero() {
				next = "" // newest first: what follows is older than the send
			}
			return page, next, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// walk reads a list to its end. A cursor that comes again leads nowhere, which is a partial read.
func (l *Looker) walk(ctx context.Context, s *subject, out *sending.Sighting, read func(string) ([]ghl.HistoryMessage, string, error)) error {
	cursor, used := "", map[string]bool{"": true}
	for range maxPages {
		if err := l.take(ctx, s); err != nil {
			return err
		}
		page, next, err := read(cursor)
		if err != nil {
			return err
		}
		if err := l.sift(ctx, s, page, out); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		if used[next] {
			return fmt.Errorf("%w: its cursor repeats", ErrPartial)
		}
		used[next], cursor = true, next
	}
	return fmt.Errorf("%w: more than %d pages", ErrPartial, maxPages)
}

func (l *Looker) take(ctx context.Context, s *subject) error {
	if l.Budget == nil {
		return nil
	}
	wait, err := l.Budget.Read(ctx, s.account.Location)
	if err != nil {
		return fmt.Errorf("read budget: %w", err)
	}
	if wait > 0 {
		return &BudgetError{Wait: wait}
	}
	return nil
}

// sift puts the messages of a page where they belong: this send, perhaps this send, or neither.
func (l *Looker) sift(ctx context.Context, s *subject, page []ghl.HistoryMessage, out *sending.Sighting) error {
	from, to := l.window(s.row)
	var fresh []ghl.HistoryMessage
	var ids []string
	for _, m := range page {
		if s.seen[m.ID] {
			continue
		}
		s.seen[m.ID] = true
		out.Listed++
		// A message without a time may be of any time.
		if !m.Inbound && (m.At.IsZero() || !m.At.Before(from)) {
			fresh, ids = append(fresh, m), append(ids, m.ID)
		}
	}
	claimed, err := l.claimed(ctx, s.row.WorkspaceID, ids)
	if err != nil {
		return err
	}
	for _, m := range fresh {
		if claimed[m.ID] {
			continue
		}
		kind, err := l.compare(ctx, s, m)
		if err != nil {
			return err
		}
		found := sending.Found{ID: m.ID, ConversationID: m.ConversationID, Status: m.Status, At: m.At}
		api := fromAPI(m.Source)
		switch {
		case api && kind.Matches():
			out.Matches = append(out.Matches, found)
		case api && !m.At.After(to), kind == match.Equal:
			// Our words from somebody else's hand: a person who pressed "retry" at the provider leaves a message under a new
			// id. That is not ours to claim, and not absent either.
			out.Others = append(out.Others, found)
		}
	}
	return nil
}

// fromAPI: a message of ours has source "api", or none.
func fromAPI(source string) bool { return source == "" || strings.EqualFold(source, "api") }

func (l *Looker) claimed(ctx context.Context, workspace uuid.UUID, ids []string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(ids) == 0 {
		return out, nil
	}
	err := l.Store.Workspace(ctx, workspace, func(tx *store.Tx) error {
		rows, err := tx.ClaimedMessages(ctx, db.ClaimedMessagesParams{WorkspaceID: workspace, Ids: ids})
		for _, id := range rows {
			out[id] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for claimed messages: %w", err)
	}
	return out, nil
}

// compare tells whether a message is the send by its words; an email is known by its Marker.
func (l *Looker) compare(ctx context.Context, s *subject, m ghl.HistoryMessage) (match.Kind, error) {
	if s.row.Provider != string(provider.GHL) {
		return compareEmail(s.row.ID, s.content.HTML, m.Body), nil
	}
	if m.Channel != sending.Email {
		return match.Compare(s.content.Body, m.Body), nil
	}
	ids := m.EmailIDs
	if len(ids) == 0 {
		ids = []string{m.ID}
	}
	best := match.Different
	for _, id := range ids {
		if err := l.take(ctx, s); err != nil {
			return best, err
		}
		body, err := l.Client.EmailBody(ctx, s.account, id)
		if err != nil {
			return best, err
		}
		best = max(best, compareEmail(s.row.ID, s.content.HTML, body))
	}
	return best, nil
}

// compareEmail: the marker decides; without one the whole must be equal.
func compareEmail(intent uuid.UUID, html, found string) match.Kind {
	switch {
	case strings.Contains(found, "rl-"+intent.String()):
		return match.Equal
	case strings.Contains(found, `id="rl-`):
		return match.Different // another send of ours
	default:
		return match.Compare(strings.Replace(html, sending.Marker(intent.String()), "", 1), found)
	}
}

func (l *Looker) window(row db.SendIntent) (time.Time, time.Time) {
	from, last := store.Deref(row.ClaimFrom), store.Deref(row.ClaimTime)
	if from.IsZero() {
		from = row.CreateTime
	}
	if last.IsZero() {
		last = from
	}
	return l.Assumed.Timing(row.Provider).Window(from, last)
}
