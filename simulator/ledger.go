package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Entry is one request the simulator received. Tokens are never kept, nor the bodies
// of /oauth/ calls, which hold secrets.
type Entry struct {
	Seq      int       `json:"seq"`  // from 1, in order of receipt
	Time     time.Time `json:"time"` // simulator clock, at receipt
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Query    string    `json:"query,omitempty"`
	Location string    `json:"location,omitempty"` // from the token; "" when it opens none
	Contact  string    `json:"contact,omitempty"`
	Channel  string    `json:"channel,omitempty"`
	BodyHash string    `json:"bodyHash,omitempty"` // SHA-256, hex
	Body     string    `json:"body,omitempty"`
	// HeaderNames are the names of the request's headers, sorted.
	HeaderNames []string `json:"headerNames,omitempty"`
	// Status is what was answered; 0 when no status left the simulator (a reset) or
	// the answer is still to come.
	Status int `json:"status"`
	// Accepted says that the request was a send whose message was taken, a booking or a contact
	// that was made, whatever the client was told. MessageID is the id it made.
	Accepted  bool   `json:"accepted"`
	MessageID string `json:"messageId,omitempty"`
	// Refusal is the canonicalCode, else the message, of an answer of 400 or above.
	Refusal string `json:"refusal,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

// Filter picks ledger entries; an empty field matches all.
type Filter struct {
	Location string
	Contact  string
	Channel  string
	Method   string
	Path     string // exact, or a prefix when it ends in "*"
	Since    time.Time
}

func (f Filter) matches(e Entry) bool {
	return (f.Location == "" || f.Location == e.Location) &&
		(f.Contact == "" || f.Contact == e.Contact) &&
		(f.Channel == "" || strings.EqualFold(f.Channel, e.Channel)) &&
		(f.Method == "" || f.Method == e.Method) &&
		matchPath(f.Path, e.Path) &&
		!e.Time.Before(f.Since)
}

// matchPath compares a path with an exact pattern, or a prefix that ends in "*".
func matchPath(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == "" || pattern == path
}

const sendPath = "/conversations/messages"

// Ledger returns a copy of every entry so far, in order of receipt.
func (s *Simulator) Ledger() []Entry { return s.ledger.pick(func(Entry) bool { return true }) }

// Requests returns the entries that match.
func (s *Simulator) Requests(f Filter) []Entry { return s.ledger.pick(f.matches) }

// Sends returns the matching POSTs of the send endpoints, GoHighLevel's and the email senders', accepted or not.
func (s *Simulator) Sends(f Filter) []Entry {
	return s.ledger.pick(func(e Entry) bool { return isSend(e) && f.matches(e) })
}

// Accepted returns the matching sends whose message was taken.
func (s *Simulator) Accepted(f Filter) []Entry {
	return s.ledger.pick(func(e Entry) bool { return isSend(e) && e.Accepted && f.matches(e) })
}

// Bookings returns the matching POSTs that ask for an appointment, made or not: Accepted tells.
func (s *Simulator) Bookings(f Filter) []Entry {
	return s.ledger.pick(func(e Entry) bool { return e.Method == http.MethodPost && e.Path == bookPath && f.matches(e) })
}

func isSend(e Entry) bool {
	path := strings.TrimSuffix(e.Path, "/")
	return e.Method == http.MethodPost && (path == sendPath || path == "/api/v2/emails/reply" || strings.HasSuffix(path, "/reply-email-thread") ||
		(strings.HasPrefix(path, "/api/replies/") && strings.HasSuffix(path, "/reply")))
}

// ledger is append-only: an entry is added at receipt and completed once, before the
// answer leaves, so whoever has seen an answer finds it here.
type ledger struct {
	mu      sync.Mutex
	entries []Entry
	file    *os.File
	failed  error
}

func openLedger(path string) *ledger {
	l := &ledger{}
	if path == "" {
		return l
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.failed = fmt.Errorf("open ledger file: %w", err)
		return l
	}
	l.file = file
	return l
}

func (l *ledger) receive(e Entry) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Seq = len(l.entries) + 1
	l.entries = append(l.entries, e)
	l.write("received", e)
	return e.Seq
}

// complete records the outcome of an entry.
func (l *ledger) complete(seq int, change func(*Entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &l.entries[seq-1]
	change(e)
	l.write("answered", *e)
}

// write appends one line and syncs it; the first failure is kept and reported.
func (l *ledger) write(event string, e Entry) {
	if l.file == nil {
		return
	}
	line, err := json.Marshal(struct {
		Event string `json:"event"`
		Entry
	}{event, e})
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil && l.failed == nil {
		l.failed = fmt.Errorf("write ledger file: %w", err)
	}
}

func (l *ledger) pick(keep func(Entry) bool) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for _, e := range l.entries {
		if keep(e) {
			e.HeaderNames = slices.Clone(e.HeaderNames)
			out = append(out, e)
		}
	}
	return out
}

func (l *ledger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	if err := file.Close(); err != nil {
		return fmt.Errorf("close ledger file: %w", err)
	}
	return nil
}

func hashBody(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
