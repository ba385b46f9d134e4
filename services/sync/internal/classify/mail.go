package classify

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/relance/relance/services/sync/internal/sending"
)

// mailAnswer is the union of the bodies that the senders of email campaigns are known to give. Message and error are a
// string, a list of strings, or an object with a message, by provider and by endpoint.
type mailAnswer struct {
	ID      json.RawMessage `json:"id"`
	Message json.RawMessage `json:"message"`
	Error   json.RawMessage `json:"error"`
	Err     json.RawMessage `json:"err"`
	Reply   mailID          `json:"reply"`
	Data    struct {
		ID      json.RawMessage `json:"id"`
		Message json.RawMessage `json:"message"`
		Reply   mailID          `json:"reply"`
	} `json:"data"`
}

type mailID struct {
	ID json.RawMessage `json:"id"`
}

// mail judges an answer of EmailBison, Smartlead or Instantly to a reply.
func mail(e Evidence) Verdict {
	var a mailAnswer
	parsed := utf8.Valid(e.Body) && json.Unmarshal(e.Body, &a) == nil
	text := ""
	if parsed {
		text = a.words()
	}
	switch {
	case e.Status >= 200 && e.Status <= 299:
		return mailSuccess(e, a, parsed)
	case e.Status == 408 || e.Status < 400 || e.Status > 499:
		return Verdict{Class: Unknown, Code: "status_" + strconv.Itoa(e.Status)}
	}
	for _, r := range mailTable() {
		if slices.ContainsFunc(r.words, func(w string) bool { return strings.Contains(text, w) }) {
			return r.verdict(e.Channel)
		}
	}
	return mailStatus(e, text)
}

// mailSuccess takes a success with an id for accepted. Smartlead names none: its replies are found by reading back.
func mailSuccess(e Evidence, a mailAnswer, parsed bool) Verdict {
	id := ""
	switch e.Provider {
	case "emailbison":
		id = plainID(a.Data.Reply.ID, a.Reply.ID, a.Data.ID)
		e.Provider += ":reply:"
	case "instantly":
		id = plainID(a.ID)
		e.Provider += ":sent:"
	}
	if !parsed || id == "" {
		return Verdict{Class: Unknown, Code: "success_without_id"}
	}
	return Verdict{Class: Accepted, MessageID: e.Provider + id, Code: "accepted"}
}

// mailTable are the words of a permanent refusal. They win over the status, so that it is never tried again.
func mailTable() []rule {
	return []rule{
		{
			words: []string{
				"unsubscribed", "opted out", "do not contact", "blacklisted", "is blacklisted", "blocklisted", "in the block list", "in the blocklist",
			},
			class: Refused, reason: sending.OptedOut, flag: sending.Opted, code: "opted_out",
		},
		{
			words: []string{"recipient address is invalid", "invalid recipient", "email address is invalid", "recipient has bounced", "email bounced"},
			class: Refused, reason: sending.InvalidEmail, code: "invalid_email",
		},
	}
}

func mailStatus(e Evidence, text string) Verdict {
	switch {
	case e.Status == 401, e.Status == 403:
		return Verdict{Class: Suspended, Refusal: refusalOf(e, sending.ProviderAuthRevoked), Code: "auth"}
	case e.Status == 402:
		// The account's plan ended: nobody gains by a retry before it is paid, and the key stays good.
		return Verdict{Class: Suspended, Refusal: refusalOf(e, sending.LocationInactive), Code: "no_paid_plan"}
	case e.Status == 404 && text != "":
		return Verdict{Class: Refused, Refusal: refusalOf(e, sending.NoReplyTarget), Code: "reply_target_gone"}
	case e.Status == 429 && (text != "" || e.RetryAfter != "" || e.RateLimited):
		// Not all of them send headers with it; their own words are proof enough that the limiter answered.
		v := Verdict{Class: Retryable, Code: "rate_limited", Wait: max(RetryAfter(e.RetryAfter), burstWait)}
		v.Refusal = sending.Refusal{Reason: sending.ProviderRateLimited, Meta: map[string]string{"window": "burst"}}
		return v
	case e.Status == 429:
		return Verdict{Class: Unknown, Code: "unproven_429"}
	default:
		return byStatus(e, text)
	}
}

// words are what the answer says, in lower case.
func (a mailAnswer) words() string {
	var all []string
	for _, raw := range []json.RawMessage{a.Message, a.Error, a.Err, a.Data.Message} {
		var inner struct {
			Code    json.RawMessage `json:"code"`
			Message json.RawMessage `json:"message"`
		}
		if json.Unmarshal(raw, &inner) == nil {
			all = append(all, normalise(inner.Message), strings.ReplaceAll(normalise(inner.Code), "_", " "))
			continue
		}
		all = append(all, normalise(raw))
	}
	return strings.TrimSpace(strings.Join(all, " "))
}

// plainID reads the first id there is, a number or a string; what cannot be one is none.
func plainID(of ...json.RawMessage) string {
	for _, raw := range of {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		if text != "null" && usableID(text) {
			return text
		}
	}
	return ""
}
