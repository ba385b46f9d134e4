package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxBody is the largest request body read; more is cut off and refused.
const maxBody = 5 << 20

// Handler serves the provider's API and, under /_sim/, the admin API.
func (s *Simulator) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Start listens on a free loopback port and serves until ctx ends. It returns the base
// URL, without a final slash.
func (s *Simulator) Start(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	s.work.Go(func() {
		if err := s.Serve(ctx, listener); err != nil {
			s.log.ErrorContext(ctx, "simulator stopped", "error", err)
		}
	})
	return "http://" + listener.Addr().String(), nil
}

// Serve serves on a listener until ctx ends or Close is called; connections still open
// are then cut. It returns nil after such an end.
func (s *Simulator) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	defer close(ended)
	s.work.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.stopping:
		case <-ended:
		}
		_ = server.Close() // nothing to save: the outside world just vanishes
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.admin.ServeHTTP(w, r)
		return
	}
	c := s.newCall(r)
	if c.mail == "" {
		c.quota = s.limiter.take(c.location, c.at)
	}
	if fault := s.faults.pick(c, beforeBody); fault != nil {
		c.fault = fault
		s.receive(c)
		s.play(w, r, c)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	c.body = body
	c.inspect()
	s.receive(c)
	if err != nil || len(body) > maxBody {
		s.finish(c, refuse(http.StatusRequestEntityTooLarge, "request entity too large")).write(w)
		return
	}
	c.fault = s.faults.pick(c, afterBody)
	s.play(w, r, c)
}

// receive enters a request in the ledger and shows it to the observer.
func (s *Simulator) receive(c *call) {
	e := c.entry()
	c.seq = s.ledger.receive(e)
	if s.observe != nil {
		e.Seq = c.seq
		s.observe(e)
	}
}

// handle does what the provider does without any fault.
func (s *Simulator) handle(c *call) answer {
	if c.quota.limited {
		return refuse(http.StatusTooManyRequests, "Too Many Requests")
	}
	if c.handler == nil {
		return refuse(http.StatusNotFound, "Cannot "+c.method+" "+c.path)
	}
	if c.open {
		return c.handler(c)
	}
	if bad := checkVersion(c.header.Get("Version")); bad != nil {
		return *bad
	}
	if bad := s.authorize(c); bad != nil {
		return *bad
	}
	return c.handler(c)
}

// finish completes the ledger entry and adds the headers every answer carries. The
// answer must not be written before.
func (s *Simulator) finish(c *call, a answer) answer {
	headers := map[string]string{} // the email senders document none that all their accounts get
	if c.mail == "" {
		headers = s.limiter.headers(c.quota)
	}
	for name, value := range a.headers {
		headers[name] = value
	}
	headers["Date"] = s.now().UTC().Format(http.TimeFormat)
	a.headers = headers
	s.record(c, a.status, a.refusal)
	return a
}

// record completes the ledger entry of a call; status 0 means that none was sent.
func (s *Simulator) record(c *call, status int, refused string) {
	s.ledger.complete(c.seq, func(e *Entry) {
		e.Status, e.Accepted, e.MessageID, e.Refusal = status, c.accepted, c.messageID, refused
		e.Contact, e.Channel = c.contact, c.channel
		if c.fault != nil {
			e.Fault = string(c.fault.Kind)
		}
	})
}

// versions are the API versions alive today; each is accepted everywhere.
var versions = [...]string{"2021-04-15", "2021-07-28", "2023-02-21", "v3", "legacy"}

// checkVersion refuses with 401, which looks like an auth failure and is not one.
func checkVersion(version string) *answer {
	if version == "" {
		const message = "version header was not found."
		body := encode(object{"statusCode": http.StatusUnauthorized, "message": message})
		return &answer{status: http.StatusUnauthorized, refusal: message, body: body}
	}
	if !slices.Contains(versions[:], version) {
		bad := refuse(http.StatusUnauthorized, "version header is invalid")
		return &bad
	}
	return nil
}

// authorize checks the token and that the location named by the request is its own.
func (s *Simulator) authorize(c *call) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := bearer(c.header)
	g, ok := s.world.tokens[token]
	if !ok || g.expired(c.at) {
		message := "Invalid JWT"
		switch {
		case strings.HasPrefix(token, "pit-"):
			message = "Invalid Private Integration token"
		case ok:
			message = "Invalid token: access token is invalid"
		}
		bad := refuse(http.StatusUnauthorized, message)
		return &bad
	}
	if g.company != "" {
		bad := refuse(http.StatusUnauthorized, authClass)
		return &bad
	}
	if g.revokedScope {
		bad := refuse(http.StatusUnauthorized, "The token is not authorized for this scope.")
		return &bad
	}
	if named := c.query.Get("locationId"); named != "" && named != g.location {
		bad := refuseForeign()
		return &bad
	}
	if l := s.world.locations[g.location]; l == nil || l.Inactive {
		bad := refuse(http.StatusBadRequest, "Location is not active")
		return &bad
	}
	return nil
}

func refuseForeign() answer {
	return refuse(http.StatusForbidden, "The token does not have access to this location.")
}
