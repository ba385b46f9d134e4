package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// SignatureHeader carries base64 Ed25519 over the raw body.
const SignatureHeader = "X-GHL-Signature"

// Attempt is one try to deliver a webhook.
type Attempt struct {
	At         time.Time     `json:"at"` // simulator clock
	Status     int           `json:"status"`
	RetryAfter time.Duration `json:"retryAfter"` // asked for by a 429; else 0
	Body       string        `json:"body"`       // first 4 KiB of the answer
}

// Delivery is the outcome of a webhook.
type Delivery struct {
	Attempts []Attempt `json:"attempts"`
}

// Status is the last answer's status, 0 when there was none.
func (d Delivery) Status() int {
	if len(d.Attempts) == 0 {
		return 0
	}
	return d.Attempts[len(d.Attempts)-1].Status
}

// OK says that the receiver took the webhook.
func (d Delivery) OK() bool { return d.Status() >= 200 && d.Status() < 300 }

// Deliver posts a payload signed, as the marketplace does. Only a 429 is tried again,
// after its Retry-After shortened to DeliveryLimits.MaxWait; every other answer is
// final, and so is a connection that fails, which is the only error besides ctx's.
func (s *Simulator) Deliver(ctx context.Context, url string, p Payload) (Delivery, error) {
	raw := p.Raw()
	return s.DeliverRaw(ctx, url, raw, http.Header{SignatureHeader: {s.Sign(raw)}})
}

// DeliverWorkflow posts a payload unsigned with the headers configured on the workflow
// action. It is tried once.
func (s *Simulator) DeliverWorkflow(ctx context.Context, url string, p Payload, header http.Header) (Delivery, error) {
	attempt, err := s.post(ctx, url, p.Raw(), header)
	if err != nil {
		return Delivery{}, err
	}
	return Delivery{Attempts: []Attempt{attempt}}, nil
}

// DeliverRaw posts bytes with headers as given, with the retries of Deliver. It is for
// wrong signatures and broken bodies.
func (s *Simulator) DeliverRaw(ctx context.Context, url string, raw []byte, header http.Header) (Delivery, error) {
	var d Delivery
	for {
		attempt, err := s.post(ctx, url, raw, header)
		if err != nil {
			return d, err
		}
		d.Attempts = append(d.Attempts, attempt)
		if attempt.Status != http.StatusTooManyRequests || len(d.Attempts) >= s.limits.Attempts {
			return d, nil
		}
		if !s.wait(ctx, min(attempt.RetryAfter, s.limits.MaxWait)) {
			return d, fmt.Errorf("deliver webhook: %w", errors.Join(ErrClosed, ctx.Err()))
		}
	}
}

func (s *Simulator) post(ctx context.Context, url string, raw []byte, header http.Header) (Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return Attempt{}, fmt.Errorf("deliver webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "axios/1.7.9")
	for name, values := range header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return Attempt{}, fmt.Errorf("deliver webhook: %w", err)
	}
	body, readErr := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err := errors.Join(readErr, resp.Body.Close()); err != nil {
		return Attempt{}, fmt.Errorf("deliver webhook: read answer: %w", err)
	}
	attempt := Attempt{At: s.now(), Status: resp.StatusCode, Body: string(body)}
	if resp.StatusCode == http.StatusTooManyRequests {
		attempt.RetryAfter = retryDelay(resp.Header.Get("Retry-After"), attempt.At, s.limits.MaxWait)
	}
	return attempt, nil
}

// AutoDeliver sends the named events (all when none is named) to url as they happen,
// each in its own goroutine, as the rule of SetWebhookRule has it: at least once is not
// promised, nor is order. An empty url switches it off.
func (s *Simulator) AutoDeliver(url string, events ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.hook = hook{url: url, events: slices.Clone(events)}
}

// emit hands an event to the automatic delivery; the caller holds the lock.
func (s *Simulator) emit(event string, p Payload) {
	h := s.world.hook
	if h.url == "" || s.closed() || (len(h.events) > 0 && !slices.Contains(h.events, event)) {
		return
	}
	for _, q := range s.desk.take(event, p.Raw()) {
		s.dispatch(h.url, q)
	}
}

// deliveryClient follows no redirects and uses no proxy: webhooks stay where they are sent.
func deliveryClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
