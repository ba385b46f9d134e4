package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

const (
	acme      = "ACMElocation00000001"
	acmeToken = "pit-acme"
	other     = "OTHERlocation0000001"
	lead      = "LEADcontact000000001"
	calendar  = "CALendar000000000001"
)

// clock is a time the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// rig is a running simulator with one location, one lead and one calendar.
type rig struct {
	*simulator.Simulator
	t     *testing.T
	base  string
	clock *clock
}

func newRig(t *testing.T, cfg simulator.Config) *rig {
	t.Helper()
	clk := &clock{at: time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)} // a Monday
	cfg.Now = clk.Now
	s := simulator.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	base, err := s.Start(ctx)
	must(t, err)
	t.Cleanup(func() {
		cancel()
		must(t, s.Close())
	})
	must(t, s.AddLocation(simulator.Location{ID: acme, Name: "Acme", Timezone: "America/New_York", Token: acmeToken, RefreshToken: "refresh-acme"}))
	must(t, s.AddLocation(simulator.Location{ID: other, Name: "Other", Token: "pit-other"}))
	_, err = s.AddContact(acme, simulator.Contact{ID: lead, FirstName: "Ada", LastName: "Byron", Email: "Ada@Example.com", Phone: "+1 202 555-0123", Timezone: "America/New_York"})
	must(t, err)
	must(t, s.AddCalendar(acme, simulator.Calendar{ID: calendar, Name: "Demo"}))
	return &rig{Simulator: s, t: t, base: base, clock: clk}
}

// response is an answer, read and decoded.
type response struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

func (r response) text(key string) string {
	value, _ := r.body[key].(string)
	return value
}

// request builds an authorised request; body may be nil, a string or something to marshal.
func (r *rig) request(method, path string, body any) *http.Request {
	r.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewReader([]byte(b))
	default:
		raw, err := json.Marshal(b)
		must(r.t, err)
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, reader)
	must(r.t, err)
	req.Header.Set("Authorization", "Bearer "+acmeToken)
	req.Header.Set("Version", "2021-04-15")
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (r *rig) try(req *http.Request) (response, error) {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	raw, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	out := response{status: resp.StatusCode, header: resp.Header, raw: raw}
	if json.Unmarshal(raw, &out.body) != nil {
		out.body = nil
	}
	return out, err
}

func (r *rig) do(req *http.Request) response {
	r.t.Helper()
	out, err := r.try(req)
	must(r.t, err)
	return out
}

func (r *rig) get(path string) response {
	r.t.Helper()
	return r.do(r.request(http.MethodGet, path, nil))
}

func (r *rig) post(path string, body any) response {
	r.t.Helper()
	return r.do(r.request(http.MethodPost, path, body))
}

func (r *rig) sms(contact, text string) *http.Request {
	return r.request(http.MethodPost, "/conversations/messages", map[string]any{"type": "SMS", "contactId": contact, "message": text})
}

func (r *rig) email(contact, html string) *http.Request {
	return r.request(http.MethodPost, "/conversations/messages", map[string]any{"type": "Email", "contactId": contact, "subject": "Hi", "html": html})
}

// change replaces the lead's state.
func (r *rig) change(edit func(*simulator.Contact)) {
	r.t.Helper()
	c, err := r.Contact(acme, lead)
	must(r.t, err)
	edit(&c)
	_, err = r.AddContact(acme, c)
	must(r.t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
