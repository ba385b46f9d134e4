package simulator

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultKind names what goes wrong.
type FaultKind string

// The faults. "Taken" means that the request was processed: a send is then accepted
// and in the ledger, whatever the client is told.
const (
	// None lets a request pass; a step of a script may need it.
	None FaultKind = "none"
	// Latency waits Delay, then processes. Not taken when the client leaves before.
	Latency FaultKind = "latency"
	// Status429 answers 429 with RetryAfter as given ("" = no header). Not taken.
	Status429 FaultKind = "status_429"
	// Status5xxClean answers Status (default 503). Not taken.
	Status5xxClean FaultKind = "status_5xx_clean"
	// Status5xxAfterAccept answers Status (default 500). Taken.
	Status5xxAfterAccept FaultKind = "status_5xx_after_accept"
	// AcceptThenReset cuts the connection with RST instead of answering. Taken.
	AcceptThenReset FaultKind = "accept_then_reset"
	// AcceptThenHang answers after Delay. Taken at once.
	AcceptThenHang FaultKind = "accept_then_hang"
	// LateAccept cuts the connection after Delay and processes the request then, even
	// if the client left before. Taken late.
	LateAccept FaultKind = "late_accept"
	// ResetBeforeRead cuts the connection before the request is looked at. Not taken.
	ResetBeforeRead FaultKind = "reset_before_read"
	// MalformedBody spoils the answer as Variant says. Taken, unless NotTaken.
	MalformedBody FaultKind = "malformed_body"
	// SlowBody sends the headers, then one byte per Delay (default 1 s). Taken, unless NotTaken.
	SlowBody FaultKind = "slow_body"
	// Redirect answers Status (default 307) to /_sim/followed, where a client that
	// follows is seen in the ledger. Not taken.
	Redirect FaultKind = "redirect"
	// Unauthorized answers 401 with an invalid-token body. Not taken.
	Unauthorized FaultKind = "unauthorized"
	// EmptyTwoHundred answers 200 without a body. Taken, unless NotTaken.
	EmptyTwoHundred FaultKind = "empty_200"
	// LaggingList accepts normally, but the message shows in reads only Delay later,
	// by the simulator's clock. A contact that is created shows in searches only then.
	LaggingList FaultKind = "lagging_list"
	// BodyRewritten accepts normally, and stores the text with Body appended, as the
	// provider does with an opt-out line.
	BodyRewritten FaultKind = "body_rewritten"
	// Refusal answers Status (default 400) with Code and Body as canonicalCode and
	// message. Not taken.
	Refusal FaultKind = "refusal"
	// RefusalAfterAccept answers Status (default 422) with Code and Body, although the request was processed, as
	// POST /contacts/ is known to do. Taken.
	RefusalAfterAccept FaultKind = "refusal_after_accept"
)

// Variants of MalformedBody.
const (
	CutJSON       = "cut_json"
	WrongTypes    = "wrong_types"
	HTML          = "html"
	Huge          = "huge" // 10 MiB of JSON
	InvalidUTF8   = "invalid_utf8"
	GzipBomb      = "gzip_bomb" // 64 MiB of zeros when unpacked
	NoMessageID   = "no_message_id"
	CursorLoop    = "cursor_loop"    // export: nextCursor leads to the same page
	DuplicateRows = "duplicate_rows" // export: every row twice
	WrongTotal    = "wrong_total"    // export: total says more than there is
)

// Variants of LaggingList, when the two lists disagree; without one, all reads lag.
const (
	ExportList       = "export"
	ConversationList = "conversation"
)

// Match says which requests a fault is for. Empty fields match all.
type Match struct {
	Method   string `json:"method,omitempty"`
	Path     string `json:"path,omitempty"` // exact, or a prefix when it ends in "*"
	Location string `json:"location,omitempty"`
	Contact  string `json:"contact,omitempty"`
	Channel  string `json:"channel,omitempty"`
	// Calendar matches reads of a calendar's events.
	Calendar string `json:"calendar,omitempty"`
}

// SendsTo matches the sends to a contact; "" means any.
func SendsTo(contact string) Match {
	return Match{Method: http.MethodPost, Path: sendPath, Contact: contact}
}

// Fault is a rule: for matching requests, Kind happens. Of several rules that match,
// the one added first plays.
type Fault struct {
	Match
	Kind FaultKind `json:"kind"`
	// Skip lets the first n matching requests pass. Times limits how often the fault
	// plays; 0 is no limit. The nth request alone: Skip n-1, Times 1.
	Skip  int `json:"skip,omitempty"`
	Times int `json:"times,omitempty"`
	// Probability is the share of matching requests that fail, drawn from Config.Seed;
	// 0 means all.
	Probability float64       `json:"probability,omitempty"`
	Delay       time.Duration `json:"delay,omitempty"`
	// DelayMax, when greater than Delay, makes each delay a draw between the two.
	DelayMax time.Duration `json:"delayMax,omitempty"`
	Status   int           `json:"status,omitempty"`
	// RetryAfter is the header's raw value: seconds, an HTTP date, garbage, negative.
	RetryAfter string `json:"retryAfter,omitempty"`
	// NoRateHeaders leaves the X-RateLimit headers out of a 429.
	NoRateHeaders bool `json:"noRateHeaders,omitempty"`
	// SearchOverload gives a 429 the body of an exhausted search context.
	SearchOverload bool   `json:"searchOverload,omitempty"`
	Variant        string `json:"variant,omitempty"`
	NotTaken       bool   `json:"notTaken,omitempty"`
	Code           string `json:"code,omitempty"`
	Body           string `json:"body,omitempty"`
	// DuplicateOf is the contact that a Refusal names in meta.contactId.
	DuplicateOf string `json:"duplicateOf,omitempty"`

	freed <-chan struct{} // closed when the requests it holds may go on
}

// RetryAfterVariants are the values of Retry-After worth testing at a moment: seconds,
// a date, absent, zero, negative, huge, a fraction, garbage.
func RetryAfterVariants(now time.Time) []string {
	return []string{"2", now.Add(3 * time.Second).UTC().Format(http.TimeFormat), "", "0", "-5", "99999999999", "1.5", "soon"}
}

// FaultHandle is a rule or script in force.
type FaultHandle struct {
	id   int
	book *faultBook
}

// ID numbers the rule, for the admin API.
func (h *FaultHandle) ID() int { return h.id }

// Remove ends the rule. Requests it already caught are not freed.
func (h *FaultHandle) Remove() { h.book.remove(h.id) }

// Free ends the rule, and the delays of the requests it caught are over at once.
func (h *FaultHandle) Free() { h.book.free(h.id) }

// Hits is how often the rule played.
func (h *FaultHandle) Hits() int { return h.book.hits(h.id) }

// AddFault puts a rule in force.
func (s *Simulator) AddFault(f Fault) *FaultHandle {
	return s.faults.add(&rule{match: f.Match, steps: []Fault{f}})
}

// AddScript plays the steps one by one: the first matching request gets the first, and
// so on; after the last, requests pass. The Match, Skip, Times and Probability of a
// step are not looked at.
func (s *Simulator) AddScript(match Match, steps ...Fault) *FaultHandle {
	return s.faults.add(&rule{match: match, steps: slices.Clone(steps), script: true})
}

// ClearFaults ends every rule and script.
func (s *Simulator) ClearFaults() { s.faults.clear() }

type rule struct {
	id     int
	match  Match
	steps  []Fault
	script bool
	seen   int
	played int
	freed  chan struct{}
}

// moment is when a fault is looked for: a reset that needs nothing of the body comes
// before the body is read.
type moment int

const (
	beforeBody moment = iota
	afterBody
)

type faultBook struct {
	mu     sync.Mutex
	rules  []*rule
	nextID int
	rng    *rand.Rand
	counts map[int]*rule
}

func newFaultBook(seed uint64) *faultBook {
	return &faultBook{rng: rand.New(rand.NewPCG(seed, seed)), counts: map[int]*rule{}}
}

func (b *faultBook) add(r *rule) *FaultHandle {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextID++
	r.id, r.freed = b.nextID, make(chan struct{})
	b.rules = append(b.rules, r)
	b.counts[r.id] = r
	return &FaultHandle{id: r.id, book: b}
}

func (b *faultBook) remove(id int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.rules)
	b.rules = slices.DeleteFunc(b.rules, func(r *rule) bool { return r.id == id })
	return len(b.rules) < before
}

func (b *faultBook) free(id int) {
	if b.remove(id) {
		close(b.counts[id].freed) // once: the second time there is no rule to remove
	}
}

func (b *faultBook) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = nil
}

func (b *faultBook) hits(id int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[id].played
}

// pick chooses the fault of a call, or nil.
func (b *faultBook) pick(c *call, when moment) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.rules {
		if (when == beforeBody) != r.needsNoBody() || !r.match.matches(c) {
			continue
		}
		if f := b.draw(r); f != nil {
			return f
		}
	}
	return nil
}

// draw counts the request and says whether the rule plays.
func (b *faultBook) draw(r *rule) *Fault {
	r.seen++
	if r.script {
		if r.seen > len(r.steps) {
			return nil
		}
		step := r.steps[r.seen-1]
		if step.Kind == None || step.Kind == "" {
			return nil
		}
		r.played++
		step.freed = r.freed
		return &step
	}
	f := r.steps[0]
	if f.Kind == None || r.seen <= f.Skip || (f.Times > 0 && r.played >= f.Times) {
		return nil
	}
	if f.Probability > 0 && b.rng.Float64() >= f.Probability {
		return nil
	}
	r.played++
	f.freed = r.freed
	if f.DelayMax > f.Delay {
		f.Delay += time.Duration(b.rng.Int64N(int64(f.DelayMax - f.Delay + 1)))
	}
	return &f
}

func (r *rule) needsNoBody() bool {
	return !r.script && r.steps[0].Kind == ResetBeforeRead && r.match.Contact == "" && r.match.Channel == ""
}

func (m Match) matches(c *call) bool {
	return (m.Method == "" || m.Method == c.method) &&
		(m.Path == "" || matchPath(m.Path, c.path) || matchPath(m.Path, strings.TrimSuffix(c.path, "/"))) &&
		(m.Location == "" || m.Location == c.location) &&
		(m.Contact == "" || m.Contact == c.contact) &&
		(m.Channel == "" || strings.EqualFold(m.Channel, c.channel)) &&
		(m.Calendar == "" || m.Calendar == c.query.Get("calendarId"))
}

// list describes the rules in force, for the admin API.
func (b *faultBook) list() []object {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]object, 0, len(b.rules))
	for _, r := range b.rules {
		out = append(out, object{"id": strconv.Itoa(r.id), "script": r.script, "match": r.match, "steps": r.steps, "hits": r.played})
	}
	return out
}
