// Package web is what the providers that are read over the web share: one read, judged by its status, and decoded.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/webfetch"
)

// Fetcher reads one address; *webfetch.Client is one.
type Fetcher interface {
	Get(ctx context.Context, address string, header http.Header) (webfetch.Answer, error)
}

// maxRetryAfter bounds a provider's demand, should it be absurd.
const maxRetryAfter = 24 * time.Hour

// Bearer is the header of an API call.
func Bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/json"}}
}

// JSON reads an address into out. Errors are *look.Error: everything but a 200 that decodes.
func JSON(ctx context.Context, f Fetcher, req Request, out any) error {
	answer, err := Read(ctx, f, req)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer.Body, out); err != nil || string(bytes.TrimSpace(answer.Body)) == "null" {
		return look.BadAnswer(errors.New("the body is not the JSON of the contract"))
	}
	return nil
}

// Request is one read.
type Request struct {
	// Address is the whole URL.
	Address string
	// Header may be nil.
	Header http.Header
	// ResetHeader names a header with the seconds until a limit resets, where the provider has one.
	ResetHeader string
}

// StatusError is the error of an answer that is not 200, for providers that act on one.
type StatusError struct {
	// Code is the HTTP status.
	Code int
	// Body is what came with it. Untrusted; never logged.
	Body []byte
}

// Error names the status only.
func (s *StatusError) Error() string { return "HTTP status " + strconv.Itoa(s.Code) }

// Read reads an address. Errors are *look.Error; behind one of an answered call is a *StatusError.
func Read(ctx context.Context, f Fetcher, req Request) (webfetch.Answer, error) {
	answer, err := f.Get(ctx, req.Address, req.Header)
	if err != nil {
		return webfetch.Answer{}, failed(ctx, err)
	}
	if answer.Status == http.StatusOK {
		return answer, nil
	}
	return webfetch.Answer{}, judge(answer, req.ResetHeader)
}

// failed is a read without an answer. The network's words are dropped: they may hold the address, which can be a secret.
func failed(ctx context.Context, err error) *look.Error {
	var late net.Error
	switch {
	case errors.Is(err, webfetch.ErrForbidden):
		return &look.Error{Kind: slots.ReasonUnsupportedCalendar, Reason: "ADDRESS_FORBIDDEN", Cause: webfetch.ErrForbidden}
	case errors.Is(err, webfetch.ErrTooLarge):
		return look.BadAnswer(webfetch.ErrTooLarge)
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return look.Unreachable("TIMEOUT", nil)
	default:
		return look.Unreachable("NETWORK", nil)
	}
}

func judge(answer webfetch.Answer, resetHeader string) *look.Error {
	status := &StatusError{Code: answer.Status, Body: answer.Body}
	e := look.Unreachable(fmt.Sprintf("HTTP_%d", answer.Status), status)
	e.RetryAfter = RetryAfter(answer.Header, resetHeader)
	switch answer.Status {
	case http.StatusTooManyRequests:
		e.Reason = "PROVIDER_RATE_LIMITED"
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Reason = "PROVIDER_AUTH_REVOKED"
	case http.StatusNotFound, http.StatusGone:
		e.Kind, e.Reason = slots.ReasonInactive, string(slots.ReasonInactive)
	}
	return e
}

// RetryAfter reads Retry-After (seconds or a date) or, where a provider has one, the header with the seconds until its
// limit resets; zero for none. A limit's header counts only when nothing remains of the limit, which a 429 says.
func RetryAfter(header http.Header, resetHeader string) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" && resetHeader != "" {
		text = strings.TrimSpace(header.Get(resetHeader))
	}
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		if sent, err := http.ParseTime(header.Get("Date")); err == nil {
			wait = at.Sub(sent)
		}
	}
	return min(max(wait, 0), maxRetryAfter)
}

// Code is the HTTP status behind an error of Read or JSON; 0 when there was no answer.
func Code(err error) int {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.Code
	}
	return 0
}
