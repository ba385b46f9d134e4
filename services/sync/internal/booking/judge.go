package booking

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/sending"
)

// Class is what a provider's answer to a booking means.
type Class string

// Classes of an answer.
const (
	// Made: the provider booked and gave an id.
	Made Class = "made"
	// Taken: the provider says that the time is not free. By whom is not said: it can be the lead's own appointment.
	Taken Class = "taken"
	// No: the provider refuses for good.
	No Class = "no"
	// NotNow: provably nothing was booked, for a cause that passes.
	NotNow Class = "not_now"
	// Unclear: nobody can tell.
	Unclear Class = "unclear"
)

// Verdict is the class with its facts.
type Verdict struct {
	Class Class
	// Appointment is the provider's id, for Made.
	Appointment string
	// Refusal is the reason for Taken, No and NotNow.
	Refusal sending.Refusal
	// Suspended says that the connection cannot be used any more.
	Suspended bool
	// Wait is the least time before another try, for NotNow.
	Wait time.Duration
	// Code is a short name of the evidence; it holds nothing of the provider's words.
	Code string
}

// calendlyName is the provider of evidence that is judged as Calendly's.
const calendlyName = "calendly"

// maxID bounds a provider's id of an appointment.
const maxID = 300

// answer is the union of the bodies of both providers.
type answer struct {
	ID          string                     `json:"id"`
	Appointment struct{ ID string }        `json:"appointment"`
	Event       struct{ ID string }        `json:"event"`
	Resource    struct{ URI string }       `json:"resource"`
	Title       string                     `json:"title"`
	Message     json.RawMessage            `json:"message"`
	Details     []struct{ Message string } `json:"details"`
}

// Judge tells what an answer to a booking means. It is total: what it does not know is No or Unclear, never NotNow.
func Judge(e classify.Evidence) Verdict {
	switch {
	case e.NotSent:
		return notNow(sending.ProviderUnavailable, map[string]string{"provider": nameOf(e)}, "not_sent")
	case e.Failed || e.Status == 0:
		return Verdict{Class: Unclear, Code: "broken_exchange"}
	case e.Status == http.StatusRequestTimeout || e.Status < 200 || (e.Status >= 300 && e.Status < 400) || e.Status > 499:
		return Verdict{Class: Unclear, Code: "status_" + strconv.Itoa(e.Status)}
	}
	var a answer
	parsed := utf8.Valid(e.Body) && json.Unmarshal(e.Body, &a) == nil
	if e.Status < 300 {
		return made(a, parsed)
	}
	text := a.words(e)
	if e.Status == http.StatusConflict || slices.ContainsFunc(takenWords(), func(w string) bool { return strings.Contains(text, w) }) {
		return Verdict{Class: Taken, Refusal: sending.Refusal{Reason: SlotTaken}, Code: "slot_taken"}
	}
	if e.Provider == calendlyName {
		return calendlyNo(e, text)
	}
	return ghlNo(e, text)
}

func made(a answer, parsed bool) Verdict {
	for _, id := range []string{a.ID, a.Appointment.ID, a.Event.ID, a.Resource.URI} {
		if parsed && id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return Verdict{Class: Made, Appointment: id, Code: "made"}
		}
	}
	return Verdict{Class: Unclear, Code: "success_without_id"}
}

// takenWords are the providers' words for a time that is not free, in lower case.
func takenWords() []string {
	return []string{
		"slot you have selected is no longer available", "no longer available", "slot is not available", "already booked",
		"already been booked", "already taken", "time is unavailable", "time slot is unavailable", "invitee limit",
	}
}

// words flattens what an answer says to lower case with single spaces. Details are Calendly's.
func (a answer) words(e classify.Evidence) string {
	parts := []string{a.Title, string(a.Message)}
	for _, d := range a.Details {
		parts = append(parts, d.Message)
	}
	if len(a.Message) == 0 && a.Title == "" {
		parts = append(parts, string(e.Body[:min(len(e.Body), 2000)]))
	}
	return strings.Join(strings.Fields(strings.ToLower(strings.Join(parts, " "))), " ")
}

// ghlNo is GoHighLevel's refusal, told apart as a send's is, with the words of calendars before.
func ghlNo(e classify.Evidence, text string) Verdict {
	if strings.Contains(text, "calendar not found") || strings.Contains(text, "calendar is inactive") || strings.Contains(text, "calendar is not active") {
		return no(CalendarInactive, map[string]string{"provider": "ghl"}, "calendar_inactive")
	}
	v := classify.Classify(e)
	out := Verdict{Refusal: v.Refusal, Code: v.Code, Wait: v.Wait}
	switch v.Class {
	case classify.Refused:
		out.Class = No
	case classify.Retryable:
		out.Class = NotNow
	case classify.Suspended:
		out.Class, out.Suspended = NotNow, !v.TokenExpired
	default:
		out.Class, out.Refusal = Unclear, sending.Refusal{}
	}
	return out
}

// calendlyNo branches on the status: Calendly's titles are not dependable.
func calendlyNo(e classify.Evidence, text string) Verdict {
	of := map[string]string{"provider": calendlyName}
	switch e.Status {
	case http.StatusUnauthorized:
		v := notNow(sending.ProviderAuthRevoked, of, "auth")
		v.Suspended = true
		return v
	case http.StatusForbidden:
		return no(Unsupported, map[string]string{"provider": calendlyName, "cause": "plan"}, "plan")
	case http.StatusNotFound:
		return no(CalendarInactive, of, "calendar_inactive")
	case http.StatusTooManyRequests:
		v := notNow(sending.ProviderRateLimited, map[string]string{"window": "burst"}, "rate_limited")
		v.Wait = max(classify.RetryAfter(e.RetryAfter), minWait)
		return v
	}
	if strings.Contains(text, "question") || strings.Contains(text, "location") {
		return no(Unsupported, map[string]string{"provider": calendlyName, "cause": "questions"}, "questions")
	}
	return no(sending.RefusedUnclassified, map[string]string{"provider_status": strconv.Itoa(e.Status)}, "unclassified")
}

// minWait is how long a booking waits at least after a rate limit.
const minWait = 10 * time.Second

func no(reason sending.Reason, meta map[string]string, code string) Verdict {
	return Verdict{Class: No, Refusal: sending.Refusal{Reason: reason, Meta: meta}, Code: code}
}

func notNow(reason sending.Reason, meta map[string]string, code string) Verdict {
	return Verdict{Class: NotNow, Refusal: sending.Refusal{Reason: reason, Meta: meta}, Code: code}
}

func nameOf(e classify.Evidence) string {
	if e.Provider == "" {
		return "ghl"
	}
	return e.Provider
}
