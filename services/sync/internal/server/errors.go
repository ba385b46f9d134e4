package server

import (
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/sending"
)

// domain is the error domain of this service.
const domain = "sync.relance.dev"

// Reasons that are not the sender's.
const (
	reasonLocationInUse    = "LOCATION_IN_USE"
	reasonCalendarInactive = "CALENDAR_INACTIVE"
	reasonLocationMismatch = "WEBHOOK_LOCATION_MISMATCH"
	reasonSecretUnknown    = "WEBHOOK_SECRET_UNKNOWN"
	reasonSecretInUse      = "WEBHOOK_SECRET_IN_USE"
	reasonSignature        = "WEBHOOK_SIGNATURE_INVALID"
)

// refusal builds the answer to a send that did not leave.
func refusal(r sending.Refusal, subject string, retry time.Duration) *apierr.Error {
	code := codes.FailedPrecondition
	switch r.Reason {
	case sending.ProviderRateLimited:
		code = codes.ResourceExhausted
	case sending.ProviderUnavailable:
		code = codes.Unavailable
	case sending.RequestIDReused:
		code = codes.AlreadyExists
	}
	text := words(r.Reason)
	e := typed(code, string(r.Reason), text)
	for key, value := range r.Meta {
		e = e.With(key, value)
	}
	if code == codes.FailedPrecondition {
		e = e.WithPrecondition(string(r.Reason), subject, text)
	}
	if retry > 0 {
		e = e.WithRetryAfter(retry)
	} else if code == codes.Unavailable || code == codes.ResourceExhausted {
		e = e.WithRetryAfter(time.Second)
	}
	return e
}

// badGrant refuses an OAuth grant that gives no usable token.
func badGrant(subject, cause string) *apierr.Error {
	r := sending.Refusal{Reason: sending.ProviderAuthRevoked, Meta: map[string]string{"provider": "ghl", "cause": cause}}
	e := refusal(r, subject, 0)
	e.Message = "the provider gave no usable token for this grant; install the app on the sub-account again and use the new code at once"
	return e
}

func typed(code codes.Code, reason, text string) *apierr.Error {
	return apierr.New(code, domain, reason, text).
		WithHelp("what this means and what to do", "https://relance.dev/docs/errors#"+strings.ToLower(reason))
}

// words says a reason for people, with the remedy where there is one.
func words(reason sending.Reason) string {
	text, ok := map[sending.Reason]string{
		sending.DNDActive:              "do-not-disturb is active for the channel; use another channel until it is cleared at the provider",
		sending.OptedOut:               "the lead opted out of the channel; nothing may be sent on it again",
		sending.NoPhone:                "the lead has no phone number",
		sending.NoEmail:                "the lead has no email address",
		sending.NoReplyTarget:          "there is no email of the lead that could be answered through this sender",
		sending.InvalidPhone:           "the lead's phone number cannot be used",
		sending.InvalidEmail:           "the lead's email address cannot be used",
		sending.ContactNotFound:        "the contact does not exist at the provider, or the lead is not linked to one; EnsureContact finds or makes one, and create_contacts of the workspace does so for every lead that needs one",
		sending.ContactPending:         "the lead's contact is being found or made at the provider; wait until the lead changes",
		linking.Ambiguous:              "it cannot be told which contact is the lead's; name it with contact of EnsureContact",
		linking.Absent:                 "no contact was made: the provider gave no answer and shows none; ask anew with another request_id",
		sending.ChannelWindowClosed:    "the channel's 24-hour window is closed until the lead writes again",
		sending.LeadReplied:            "the lead wrote after the given time",
		sending.LeadBlocked:            "the lead is blocked for automation",
		sending.PreviousSendUnresolved: "an earlier message to this lead on this channel is not settled yet",
		sending.EmptyContent:           "there is nothing to say; an email needs a subject and html",
		sending.RefusedUnclassified:    "the provider refused for a reason that is not known yet",
		sending.ProviderNotConnected:   "the workspace has no provider connection; set one with SetConnection",
		sending.ProviderAuthRevoked:    "the provider token is no longer accepted; set a new one with SetConnection",
		sending.LocationInactive:       "sending is paused for this location; it goes on once the location is active again",
		sending.ProviderRateLimited:    "the provider's rate limit is used up",
		sending.ProviderUnavailable:    "the provider could not be reached; the message was not sent",
		sending.QuietHours:             "no message may leave now where the lead lives; ask again at next_allowed_time",
		sending.FrequencyCap:           "the lead had as many messages in 24 hours as are allowed; ask again at resets_at",
		sending.MessageExpired:         "the message expired before it could leave",
		booking.SlotTaken:              "the time is not free any more; offer others",
		booking.Unresolved:             "another booking for this lead is being made or settled; wait for it",
		booking.Absent:                 "nothing was booked: the provider gave no answer and shows no appointment; book anew with another request_id",
		booking.Unsupported:            "this calendar cannot be booked through its provider's API; send the link",
		booking.CalendarInactive:       "the provider says the calendar is off or gone",
		sending.SendExhausted:          "the message was tried as often as allowed; it was not sent",
	}[reason]
	if !ok {
		return "the message was not sent"
	}
	return text
}
