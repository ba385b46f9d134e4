package ghl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// ReadError is a read that did not succeed.
type ReadError = provider.ReadError

// RateLimited tells of a used-up budget; see provider.RateLimited.
func RateLimited(err error) (classify.Verdict, bool) { return provider.RateLimited(err) }

// get reads once a permit is there. A token that the provider calls expired is renewed, and the read made once more.
func (c *Client) get(ctx context.Context, in call, into any) error {
	err := c.getOnce(ctx, in, into)
	var failed *ReadError
	if in.who.Renew == nil || !errors.As(err, &failed) || !failed.Verdict.TokenExpired {
		return err
	}
	if in.who, err = in.who.Renew(ctx); err != nil {
		return fmt.Errorf("renew token: %w", err)
	}
	return c.getOnce(ctx, in, into)
}

func (c *Client) getOnce(ctx context.Context, in call, into any) error {
	leave, err := provider.Enter(ctx, c.guard, in.who)
	if err != nil {
		return err
	}
	if err := c.permit(ctx, in.who, budget.ReadClass(ctx)); err != nil {
		leave(ctx, provider.NotMade)
		return err
	}
	in.method = http.MethodGet
	r := c.do(ctx, in)
	leave(ctx, provider.OutcomeOf(ctx, r.Evidence))
	if r.Evidence.Status != http.StatusOK || r.Evidence.Failed {
		return provider.ReadFailed(r.Evidence)
	}
	if err := decode(r.Evidence.Body, into); err != nil {
		return garbled()
	}
	return nil
}

// permit takes one of a class's share of the budget.
func (c *Client) permit(ctx context.Context, who Account, class budget.Class) error {
	if c.budget == nil {
		return nil
	}
	for {
		p, err := c.budget.Take(ctx, who.Budget(), class)
		var exceeded *budget.ExceededError
		if errors.As(err, &exceeded) {
			return &ReadError{Verdict: classify.Limited(string(exceeded.Window), exceeded.Retry)}
		}
		if err != nil {
			return fmt.Errorf("take permit: %w", err)
		}
		if p.Use() {
			return nil
		}
	}
}

// Contact is what the provider says about a person.
type Contact struct {
	// Facts are the identity and details.
	Facts lead.Facts
	// Flags are the do-not-disturb flags of the followed channels.
	Flags map[sending.Channel]sending.ChannelStatus
	// InboundDND is true when the provider keeps the contact's messages from the location.
	InboundDND bool
	// Location is the location the contact belongs to.
	Location string
	// Alternates are its other email addresses, as the provider has them.
	Alternates []string
	// Tags are the contact's tags.
	Tags []string
	// Updated is the provider's time of the newest change; zero when it did not say.
	Updated time.Time
}

// Contact reads one contact. Errors: ErrID, ReadError.
func (c *Client) Contact(ctx context.Context, who Account, id string) (Contact, error) {
	if !lead.ValidID(id) {
		return Contact{}, ErrID
	}
	var answer struct {
		Contact struct {
			ID          string          `json:"id"`
			LocationID  string          `json:"locationId"`
			FirstName   string          `json:"firstName"`
			LastName    string          `json:"lastName"`
			Email       string          `json:"email"`
			Phone       string          `json:"phone"`
			TimeZone    string          `json:"timezone"`
			State       string          `json:"state"`
			Country     string          `json:"country"`
			CompanyName string          `json:"companyName"`
			Additional  json.RawMessage `json:"additionalEmails"`
			DND         bool            `json:"dnd"`
			DNDSettings json.RawMessage `json:"dndSettings"`
			InboundDND  json.RawMessage `json:"inboundDndSettings"`
			Tags        []string        `json:"tags"`
			DateUpdated string          `json:"dateUpdated"`
		} `json:"contact"`
	}
	err := c.get(ctx, call{path: "/contacts/" + id, version: versionContacts, who: who}, &answer)
	if err != nil {
		return Contact{}, err
	}
	if answer.Contact.ID == "" && answer.Contact.LocationID == "" {
		return Contact{}, garbled() // a success that names no contact would open every channel and take away every tag
	}
	a := answer.Contact
	updated, _ := time.Parse(time.RFC3339Nano, a.DateUpdated)
	return Contact{
		Location: a.LocationID, Tags: a.Tags, Updated: updated, Alternates: additionalEmails(a.Additional),
		Facts: lead.Facts{
			ContactID: id, FirstName: a.FirstName, LastName: a.LastName, Email: a.Email, Phone: a.Phone,
			TimeZone: a.TimeZone, CompanyName: a.CompanyName, State: a.State, Country: a.Country,
		},
		Flags: webhook.Flags(a.DND, webhook.Settings(a.DNDSettings)), InboundDND: webhook.InboundDND(a.InboundDND),
	}, nil
}

// additionalEmails reads the provider's list of other addresses: of strings, as documented, or of objects with an email.
func additionalEmails(raw json.RawMessage) []string {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return nil
	}
	var out []string
	for _, item := range items {
		var text string
		var object struct {
			Email string `json:"email"`
		}
		switch {
		case json.Unmarshal(item, &text) == nil:
			out = append(out, text)
		case json.Unmarshal(item, &object) == nil:
			out = append(out, object.Email)
		}
	}
	return out
}

// FreeSlots reads a calendar's free start times in a range of at most 31 days, sorted, without repeats, inside the
// range. Errors: ErrID, ReadError.
func (c *Client) FreeSlots(ctx context.Context, who Account, q SlotQuery) ([]time.Time, error) {
	if !lead.ValidID(q.Calendar) {
		return nil, ErrID
	}
	query := url.Values{
		"startDate": {strconv.FormatInt(q.Start.UnixMilli(), 10)}, "endDate": {strconv.FormatInt(q.End.UnixMilli(), 10)}, "timezone": {"UTC"},
	}
	if q.User != "" {
		query.Set("userId", q.User)
	}
	var answer map[string]json.RawMessage
	in := call{path: "/calendars/" + q.Calendar + "/free-slots", version: versionConversations, query: query, who: who}
	if err := c.get(ctx, in, &answer); err != nil {
		return nil, err
	}
	var out []time.Time
	for _, raw := range answer {
		out = append(out, daySlots(raw)...)
	}
	out = slices.DeleteFunc(out, func(t time.Time) bool { return t.Before(q.Start) || !t.Before(q.End) })
	slices.SortFunc(out, time.Time.Compare)
	return slices.CompactFunc(out, time.Time.Equal), nil
}

// SlotLength reads how long a calendar's slots are; 0 when the provider does not tell. Errors: ErrID, ReadError.
func (c *Client) SlotLength(ctx context.Context, who Account, calendar string) (time.Duration, error) {
	if !lead.ValidID(calendar) {
		return 0, ErrID
	}
	var answer struct {
		Calendar struct {
			Length json.Number `json:"slotDuration"`
			Unit   string      `json:"slotDurationUnit"`
		} `json:"calendar"`
	}
	if err := c.get(ctx, call{path: "/calendars/" + calendar, version: versionConversations, who: who}, &answer); err != nil {
		return 0, err
	}
	unit := map[string]time.Duration{"": time.Minute, "mins": time.Minute, "hours": time.Hour}[answer.Calendar.Unit]
	count, err := answer.Calendar.Length.Float64()
	if err != nil || count <= 0 || count > maxSlotMinutes {
		return 0, nil //nolint:nilerr // no number is an answer that does not tell
	}
	return time.Duration(count * float64(unit)).Truncate(time.Minute), nil
}

// maxSlotMinutes is more than any meeting; a greater number is a mistake of the provider.
const maxSlotMinutes = 24 * 60

// SlotQuery names a calendar and a range.
type SlotQuery struct {
	Calendar string
	// User narrows the answer to one member's times; empty for all.
	User       string
	Start, End time.Time
}

// daySlots reads one day of the answer. Keys that hold no day, such as traceId, give nothing.
func daySlots(raw json.RawMessage) []time.Time {
	var day struct {
		Slots []json.RawMessage `json:"slots"`
	}
	if json.Unmarshal(raw, &day) != nil {
		return nil
	}
	var out []time.Time
	for _, slot := range day.Slots {
		var text string
		if json.Unmarshal(slot, &text) != nil {
			var object struct {
				StartTime string `json:"startTime"`
			}
			if json.Unmarshal(slot, &object) != nil {
				continue
			}
			text = object.StartTime
		}
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			out = append(out, t.UTC())
		}
	}
	return out
}

// Probe makes one small read that tells whether the token opens the location. Errors: ErrID, ReadError.
func (c *Client) Probe(ctx context.Context, who Account) error {
	if !lead.ValidID(who.Location) {
		return ErrID
	}
	var answer struct{}
	return c.get(ctx, call{path: "/locations/" + who.Location, version: versionContacts, who: who}, &answer)
}
