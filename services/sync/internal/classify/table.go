package classify

import (
	"slices"
	"strings"

	"github.com/relance/relance/services/sync/internal/sending"
)

// rule is one row of the table: what identifies the answer, and what it means.
type rule struct {
	// codes are canonical codes matched exactly; prefixes by their beginning; words are parts of the normalised message.
	codes, prefixes, words []string
	class                  Class
	reason                 sending.Reason
	// flag is what the channel of the lead becomes.
	flag sending.ChannelStatus

	code string
}

// table is the reference table of GoHighLevel's refusals of a send. Codes are compared before words, over the whole table, so
// that a row's words cannot take an answer from another row's code. New codes are data: add a row and a test line.
func table() []rule {
	return []rule{
		{
			prefixes: []string{"CONVERSATIONS_MSG_UNSUBSCRIBED"}, words: []string{"has unsubscribed", "is opted out", "has opted out"},
			class: Refused, reason: sending.OptedOut, flag: sending.Opted, code: "opted_out",
		},
		{
			prefixes: []string{"CONVERSATIONS_MSG_DND_ACTIVE_"}, words: []string{"dnd is active"},
			class: Refused, reason: sending.DNDActive, flag: sending.DND, code: "dnd",
		},
		{
			codes: []string{"CONVERSATIONS_MSG_NO_PHONE"}, words: []string{"missing phone number"},
			class: Refused, reason: sending.NoPhone, code: "no_phone",
		},
		{
			codes: []string{"CONVERSATIONS_MSG_NO_EMAIL"}, words: []string{"missing email", "missing e-mail"},
			class: Refused, reason: sending.NoEmail, code: "no_email",
		},
		{
			codes: []string{"CONVERSATIONS_MSG_INVALID_EMAIL", "CONVERSATIONS_MSG_INVALID_EMAILTO"},
			words: []string{"e-mail is invalid", "email is invalid", "emailto is not under"},
			class: Refused, reason: sending.InvalidEmail, code: "invalid_email",
		},
		{
			codes: []string{"CONVERSATIONS_MSG_INVALID_PHONE"},
			words: []string{"invalid country calling code", "invalid phone number", "phone number is invalid"},
			class: Refused, reason: sending.InvalidPhone, code: "invalid_phone",
		},
		{
			codes: []string{"CONVERSATIONS_MSG_NO_CONTENT"}, words: []string{"no message or attachments"},
			class: Refused, reason: sending.EmptyContent, code: "no_content",
		},
		{
			codes: []string{"CONVERSATIONS_MSG_CHAT_NO_LONGER_ACTIVE"}, words: []string{"earlier than 24 hours ago"},
			class: Refused, reason: sending.ChannelWindowClosed, code: "window_closed",
		},
		{
			codes: []string{"CONVERSATIONS_CONTACT_NOT_FOUND"}, words: []string{"contact not found", "contact was deleted", "contact is deleted"},
			class: Refused, reason: sending.ContactNotFound, code: "contact_not_found",
		},
		{
			words: []string{"location is not active"},
			class: Suspended, reason: sending.LocationInactive, code: "location_inactive",
		},
		{
			// Not an expired token: the number of another app's provider, or our own request. Nobody gains by a retry.
			codes: []string{
				"CONVERSATIONS_MSG_PROVIDER_NO_ACCESS", "CONVERSATIONS_MSG_PROVIDER_ID_REQUIRED",
				"CONVERSATIONS_MSG_CONVERSATION_PROVIDER_MISMATCH",
			},
			words: []string{"version header", "invalid api version"},
			class: Refused, reason: sending.RefusedUnclassified, code: "configuration",
		},
	}
}

func match(code, text string) (rule, bool) {
	rules := table()
	steps := []func(rule) bool{
		func(r rule) bool { return slices.Contains(r.codes, code) },
		func(r rule) bool {
			return slices.ContainsFunc(r.prefixes, func(p string) bool { return strings.HasPrefix(code, p) })
		},
		func(r rule) bool {
			return slices.ContainsFunc(r.words, func(w string) bool { return strings.Contains(text, w) })
		},
	}
	for _, matches := range steps {
		if i := slices.IndexFunc(rules, matches); i >= 0 {
			return rules[i], true
		}
	}
	return rule{}, false
}

func (r rule) verdict(channel sending.Channel) Verdict {
	v := Verdict{Class: r.class, Flag: r.flag, Code: r.code, Refusal: sending.Refusal{Reason: r.reason, Meta: map[string]string{}}}
	switch r.reason {
	case sending.DNDActive:
		v.Refusal.Meta = map[string]string{"channel": string(channel), "source": "provider", "status": "active"}
	case sending.OptedOut:
		v.Refusal.Meta = map[string]string{"channel": string(channel), "scope": "channel"}
	case sending.LocationInactive:
		v.Refusal.Meta["provider"] = "ghl"
	case sending.EmptyContent, sending.ContactNotFound, sending.RefusedUnclassified:
	default:
		v.Refusal.Meta["channel"] = string(channel)
	}
	return v
}
