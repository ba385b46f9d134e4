// Package classify turns a provider's answer to a send into what the send protocol does next (docs/send-protocol.md,
// §3.5). It is pure and total: it never panics, and what it does not know is UNKNOWN or REFUSED, never retryable.
package classify

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/relance/relance/services/sync/internal/sending"
)

// Class is what the protocol does next.
type Class string

// Classes of an answer.
const (
	// Accepted: the provider took the message and gave an id (T4).
	Accepted Class = "accepted"
	// Refused: a permanent no (T6).
	Refused Class = "refused"
	// Retryable: definitely not accepted, for a transient cause; counts as a failure (T8).
	Retryable Class = "retryable"
	// Suspended: definitely not accepted because of the connection; does not count (T7).
	Suspended Class = "suspended"
	// Unknown: nobody can tell (T5, T9).
	Unknown Class = "unknown"
)

// Evidence is everything that is known about one call.
type Evidence struct {
	// NotSent is true when no request left: dial, DNS or TLS failure, headers never written.
	NotSent bool
	// Failed is true when the exchange broke after the request may have left: timeout, reset, truncated body.
	Failed bool
	// Status is the HTTP status, 0 without an answer.
	Status int
	// Body is the answer, at most 1 MiB.
	Body []byte
	// RetryAfter is the Retry-After header.
	RetryAfter string
	// RateLimited is true when the answer carries X-RateLimit headers.
	RateLimited bool
	// DailyRemaining is the X-RateLimit-Daily-Remaining header.
	DailyRemaining string
	// Channel is what was sent on.
	Channel sending.Channel
	// Provider is who answered: emailbison, smartlead or instantly; empty is GoHighLevel.
	Provider string
}

// Verdict is the class with its facts.
type Verdict struct {
	// Class is what to do.
	Class Class
	// Refusal is the reason for Refused, Retryable and Suspended.
	Refusal sending.Refusal
	// Flag is what the lead's channel becomes, empty for no change.
	Flag sending.ChannelStatus
	// Wait is the least time before the next try.
	Wait time.Duration
	// MessageID and ConversationID are the provider's ids of an accepted message.
	MessageID, ConversationID string
	// TraceID is the provider's id of the exchange.
	TraceID string
	// TokenExpired is true for the one refusal that a token refresh can heal.
	TokenExpired bool
	// Code is a short name of the evidence for the attempt's row; it holds no personal data.
	Code string
}

// answer is the union of the bodies the provider is known to send.
type answer struct {
	Message        json.RawMessage `json:"message"`
	CanonicalCode  string          `json:"canonicalCode"`
	TraceID        string          `json:"traceId"`
	MessageID      string          `json:"messageId"`
	EmailMessageID string          `json:"emailMessageId"`
	ConversationID string          `json:"conversationId"`
}

// Classify judges one call.
func Classify(e Evidence) Verdict {
	if e.NotSent {
		return Verdict{Class: Retryable, Refusal: refusalOf(e, sending.ProviderUnavailable), Code: "not_sent"}
	}
	if e.Failed || e.Status == 0 {
		return Verdict{Class: Unknown, Code: "broken_exchange"}
	}
	if e.Provider != "" && e.Provider != ghl {
		return mail(e)
	}
	var a answer
	parsed := utf8.Valid(e.Body) && json.Unmarshal(e.Body, &a) == nil
	v := judge(e, a, parsed)
	v.TraceID = clip(a.TraceID)
	return v
}

func judge(e Evidence, a answer, parsed bool) Verdict {
	switch {
	case e.Status >= 200 && e.Status <= 299:
		return success(a, parsed)
	case e.Status == 408 || e.Status < 400 || e.Status > 499:
		return Verdict{Class: Unknown, Code: "status_" + strconv.Itoa(e.Status)}
	}
	text := normalise(a.Message)
	if e.Status == 429 {
		return limited(e, text)
	}
	if rule, ok := match(a.CanonicalCode, text); ok {
		v := rule.verdict(e.Channel)
		if v.Refusal.Reason == sending.RefusedUnclassified {
			v.Refusal.Meta["provider_status"] = strconv.Itoa(e.Status)
		}
		return v
	}
	return byStatus(e, text)
}

func success(a answer, parsed bool) Verdict {
	id := a.MessageID
	if id == "" {
		id = a.EmailMessageID
	}
	if !parsed || !usableID(id) {
		return Verdict{Class: Unknown, Code: "success_without_id"}
	}
	return Verdict{Class: Accepted, MessageID: id, ConversationID: clip(a.ConversationID), Code: "accepted"}
}

// searchOverload are the words of a search-side overload, which on a POST says nothing about the message.
func searchOverload() []string {
	return []string{"point in time", "max_open_pit_context", "search context"}
}

// SearchOverload reports whether the answer speaks of a search-side overload and not of a rate limit.
func SearchOverload(e Evidence) bool {
	body := strings.ToLower(string(e.Body))
	return slices.ContainsFunc(searchOverload(), func(words string) bool { return strings.Contains(body, words) })
}

// Limited is the verdict of a call that was not made because the budget of the window is used up.
func Limited(window string, wait time.Duration) Verdict {
	return Verdict{
		Class: Retryable, Code: "budget", Wait: wait,
		Refusal: sending.Refusal{Reason: sending.ProviderRateLimited, Meta: map[string]string{"window": window}},
	}
}

func limited(e Evidence, text string) Verdict {
	if SearchOverload(e) {
		return Verdict{Class: Unknown, Code: "search_overload"}
	}
	if rule, ok := match("", text); ok {
		// Words of a permanent refusal win over the status, so that it is never tried again.
		return rule.verdict(e.Channel)
	}
	if e.RetryAfter == "" && !e.RateLimited {
		// A 429 without its headers may come from something in between that had already passed the request on.
		return Verdict{Class: Unknown, Code: "unproven_429"}
	}
	v := Verdict{Class: Retryable, Code: "rate_limited", Wait: RetryAfter(e.RetryAfter)}
	v.Refusal = sending.Refusal{Reason: sending.ProviderRateLimited, Meta: map[string]string{"window": "burst"}}
	if strings.TrimSpace(e.DailyRemaining) == "0" {
		v.Refusal.Meta["window"] = "daily"
		v.Wait = max(v.Wait, dailyWait)
	}
	v.Wait = max(v.Wait, burstWait)
	return v
}

const (
	burstWait     = 10 * time.Second
	dailyWait     = time.Hour
	maxRetryAfter = time.Hour
)

// RetryAfter reads a Retry-After header of seconds, held to 0..1h. Dates and nonsense give 0; the caller has a floor.
func RetryAfter(header string) time.Duration {
	n, err := strconv.ParseInt(strings.TrimSpace(header), 10, 64)
	if err != nil || n <= 0 {
		return 0
	}
	if n > int64(maxRetryAfter/time.Second) {
		return maxRetryAfter
	}
	return time.Duration(n) * time.Second
}

func byStatus(e Evidence, text string) Verdict {
	switch e.Status {
	case 401, 403:
		v := Verdict{Class: Suspended, Refusal: refusalOf(e, sending.ProviderAuthRevoked), Code: "auth"}
		if e.Status == 401 && slices.ContainsFunc(tokenWords(), func(w string) bool { return strings.Contains(text, w) }) {
			v.TokenExpired, v.Code = true, "token_expired"
		}
		return v
	default:
		code := "unclassified"
		if e.Status == 422 {
			code = "validation"
		}
		if text == "" {
			code += "_no_message"
		}
		return Verdict{
			Class: Refused, Code: code,
			Refusal: sending.Refusal{Reason: sending.RefusedUnclassified, Meta: map[string]string{"provider_status": strconv.Itoa(e.Status)}},
		}
	}
}

// tokenWords are the provider's words for an access token that is expired or unknown. The other 401 and 403 answers speak of
// scopes, token types, locations and headers: no refresh heals them.
func tokenWords() []string {
	return []string{"invalid token: access token is invalid", "invalid jwt", "invalid private integration token"}
}

// ghl is the provider of evidence that names none.
const ghl = "ghl"

func refusalOf(e Evidence, reason sending.Reason) sending.Refusal {
	return sending.Refusal{Reason: reason, Meta: map[string]string{"provider": cmp.Or(e.Provider, ghl)}}
}

// normalise flattens the provider's message, a string or a list of strings, to lower case with single spaces and plain
// apostrophes.
func normalise(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) != nil {
		var many []string
		if json.Unmarshal(raw, &many) != nil {
			return ""
		}
		one = strings.Join(many, "; ")
	}
	one = strings.NewReplacer("’", "'", "‘", "'").Replace(strings.ToLower(one))
	return strings.Join(strings.Fields(one), " ")
}

func usableID(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if !usableID(s) {
		return ""
	}
	return s
}
