package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// Source names a sender's dialect, as stored.
type Source string

// Sources.
const (
	// Marketplace: GoHighLevel app webhooks, signed by HighLevel.
	Marketplace Source = "marketplace"
	// Workflow: GoHighLevel's workflow action; a hint, not signed.
	Workflow Source = "workflow"
	// EmailBison, Smartlead and Instantly: senders of email campaigns.
	EmailBison Source = "emailbison"
	// Smartlead: see EmailBison.
	Smartlead Source = "smartlead"
	// Instantly: see EmailBison.
	Instantly Source = "instantly"
	// Calendly: bookings, signed with the workspace's key.
	Calendly Source = "calendly"
	// Poller: what the poller found at GoHighLevel, in the marketplace's form.
	Poller Source = "poller"
)

// Kind is what an event means to us.
type Kind string

// Kinds of events.
const (
	// Ignored: stored and not acted on.
	Ignored Kind = "ignored"
	// Message: somebody wrote.
	Message Kind = "message"
	// Contact: a contact was made or changed.
	Contact Kind = "contact"
	// Deleted: a contact was deleted or merged away.
	Deleted Kind = "deleted"
	// DND: do-not-disturb of a contact changed.
	DND Kind = "dnd"
	// Tags: the tags of a contact changed.
	Tags Kind = "tags"
	// Booked: an appointment was made, moved or cancelled; see Booking.
	Booked Kind = "booking"
	// Unsubscribed: the lead asked the sender for no more email, or called it spam.
	Unsubscribed Kind = "unsubscribed"
	// Bounced: the lead's email address does not take mail.
	Bounced Kind = "bounced"
	// Access: the app was installed or removed, or the location changed; the connection has to be looked at.
	Access Kind = "access"
)

// Event is a webhook as parsed, of any dialect.
type Event struct {
	// Type is the provider's name of the event.
	Type string
	// Kind is what it means.
	Kind Kind
	// WebhookID is the provider's id of the delivery, or a key derived from what the delivery says.
	WebhookID string
	// Location is the GHL location, empty for other senders and possibly in the workflow dialect.
	Location string
	// Company is the GHL agency, for an event that is about all of its locations; else empty.
	Company string
	// Timestamp is when the provider sent it, where that bounds its freshness; zero elsewhere.
	Timestamp time.Time
	// Changed is the provider's time of the state that the event tells; of two events the later one stands. Zero when it
	// is not told.
	Changed time.Time
	// Lead is what it says about the person.
	Lead lead.Facts
	// Inbound is true for a message of the lead, false for one to the lead.
	Inbound bool
	// Channel, Text, Subject, MessageID and MessageTime describe a message. MessageID may be empty. Channel is empty for
	// channels that Relance does not follow.
	Channel                  sending.Channel
	Text, Subject, MessageID string
	MessageTime              time.Time
	// HTML is the markup of an email to the lead, where the sender gives it.
	HTML string
	// Target is what it takes to answer an email of the lead through the sender that brought it; not usable when the sender
	// did not tell enough.
	Target sending.Target
	// ConversationID, Source (api, app, workflow ...), Status (the delivery status) and User (who wrote it) are the
	// provider's, possibly empty.
	ConversationID, Source, Status, User string
	// DNDAll is the contact-wide switch; DNDSettings the flags by channel, lower case. They are meant only for kind DND.
	DNDAll      bool
	DNDSettings map[sending.Channel]sending.ChannelStatus
	// Tags are a contact's tags, for kind Tags.
	Tags []string
	// Booking is the appointment, for kind Booked.
	Booking Booking
}

// Booking is an appointment as its provider tells it.
type Booking struct {
	// Provider is ghl or calendly.
	Provider string
	// ID is the provider's id, at most 300 characters.
	ID string
	// Calendar is the provider's calendar or event type.
	Calendar string
	Status   booking.Status
	// Final says that no later event changes the status.
	Final      bool
	Start, End time.Time
}

// Delivery is what arrived.
type Delivery struct {
	Source Source
	// Body is the raw body.
	Body []byte
	// Workspace is the workspace whose secret or path it came with; empty for the marketplace.
	Workspace string
	// ID is the sender's id of the delivery from a header, or empty.
	ID string
	// Received is the business time of arrival.
	Received time.Time
	// Key makes the keys of deliveries that have no id, so that a key tells nothing of a body to who reads it.
	Key []byte

	// top are the members of the body, once it is known to be strict JSON.
	top []member
}

// skew is how far ahead of ours a provider's clock is believed.
const skew = 5 * time.Minute

// Parse reads a delivery of any source. Wrong JSON, types or missing identities are ErrBody; events that nothing is done
// about are kind Ignored.
func Parse(d Delivery) (Event, error) {
	top, err := members(d.Body, d.Source == Workflow || d.Source == Smartlead || d.Source == Instantly)
	if err != nil {
		return Event{}, err
	}
	d.top = top
	e, err := d.read()
	if err != nil {
		return Event{}, err
	}
	if len(e.Type) == 0 || len(e.Type) > 100 {
		return Event{}, fmt.Errorf("%w: type is missing or too long", ErrBody)
	}
	for _, id := range []string{e.Type, e.WebhookID, e.Location, e.MessageID, e.Booking.ID, e.Booking.Calendar} {
		if strings.ContainsFunc(id, unicode.IsControl) || len(id) > 500 {
			return Event{}, fmt.Errorf("%w: an id is too long or has control characters", ErrBody)
		}
	}
	for _, t := range []*time.Time{&e.MessageTime, &e.Changed} {
		if !d.Received.IsZero() && t.After(d.Received.Add(skew)) {
			*t = d.Received // A message of tomorrow would hide all of today's behind it.
		}
	}
	return e, nil
}

// read reads a strict body in its sender's dialect.
func (d Delivery) read() (Event, error) {
	switch d.Source {
	case Marketplace:
		return marketplaceEvent(d)
	case Workflow:
		return workflowEvent(d)
	case EmailBison:
		return emailBisonEvent(d)
	case Smartlead:
		return smartleadEvent(d)
	case Instantly:
		return instantlyEvent(d)
	case Calendly:
		return calendlyEvent(d)
	case Poller:
		return pollerEvent(d)
	default:
		return Event{}, fmt.Errorf("%w: of an unknown sender", ErrBody)
	}
}

// Fresh reports whether a delivery's time lies within the window around now. A delivery that names no time is fresh: its
// key is what it says, so that a repeat has no effect.
func (e Event) Fresh(now time.Time) bool {
	const past = 2 * time.Hour
	return e.Timestamp.IsZero() || (!e.Timestamp.Before(now.Add(-past)) && !e.Timestamp.After(now.Add(skew)))
}

// key is the key of a delivery by what it says: the same parts give the same key, in this workspace and source only.
func (d Delivery) key(parts ...string) string {
	h := hmac.New(sha256.New, d.Key)
	for _, p := range append([]string{string(d.Source), d.Workspace}, parts...) {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
