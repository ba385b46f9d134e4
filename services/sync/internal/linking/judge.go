package linking

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// Class is what an answer to a creation means.
type Class string

// Classes of an answer.
const (
	// Made: the provider made a contact and gave its id.
	Made Class = "made"
	// Duplicate: the provider made none, since it has one, and names it. Whether that is the lead's has to be read.
	Duplicate Class = "duplicate"
	// No: the provider refuses for good.
	No Class = "no"
	// NotNow: provably nothing was made, for a cause that passes.
	NotNow Class = "not_now"
	// Unclear: nobody can tell.
	Unclear Class = "unclear"
)

// Verdict is the class with its facts.
type Verdict struct {
	Class Class
	// Contact is the provider's id, for Made and Duplicate.
	Contact string
	// Refusal is the reason for No and NotNow, and for Unclear the one that stands should nothing have been made; empty for none.
	Refusal sending.Refusal
	// Suspended says that the connection cannot be used any more.
	Suspended bool
	// Wait is the least time before another try, for NotNow.
	Wait time.Duration
	// Code is a short name of the evidence; it holds nothing of the provider's words.
	Code string
}

// answer is the union of the bodies that creations get.
type answer struct {
	Contact struct {
		ID       string `json:"id"`
		Location string `json:"locationId"`
	} `json:"contact"`
	Meta struct {
		ContactID string `json:"contactId"`
	} `json:"meta"`
	Message json.RawMessage `json:"message"`
}

// Judge tells what an answer to a creation in a location means. It is total: what it does not know is No or Unclear, never NotNow.
func Judge(e classify.Evidence, location string) Verdict {
	switch {
	case e.NotSent:
		return Verdict{Class: NotNow, Refusal: refusal(sending.ProviderUnavailable), Code: "not_sent"}
	case e.Failed || e.Status == 0:
		return Verdict{Class: Unclear, Code: "broken_exchange"}
	case e.Status == http.StatusRequestTimeout || e.Status < 200 || (e.Status >= 300 && e.Status < 400) || e.Status > 499:
		return Verdict{Class: Unclear, Code: "status_" + strconv.Itoa(e.Status)}
	}
	var a answer
	parsed := utf8.Valid(e.Body) && json.Unmarshal(e.Body, &a) == nil
	if e.Status < 300 {
		return made(a, parsed, location)
	}
	if e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity || e.Status == http.StatusConflict {
		if v, ok := duplicate(a, parsed); ok {
			return v
		}
	}
	return refused(e)
}

// made judges a success. One of another location is none of ours, whoever it is.
func made(a answer, parsed bool, location string) Verdict {
	if !parsed || !lead.ValidID(a.Contact.ID) || (a.Contact.Location != "" && a.Contact.Location != location) {
		return Verdict{Class: Unclear, Code: "success_without_id"}
	}
	return Verdict{Class: Made, Contact: a.Contact.ID, Code: "made"}
}

// duplicate judges a refusal that speaks of a contact that is there already. When it names none that could be asked for, nothing
// was made, and a search has to find whom it means.
func duplicate(a answer, parsed bool) (Verdict, bool) {
	switch {
	case parsed && lead.ValidID(a.Meta.ContactID):
		return Verdict{Class: Duplicate, Contact: a.Meta.ContactID, Code: "duplicate"}, true
	case parsed && (a.Meta.ContactID != "" || strings.Contains(strings.ToLower(string(a.Message)), "duplicated contact")):
		return Verdict{Class: Unclear, Refusal: sending.Refusal{Reason: Ambiguous, Meta: map[string]string{"cause": "unnamed"}}, Code: "duplicate_unnamed"}, true
	default:
		return Verdict{}, false
	}
}

// refused judges any other 4xx. A 422 may come of a contact that was made all the same.
func refused(e classify.Evidence) Verdict {
	v := classify.Classify(e)
	out := Verdict{Refusal: v.Refusal, Code: v.Code, Wait: v.Wait}
	switch v.Class {
	case classify.Retryable:
		out.Class = NotNow
		return out
	case classify.Suspended:
		out.Class, out.Suspended = NotNow, !v.TokenExpired
		return out
	case classify.Refused:
		out.Class, out.Refusal = No, told(v.Refusal, e.Status)
	default:
		return Verdict{Class: Unclear, Code: v.Code}
	}
	if e.Status == http.StatusUnprocessableEntity {
		out.Class = Unclear
	}
	return out
}

// told keeps what can be said about a contact; a reason of sends says nothing about one.
func told(r sending.Refusal, status int) sending.Refusal {
	switch r.Reason {
	case sending.InvalidPhone, sending.NoPhone:
		return sending.Refusal{Reason: sending.InvalidPhone, Meta: map[string]string{"channel": string(sending.SMS)}}
	case sending.InvalidEmail, sending.NoEmail:
		return sending.Refusal{Reason: sending.InvalidEmail, Meta: map[string]string{"channel": string(sending.Email)}}
	default:
		return sending.Refusal{Reason: sending.RefusedUnclassified, Meta: map[string]string{"provider_status": strconv.Itoa(status)}}
	}
}

func refusal(reason sending.Reason) sending.Refusal {
	return sending.Refusal{Reason: reason, Meta: map[string]string{"provider": "ghl"}}
}
