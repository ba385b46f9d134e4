// Package exchange makes one HTTP exchange with a provider by the rules of the send protocol (docs/send-protocol.md, §3.6):
// one call is one request, nothing is retried, no redirect is followed, no idempotency header is sent, the answer is
// capped, and a write that has begun is not cut off by its caller.
package exchange

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/sync/internal/crashpoint"
)

// MaxAnswer is how much of a write's answer is read, MaxList of a read's: 500 messages with the longest texts that go by
// SMS, however they are escaped. A longer answer is cut and will not parse.
const (
	MaxAnswer = 1 << 20
	MaxList   = 8 << 20
)

// Client exchanges. It is safe for concurrent use and holds no credentials.
type Client struct {
	http    *http.Client
	timeout time.Duration
	clock   clock.Clock
}

// Control judges an address before it is connected to, as net.Dialer.Control does. A refused call has not been sent.
type Control func(network, address string, conn syscall.RawConn) error

// Public is the Control that admits public unicast addresses on port 443 only: for hosts that a caller named, whatever they
// resolve to.
func Public() Control { return ssrf.New(ssrf.WithPorts(443)).Safe }

// New makes a client whose calls last at most timeout (R). Its connections are its own; Close ends the idle ones.
func New(timeout time.Duration) *Client { return NewGuarded(timeout, nil) }

// NewGuarded is New with a judge of addresses; nil admits all.
func NewGuarded(timeout time.Duration, control Control) *Client {
	return &Client{
		timeout: timeout, clock: clock.System(),
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                  nil,
				DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Control: control}).DialContext,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    5 * time.Second,
				MaxIdleConnsPerHost:    128,
				IdleConnTimeout:        20 * time.Second,
				MaxResponseHeaderBytes: 64 << 10,
				DisableCompression:     true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CheckBase refuses what is not http(s)://host, and gives it without a final slash.
func CheckBase(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("base URL must be http(s)://host")
	}
	return strings.TrimSuffix(base, "/"), nil
}

// Request is what is asked.
type Request struct {
	// Method and URL are those of HTTP. The URL may hold a key: it appears in no error.
	Method, URL string
	// Header are all headers but Accept, User-Agent and a body's Content-Type.
	Header map[string]string
	// Body is JSON, unless Header says otherwise; nil for none.
	Body []byte
}

// Answer is everything that is known after a call.
type Answer struct {
	// NotSent is true when no request left: dial, DNS or TLS failure, headers never written.
	NotSent bool
	// Failed is true when the exchange broke: timeout, reset, truncated body.
	Failed bool
	// Wrote is true when the request's headers were written.
	Wrote bool
	// Status is the HTTP status, 0 without an answer.
	Status int
	Header http.Header
	// Body is the answer, cut at MaxAnswer or MaxList.
	Body []byte
	// Latency is how long the exchange took.
	Latency time.Duration
}

// Write makes one call that changes something. The caller's cancellation does not reach it; only the timeout ends it.
// http.Transport repeats a POST by itself only when not one byte of it went out on a kept connection that had died, so one
// Write is at most one POST.
func (c *Client) Write(ctx context.Context, r Request) Answer {
	return c.do(context.WithoutCancel(ctx), r, MaxAnswer)
}

// Read makes one call that changes nothing; the caller may cancel it.
func (c *Client) Read(ctx context.Context, r Request) Answer { return c.do(ctx, r, MaxList) }

func (c *Client) do(ctx context.Context, r Request, most int64) Answer {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var wrote atomic.Bool
	start := c.clock.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { wrote.Store(true) },
		WroteHeaders:     func() { wrote.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) {
			if r.Method == http.MethodPost {
				crashpoint.At(crashpoint.C7)
			}
		},
	})
	req, err := r.build(ctx)
	if err != nil {
		return Answer{NotSent: true}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{NotSent: !wrote.Load(), Failed: true, Wrote: wrote.Load(), Latency: c.clock.Now().Sub(start)}
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := readAll(resp.Body, most)
	return Answer{
		Failed: err != nil, Wrote: true, Status: resp.StatusCode, Header: resp.Header, Body: raw, Latency: c.clock.Now().Sub(start),
	}
}

// mostKept bounds the buffers that are kept for the next answer.
const mostKept = 1 << 20

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readAll reads an answer, cut at most. It grows in a buffer that is used again: a list grown by itself leaves several times its
// length to be collected.
func readAll(body io.Reader, most int64) ([]byte, error) {
	into, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		if into.Reset(); into.Cap() <= mostKept {
			buffers.Put(into)
		}
	}()
	_, err := into.ReadFrom(io.LimitReader(body, most))
	return bytes.Clone(into.Bytes()), err
}

func (r Request) build(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if r.Body != nil {
		body = crashpoint.Reader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, fmt.Errorf("build request: bad method or URL") // the cause would quote the URL
	}
	req.ContentLength = int64(len(r.Body))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "relance")
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	return req, nil
}
