package provider

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/sending"
)

// ReadError is a read that did not succeed. Its text holds nothing of the provider's.
type ReadError struct {
	// Status is the HTTP status, 0 without an answer.
	Status int
	// Verdict is what the classifier makes of it; its class is not meant for reads, its reason is.
	Verdict classify.Verdict
	// text is the provider's message, lower case, for matching only.
	text string
}

// ReadFailed makes the error of an answer that is no success.
func ReadFailed(e classify.Evidence) *ReadError {
	return &ReadError{Status: e.Status, Verdict: classify.Classify(e), text: strings.ToLower(string(e.Body))}
}

// Garbled is the error of a success that cannot be read.
func Garbled() *ReadError {
	return &ReadError{Status: http.StatusOK, Verdict: classify.Verdict{Class: classify.Unknown, Code: "garbled"}}
}

// Error names the status only.
func (e *ReadError) Error() string {
	return fmt.Sprintf("provider read answered status %d (%s)", e.Status, e.Verdict.Code)
}

// NotFound reports whether the provider says that the thing does not exist; GHL answers 400 for unknown ids. The same words of a
// refused token, of a provider in trouble or about the route say nothing about the thing.
func (e *ReadError) NotFound() bool {
	switch e.Status {
	case http.StatusNotFound:
		return !strings.Contains(e.text, "cannot get /")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return strings.Contains(e.text, "not found") || strings.Contains(e.text, "does not exist")
	default:
		return false
	}
}

// Mentions reports whether the provider's message contains a lower-case phrase.
func (e *ReadError) Mentions(phrase string) bool { return strings.Contains(e.text, phrase) }

// RateLimited gives the verdict, with its window and wait, when err says that the budget is used up, here or at the provider.
func RateLimited(err error) (classify.Verdict, bool) {
	var failed *ReadError
	if !errors.As(err, &failed) || failed.Verdict.Refusal.Reason != sending.ProviderRateLimited {
		return classify.Verdict{}, false
	}
	v := failed.Verdict
	v.Wait = max(v.Wait, time.Second)
	return v, true
}

// breakerOpen is the code of a read that was held back.
const breakerOpen = "breaker_open"

// Held is the error of a read that was not made, since the provider has not been answering.
func Held(kind Kind, wait time.Duration) *ReadError {
	return &ReadError{Verdict: classify.Verdict{
		Class: classify.Unknown, Code: breakerOpen, Wait: max(wait, time.Second),
		Refusal: sending.Refusal{Reason: sending.ProviderUnavailable, Meta: map[string]string{"provider": string(kind), "cause": breakerOpen}},
	}}
}

// HeldBack tells how long a read that was held back should wait.
func HeldBack(err error) (time.Duration, bool) {
	var failed *ReadError
	if !errors.As(err, &failed) || failed.Verdict.Code != breakerOpen {
		return 0, false
	}
	return failed.Verdict.Wait, true
}

// Unavailable is the refusal of a caller whose read failed for a reason that passes.
func (e *ReadError) Unavailable(kind Kind) sending.Refusal {
	if e.Verdict.Code == breakerOpen {
		return e.Verdict.Refusal
	}
	return sending.Refusal{Reason: sending.ProviderUnavailable, Meta: map[string]string{"provider": string(kind)}}
}
