package sending

import (
	"strconv"
	"time"

	"github.com/relance/relance/services/sync/internal/legal"
)

// Reason is why a send did not happen; the names are those of the API's error reasons.
type Reason string

// Reasons of the gate and of the provider.
const (
	DNDActive              Reason = "DND_ACTIVE"
	OptedOut               Reason = "OPTED_OUT"
	NoPhone                Reason = "NO_PHONE"
	NoEmail                Reason = "NO_EMAIL"
	InvalidPhone           Reason = "INVALID_PHONE"
	InvalidEmail           Reason = "INVALID_EMAIL"
	ContactNotFound        Reason = "CONTACT_NOT_FOUND"
	ChannelWindowClosed    Reason = "CHANNEL_WINDOW_CLOSED"
	LeadReplied            Reason = "LEAD_REPLIED"
	LeadBlocked            Reason = "LEAD_BLOCKED"
	PreviousSendUnresolved Reason = "PREVIOUS_SEND_UNRESOLVED"
	EmptyContent           Reason = "EMPTY_CONTENT"
	RefusedUnclassified    Reason = "REFUSED_UNCLASSIFIED"
	RequestIDReused        Reason = "REQUEST_ID_REUSED"
	ProviderNotConnected   Reason = "PROVIDER_NOT_CONNECTED"
	ProviderAuthRevoked    Reason = "PROVIDER_AUTH_REVOKED"
	LocationInactive       Reason = "LOCATION_INACTIVE"
	ProviderRateLimited    Reason = "PROVIDER_RATE_LIMITED"
	ProviderUnavailable    Reason = "PROVIDER_UNAVAILABLE"
	MessageExpired         Reason = "MESSAGE_EXPIRED"
	QuietHours             Reason = "QUIET_HOURS"
	FrequencyCap           Reason = "FREQUENCY_CAP"
	SendExhausted          Reason = "SEND_EXHAUSTED"
	// ContactPending: the lead's contact is being found or made at the provider.
	ContactPending Reason = "CONTACT_PENDING"
	// NoReplyTarget: a provider that only answers emails has none to answer.
	NoReplyTarget Reason = "NO_REPLY_TARGET"
	// SendAmbiguous parks a send of which nobody can tell whether it left; SendNeedsEyes one that may have left with other
	// words.
	SendAmbiguous Reason = "SEND_AMBIGUOUS"
	SendNeedsEyes Reason = "SEND_NEEDS_EYES"
)

// ghl is the provider that sends where no other is named.
const ghl = "ghl"

// Refusal is a reason with the facts a caller acts on.
type Refusal struct {
	// Reason is the API's reason.
	Reason Reason
	// Meta are the API's metadata.
	Meta map[string]string
}

// ChannelStatus is the flag of a lead's channel.
type ChannelStatus string

// Flags of a channel.
const (
	Open         ChannelStatus = "OPEN"
	DND          ChannelStatus = "DND"
	DNDPermanent ChannelStatus = "DND_PERMANENT"
	Opted        ChannelStatus = "OPTED_OUT"
)

// ConnectionState tells whether the workspace's connection can be used.
type ConnectionState string

// States of a connection; empty means that none is set.
const (
	NotConnected ConnectionState = ""
	Connected    ConnectionState = "CONNECTED"
	AuthRevoked  ConnectionState = "AUTH_REVOKED"
	Inactive     ConnectionState = "LOCATION_INACTIVE"
	// ReconnectNeeded: the OAuth grant is dead; a person has to install the app again.
	ReconnectNeeded ConnectionState = "RECONNECT_NEEDED"
)

// Facts are what the gate decides on, all read in the transaction that claims.
type Facts struct {
	Channel   Channel
	Content   Content
	ContactID string
	// ContactComing is true when a contact is asked for, for a lead that has none; ContactCause says why there will be none.
	ContactComing bool
	ContactCause  map[string]string
	// Provider is who sends; empty is ghl. One that only answers emails needs Target: that there is one to answer.
	Provider        string
	Target          bool
	Phone, Email    string
	Blocked         bool
	Flag            ChannelStatus
	Connection      ConnectionState
	SendingDisabled bool
	LastInbound     time.Time // zero for none
	RepliedSince    time.Time // zero for no condition
	Expire          time.Time // zero for never
	Now             time.Time // business time
	// Legal is the case that the law is asked about.
	Legal legal.Case
}

// Decision is what the gate says. A nil Refusal means that the send may be claimed.
type Decision struct {
	// Refusal is why not.
	Refusal *Refusal
	// To is the state the refusal leads to: SKIPPED or EXPIRED. Empty means "not now": the plan stays as it is and is
	// looked at again at Retry, without using an attempt.
	To State
	// Retry is how long a "not now" lasts.
	Retry time.Duration
	// Law is the law's answer, when it decided.
	Law legal.Decision
}

// contactRetry is when asking again for a lead whose contact is on its way makes sense. A lead event tells earlier.
const contactRetry = time.Minute

// slowRetry is how long a send waits for a configuration to be mended by a person.
const slowRetry = 15 * time.Minute

// Gate decides whether a send may leave now. What belongs to the lead comes first and is final; what belongs to the
// workspace's set-up comes after and is "not now".
func Gate(f Facts) Decision {
	if !f.Expire.IsZero() && !f.Now.Before(f.Expire) {
		return Decision{
			Refusal: &Refusal{MessageExpired, map[string]string{"expire_time": f.Expire.UTC().Format(time.RFC3339)}}, To: Expired,
		}
	}
	if refusal := leadRefusal(f); refusal != nil {
		return Decision{Refusal: refusal, To: Skipped}
	}
	if d := Setup(f); d.Refusal != nil {
		return d
	}
	if f.ContactComing {
		return Decision{Refusal: &Refusal{Reason: ContactPending}, Retry: contactRetry}
	}
	law := legal.Decide(f.Legal)
	d := lawful(f, law)
	d.Law = law
	return d
}

// lawful is what the law's answer means for the send: an opt-out ends it, hours and caps put it off.
func lawful(f Facts, d legal.Decision) Decision {
	switch {
	case d.Verdict == legal.Allow:
		return Decision{}
	case d.Verdict == legal.Deny:
		return Decision{Refusal: &Refusal{OptedOut, map[string]string{"channel": string(f.Channel), "scope": d.Scope, "rule": d.Rule}}, To: Skipped}
	case d.Kind == legal.KindCap:
		return Decision{Refusal: &Refusal{FrequencyCap, map[string]string{
			"cap": strconv.Itoa(d.Limit), "resets_at": moment(d.Until), "rule": d.Rule,
		}}, Retry: d.Until.Sub(f.Now)}
	default:
		return Decision{Refusal: &Refusal{QuietHours, map[string]string{
			"next_allowed_time": moment(d.Until), "rule": d.Rule, "zone": d.Zone, "zone_source": d.ZoneSource,
		}}, Retry: d.Until.Sub(f.Now)}
	}
}

// moment writes a time to the second, never before it.
func moment(t time.Time) string {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		t = whole.Add(time.Second)
	}
	return t.UTC().Format(time.RFC3339)
}

// Setup is the gate's answer to a workspace that cannot send at all. A new message gets it before anything is planned, and
// so before anything of its lead is looked at.
func Setup(f Facts) Decision {
	if refusal := SetupRefusal(f.Provider, f.Connection, f.SendingDisabled); refusal != nil {
		return Decision{Refusal: refusal, Retry: slowRetry}
	}
	return Decision{}
}

// SetupRefusal tells what of the workspace's set-up keeps messages from leaving through a provider, or nil.
func SetupRefusal(provider string, connection ConnectionState, disabled bool) *Refusal {
	if provider == "" {
		provider = ghl
	}
	of := map[string]string{"provider": provider}
	switch {
	case disabled:
		// The kill switch answers like a paused location: callers defer slowly and lose nothing.
		return &Refusal{LocationInactive, map[string]string{"provider": provider, "cause": "sending_disabled"}}
	case connection == NotConnected:
		return &Refusal{ProviderNotConnected, of}
	case connection == AuthRevoked:
		return &Refusal{ProviderAuthRevoked, of}
	case connection == ReconnectNeeded:
		return &Refusal{ProviderAuthRevoked, map[string]string{"provider": provider, "cause": "reconnect_needed"}}
	case connection == Inactive:
		return &Refusal{LocationInactive, of}
	default:
		return nil
	}
}

func leadRefusal(f Facts) *Refusal {
	switch {
	case f.Blocked:
		return &Refusal{Reason: LeadBlocked}
	case f.Flag == Opted && f.Legal.Purpose == legal.Confirmation:
		return addressRefusal(f) // The law knows whether it may still be confirmed.
	case f.Flag == Opted:
		return &Refusal{OptedOut, map[string]string{"channel": string(f.Channel), "scope": "channel"}}
	case f.Flag == DND:
		return &Refusal{DNDActive, map[string]string{"channel": string(f.Channel), "source": "gate", "status": "active"}}
	case f.Flag == DNDPermanent:
		return &Refusal{DNDActive, map[string]string{"channel": string(f.Channel), "source": "gate", "status": "permanent"}}
	default:
		return addressRefusal(f)
	}
}

// addressRefusal tells what keeps a message from being addressed.
func addressRefusal(f Facts) *Refusal {
	channel := map[string]string{"channel": string(f.Channel)}
	switch {
	case f.Content.Empty(f.Channel):
		return &Refusal{Reason: EmptyContent}
	case f.Channel == SMS && f.Phone == "":
		return &Refusal{NoPhone, channel}
	case f.Channel == Email && f.Email == "":
		return &Refusal{NoEmail, channel}
	case f.Provider != "" && f.Provider != ghl && !f.Target:
		return &Refusal{NoReplyTarget, map[string]string{"provider": f.Provider}}
	case (f.Provider == "" || f.Provider == ghl) && f.ContactID == "" && !f.ContactComing:
		return &Refusal{Reason: ContactNotFound, Meta: f.ContactCause}
	case !f.RepliedSince.IsZero() && f.LastInbound.After(f.RepliedSince):
		return &Refusal{LeadReplied, map[string]string{"replied_at": f.LastInbound.UTC().Format(time.RFC3339Nano)}}
	default:
		return nil
	}
}

// Exhausted is the refusal of a send that was tried as often as allowed.
func Exhausted(attempts int) *Refusal {
	return &Refusal{SendExhausted, map[string]string{"attempts": strconv.Itoa(attempts)}}
}
