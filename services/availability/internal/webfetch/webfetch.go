// Package webfetch reads addresses that people typed in, without being led anywhere else: https on port 443 only, public
// IP addresses only (checked on the address that is dialled, after DNS), no redirects, no proxy, and caps on time and
// size. What it read is never shown to the person who gave the address.
package webfetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// DefaultTimeout bounds one read, from the look-up to the last byte.
	DefaultTimeout = 8 * time.Second
	// DefaultMaxBytes bounds a body after decompression.
	DefaultMaxBytes = 2 << 20
	maxHeaderBytes  = 64 << 10
	userAgent       = "Relance/1 (+https://relance.dev)"
)

// Errors of Get, for errors.Is. Anything else is the network's.
var (
	// ErrForbidden: the address may not be read: another scheme, port, host or a network that is not public.
	ErrForbidden = errors.New("the address may not be fetched")
	// ErrTooLarge: the body is larger than the cap.
	ErrTooLarge = errors.New("the answer is too large")
)

// Control judges an address before it is connected to, as net.Dialer.Control does.
type Control func(network, address string, conn syscall.RawConn) error

// Config shapes a Client. The zero Config is the strict one for addresses of strangers.
type Config struct {
	// Hosts, when not empty, are the only hosts read, with all that is below them.
	Hosts []string
	// Timeout and MaxBytes are caps; zero means the defaults.
	Timeout  time.Duration
	MaxBytes int64
	// Control replaces the check of dialled addresses, and Plain admits http and any port. Both are for the configured
	// base URLs of providers and for sandboxes; never for addresses of strangers.
	Control Control
	Plain   bool
	// Dial, when set, connects in place of the network, whatever host is asked for: a sandbox's world outside. Nothing is looked up
	// or judged by Control then.
	Dial func(ctx context.Context) (net.Conn, error)
	// Resolver and RootCAs replace the machine's.
	Resolver *net.Resolver
	RootCAs  *x509.CertPool
}

// Client is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
}

// Public is the Control that admits public unicast addresses on port 443 only, by the IANA registries.
func Public() Control { return ssrf.New(ssrf.WithPorts(443)).Safe }

// Anywhere is the Control that admits every address, for configured base URLs.
func Anywhere() Control { return func(string, string, syscall.RawConn) error { return nil } }

// New makes a Client.
func New(cfg Config) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Control == nil {
		cfg.Control = Public()
	}
	control := func(network, address string, conn syscall.RawConn) error {
		if err := cfg.Control(network, address, conn); err != nil {
			return fmt.Errorf("%w: %w", ErrForbidden, err)
		}
		return nil
	}
	dialer := &net.Dialer{Timeout: cfg.Timeout, Resolver: cfg.Resolver, Control: control}
	dial := dialer.DialContext
	if cfg.Dial != nil {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return cfg.Dial(ctx) }
	}
	return &Client{cfg: cfg, http: &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dial, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
			IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxHeaderBytes,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Answer is what was read. Redirects are answers too, and are not followed.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Header is the answer's header.
	Header http.Header
	// Body is the whole body.
	Body []byte
}

// Get reads an address. header may be nil.
func (c *Client) Get(ctx context.Context, address string, header http.Header) (Answer, error) {
	if err := c.admit(address); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: not a URL", ErrForbidden)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", userAgent)
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, plain(err)
	}
	defer func() { _ = res.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(res.Body, c.cfg.MaxBytes+1))
	if err != nil {
		return Answer{}, plain(err)
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, plain(err) // a body that ends at the deadline may have been cut by it
	}
	if int64(len(read)) > c.cfg.MaxBytes {
		return Answer{}, ErrTooLarge
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: read}, nil
}

func (c *Client) admit(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%w: not a URL", ErrForbidden)
	}
	if !c.cfg.Plain && (u.Scheme != "https" || (u.Port() != "" && u.Port() != "443")) {
		return fmt.Errorf("%w: https on port 443 only", ErrForbidden)
	}
	if u.User != nil || u.Hostname() == "" {
		return fmt.Errorf("%w: a host and no user name", ErrForbidden)
	}
	host := strings.ToLower(u.Hostname())
	known := len(c.cfg.Hosts) == 0 || slices.ContainsFunc(c.cfg.Hosts, func(domain string) bool {
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
	if !known {
		return fmt.Errorf("%w: not a host of this provider", ErrForbidden)
	}
	return nil
}

// plain drops the URL that net/http puts into its errors: a feed's address is its secret.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
