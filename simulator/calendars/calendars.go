// Package calendars simulates, on loopback, the calendars of the outside world that are read without GoHighLevel's API:
// Calendly (official API and booking pages), HubSpot (official API and booking pages), GHL booking pages, and iCalendar
// feeds. Shapes, limits and refusals are those of the providers' documents. It plays faults and counts every call.
package calendars

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// Token is what the official APIs take.
const Token = "calendar-token-of-the-simulator"

// Fault replaces the answers to calls, until it is cleared or Times are used up.
type Fault struct {
	// Status, when not 0, is answered with Body.
	Status int
	Body   string
	// Header goes with it.
	Header map[string]string
	// Stall answers nothing until the caller gives up. Cut ends the connection in the middle of a body.
	Stall, Cut bool
	// Drip answers 200 and then blanks, one at a time, until the caller gives up: a body that never ends.
	Drip bool
	// Taken lets the call be processed before the fault meets its answer. Path narrows the fault to one path.
	Taken bool
	Path  string
	// Times is how many calls meet the fault; 0 means all.
	Times int
}

// World is what the calendars hold. It is safe for concurrent use.
type World struct {
	mu     sync.Mutex
	now    func() time.Time
	free   []time.Time
	length time.Duration
	window time.Duration
	feed   string
	fault  *Fault
	calls  []string
	gone   bool
	zone   string
	server *httptest.Server
	serve  http.Handler
	booked []*Booking
	page   int
	limit  int
}

// New serves a world over https on loopback until Close. now is the providers' clock.
func New(now func() time.Time) *World {
	w := &World{now: now, length: 30 * time.Minute, window: 31 * 24 * time.Hour}
	mux := http.NewServeMux()
	w.routeCalendly(mux)
	w.routeHubSpot(mux)
	w.routePages(mux)
	w.serve = w.faulty(mux)
	w.server = httptest.NewTLSServer(w.serve)
	return w
}

// Close stops serving.
func (w *World) Close() { w.server.Close() }

// Start serves the same world over plain http on a free loopback port until ctx ends, and gives the base URL without a final
// slash: for programs that would not trust the certificate of Server.
func (w *World) Start(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: w.server.Config.Handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // it ends with Close
	return "http://" + listener.Addr().String(), nil
}

// FeedHost is a host name that the certificate of Server is good for.
const FeedHost = "example.com"

// Dial connects to Server.
func (w *World) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", w.server.Listener.Addr().String())
}

// Roots trusts the certificate of Server.
func (w *World) Roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(w.server.Certificate())
	return roots
}

// Server is the listening server, for its address and certificate.
func (w *World) Server() *httptest.Server { return w.server }

// Handler serves the same world, for a server without TLS.
func (w *World) Handler() http.Handler { return w.serve }

// Set changes the world.
func (w *World) Set(change func(*Plan)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := Plan{Free: w.free, Length: w.length, Window: w.window, Feed: w.feed, Fault: w.fault, Gone: w.gone, Zone: w.zone, Page: w.page, Limit: w.limit}
	change(&p)
	w.free, w.length, w.window, w.feed, w.fault, w.gone, w.zone = p.Free, p.Length, p.Window, p.Feed, p.Fault, p.Gone, p.Zone
	w.page, w.limit = p.Page, p.Limit
}

// Plan is what can be changed of a World.
type Plan struct {
	// Free are the free starts of every calendar; Length is how long its meetings are.
	Free   []time.Time
	Length time.Duration
	// Window is the longest range that Calendly's official availability takes.
	Window time.Duration
	// Feed is the iCalendar feed.
	Feed string
	// Fault meets the next calls; nil for none.
	Fault *Fault
	// Gone makes every calendar unknown at its provider.
	Gone bool
	// Page is the most that Calendly puts on a page of what was scheduled, whatever was asked for; 0 for its own 100.
	Page int
	// Limit is the number of calls a minute that Calendly says it allows; 0 says nothing. None is refused.
	Limit int
	// Zone, when set, is the zone that times are told in, whatever zone was asked for. One that does not exist is named all
	// the same where a name is told, with times in UTC.
	Zone string
}

// Calls are the paths asked for, in order.
func (w *World) Calls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.calls...)
}

func (w *World) plan() Plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Plan{Free: w.free, Length: w.length, Window: w.window, Feed: w.feed, Gone: w.gone, Zone: w.zone, Page: w.page, Limit: w.limit}
}

// between gives the free starts in [from, to) that are not in the past.
func (w *World) between(from, to time.Time) []time.Time {
	var out []time.Time
	now := w.now()
	for _, start := range w.plan().Free {
		if !start.Before(from) && start.Before(to) && start.After(now) {
			out = append(out, start)
		}
	}
	return out
}

func (w *World) meet(path string) *Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, path)
	fault := w.fault
	if fault == nil || (fault.Path != "" && fault.Path != path) {
		return nil
	}
	if fault.Times > 0 {
		left := *fault
		if left.Times--; left.Times == 0 {
			w.fault = nil
		} else {
			w.fault = &left
		}
	}
	return fault
}

func (w *World) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fault := w.meet(r.URL.Path)
		if fault != nil && fault.Taken {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		switch {
		case fault == nil:
			next.ServeHTTP(rw, r)
		case fault.Stall:
			<-r.Context().Done()
		case fault.Drip:
			drip(rw, r)
		case fault.Cut:
			rw.Header().Set("Content-Length", "1000")
			_, _ = rw.Write([]byte("{"))
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		default:
			for name, value := range fault.Header {
				rw.Header().Set(name, value)
			}
			rw.WriteHeader(fault.Status)
			_, _ = rw.Write([]byte(fault.Body))
		}
	})
}

// drip writes blanks, which every format takes before its first word.
func drip(rw http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		_, _ = rw.Write([]byte(" "))
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// told is the zone that times are told in: the asked one, unless the plan has another.
func (w *World) told(asked *time.Location) *time.Location {
	name := w.plan().Zone
	if name == "" {
		return asked
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

type object = map[string]any

func answer(rw http.ResponseWriter, status int, body any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(body)
}
