package ghl

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/lead"
)

// source is where a contact that was made by us says that it came from.
const source = "Relance"

// FindByEmail gives the id of the location's contact with an address, empty for none. The search shows a new contact late, and may
// show a contact that has changed since: only a read of the contact itself tells who it is. Errors: ErrID, ReadError.
func (c *Client) FindByEmail(ctx context.Context, who Account, email string) (string, error) {
	return c.find(ctx, who, url.Values{"email": {email}})
}

// FindByPhone is FindByEmail of a number in E.164.
func (c *Client) FindByPhone(ctx context.Context, who Account, phone string) (string, error) {
	return c.find(ctx, who, url.Values{"number": {phone}})
}

func (c *Client) find(ctx context.Context, who Account, by url.Values) (string, error) {
	if !lead.ValidID(who.Location) {
		return "", ErrID
	}
	by.Set("locationId", who.Location)
	var answer struct {
		Contact json.RawMessage `json:"contact"`
	}
	err := c.get(ctx, call{path: "/contacts/search/duplicate", version: versionContacts, query: by, who: who}, &answer)
	var failed *ReadError
	if errors.As(err, &failed) && failed.NotFound() {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if string(answer.Contact) == "null" {
		return "", nil
	}
	var contact struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(answer.Contact, &contact) != nil || !lead.ValidID(contact.ID) {
		return "", garbled() // a success that says neither who nor nobody is no proof of absence
	}
	return contact.ID, nil
}

// CreateContact makes one call that makes a contact. It says what identifies a lead, and nothing that would be overwritten were
// the contact there. It never fails: whatever happens is evidence. The caller holds a permit of the budget.
func (c *Client) CreateContact(ctx context.Context, who Account, about lead.Facts) Result {
	raw, err := json.Marshal(struct {
		Location  string `json:"locationId"`
		FirstName string `json:"firstName,omitempty"`
		LastName  string `json:"lastName,omitempty"`
		Email     string `json:"email,omitempty"`
		Phone     string `json:"phone,omitempty"`
		Company   string `json:"companyName,omitempty"`
		Source    string `json:"source"`
	}{who.Location, about.FirstName, about.LastName, about.Email, about.Phone, about.CompanyName, source})
	if err != nil || !lead.ValidID(who.Location) {
		return Result{Evidence: classify.Evidence{NotSent: true}}
	}
	return c.do(ctx, call{method: http.MethodPost, path: "/contacts/", version: versionContacts, who: who, body: raw})
}
