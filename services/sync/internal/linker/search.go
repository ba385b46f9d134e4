package linker

import (
	"context"
	"errors"
	"fmt"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/provider"
)

// find is what a search saw: the contacts that are the person, as read by their ids.
type find struct {
	ids  []string
	byID map[string]ghl.Contact
}

// search asks who is there, by email and by phone, and reads everybody it is told of: a search may be out of date, and only the contact
// itself says who it is. An error means that nobody can tell who is there.
func (l *Linker) search(ctx context.Context, account ghl.Account, who linking.Person) (find, error) {
	f := find{byID: map[string]ghl.Contact{}}
	var found []linking.Contact
	for _, by := range []struct {
		value string
		find  func(context.Context, ghl.Account, string) (string, error)
	}{{who.Email, l.client.FindByEmail}, {who.Phone, l.client.FindByPhone}} {
		if by.value == "" {
			continue
		}
		id, err := by.find(ctx, account, by.value)
		if err != nil {
			return find{}, err
		}
		if _, known := f.byID[id]; id == "" || known {
			continue
		}
		contact, err := l.contact(ctx, account, id)
		if err != nil {
			return find{}, err
		}
		if contact != nil {
			f.byID[id] = *contact
			found = append(found, known(*contact))
		}
	}
	f.ids = who.Among(found, account.Location)
	return f, nil
}

// contact reads one contact, nil when the provider does not have it.
func (l *Linker) contact(ctx context.Context, account ghl.Account, id string) (*ghl.Contact, error) {
	contact, err := l.client.Contact(ctx, account, id)
	var failed *provider.ReadError
	if errors.As(err, &failed) && failed.NotFound() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &contact, nil
}

func known(c ghl.Contact) linking.Contact {
	return linking.Contact{ID: c.Facts.ContactID, Location: c.Location, Email: c.Facts.Email, Phone: c.Facts.Phone, Emails: c.Alternates}
}

// unread judges reads that failed: why there is nothing to say yet, and when to ask again. A refused token suspends the connection.
// Errors are ours.
func (l *Linker) unread(ctx context.Context, account ghl.Account, err error) (*once.Later, error) {
	var failed *provider.ReadError
	if !errors.As(err, &failed) {
		return nil, fmt.Errorf("search contact: %w", err)
	}
	if v, limited := provider.RateLimited(err); limited {
		return &once.Later{Refusal: v.Refusal, Wait: v.Wait}, nil
	}
	if failed.Verdict.Class == classify.Suspended {
		if err := l.Store.SuspendConnection(ctx, account.Workspace, account.Version, failed.Verdict.Refusal.Reason); err != nil {
			return nil, err
		}
		return &once.Later{Refusal: failed.Verdict.Refusal, Wait: l.Timing.Settle}, nil
	}
	return &once.Later{Refusal: failed.Unavailable(provider.GHL), Wait: max(failed.Verdict.Wait, l.Timing.Turn())}, nil
}
