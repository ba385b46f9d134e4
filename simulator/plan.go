package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"
)

// Plan is a random mix of faults for a long run: every fault of the catalogue plays with the
// same probability, drawn from Config.Seed.
type Plan struct {
	// Rate is the share of matching requests that each fault hits, 0 to 1; at 0 nothing goes wrong.
	Rate float64
	// Latency bounds the delay of slow answers (F1), Late that of a request processed after
	// its client gave up (F10), Lag how long a taken message stays out of the lists (F11).
	Latency, Late, Lag time.Duration
}

// PlannedFault is a fault with its number in docs/reliability.md.
type PlannedFault struct {
	// ID is "F1", "F2", ...; several faults may share one.
	ID string
	Fault
}

// Faults lists the plan's rules, the rarest kinds of harm first so that none hides another.
func (p Plan) Faults() []PlannedFault {
	if p.Rate <= 0 {
		return nil // a fault without a probability would play always
	}
	sends, export := SendsTo(""), Match{Method: http.MethodGet, Path: sendPath + "/export"}
	conversations := Match{Method: http.MethodGet, Path: "/conversations/*"}
	out := []PlannedFault{
		{"F6", Fault{Match: Match{Method: http.MethodPost, Path: sendPath}, Kind: ResetBeforeRead}},
		{"F5", Fault{Match: sends, Kind: AcceptThenReset}},
		{"F10", Fault{Match: sends, Kind: LateAccept, DelayMax: p.Late}},
		{"F4", Fault{Match: sends, Kind: Status5xxAfterAccept}},
		{"F3", Fault{Match: sends, Kind: Status5xxClean}},
		{"F11", Fault{Match: sends, Kind: LaggingList, DelayMax: p.Lag}},
		{"F11", Fault{Match: sends, Kind: LaggingList, DelayMax: p.Lag, Variant: ExportList}},
		{"F11", Fault{Match: sends, Kind: LaggingList, DelayMax: p.Lag, Variant: ConversationList}},
		{"F2", Fault{Match: sends, Kind: Status429, RetryAfter: "1"}},
		{"F1", Fault{Match: sends, Kind: Latency, DelayMax: p.Latency}},
		{"F13", Fault{Match: sends, Kind: MalformedBody, Variant: CutJSON}},
		{"F13", Fault{Match: sends, Kind: MalformedBody, Variant: HTML}},
		{"F13", Fault{Match: sends, Kind: MalformedBody, Variant: NoMessageID}},
		{"F13", Fault{Match: sends, Kind: EmptyTwoHundred, NotTaken: true}},
		{"F20", Fault{Match: sends, Kind: Redirect}},
		{"F21", Fault{Match: sends, Kind: BodyRewritten, Body: "\nReply STOP to opt out."}},
		{"F12", Fault{Match: export, Kind: MalformedBody, Variant: CutJSON}},
		{"F12", Fault{Match: export, Kind: MalformedBody, Variant: CursorLoop}},
		{"F12", Fault{Match: export, Kind: MalformedBody, Variant: DuplicateRows}},
		{"F12", Fault{Match: conversations, Kind: Status5xxClean}},
	}
	for i := range out {
		out[i].Probability = p.Rate
	}
	return out
}

// AddPlan puts a plan in force. The handles, by number, count how often each fault played.
func (s *Simulator) AddPlan(p Plan) map[string][]*FaultHandle {
	handles := map[string][]*FaultHandle{}
	for _, f := range p.Faults() {
		handles[f.ID] = append(handles[f.ID], s.AddFault(f.Fault))
	}
	return handles
}

// IsSend reports whether the request was a POST of the send endpoint.
func (e Entry) IsSend() bool { return isSend(e) }

// Text is what a send said: its message, else its HTML. It is empty for other requests.
func (e Entry) Text() string {
	var body struct{ Message, HTML string }
	if !isSend(e) || json.Unmarshal([]byte(e.Body), &body) != nil {
		return ""
	}
	return cmp.Or(body.Message, body.HTML)
}

// SendsBy groups the sends received so far, in order of receipt, by what key makes of each
// one's text. It joins the ledger to the intents of a system under test without any help of
// that system, whose ids the provider never sees.
func (s *Simulator) SendsBy(key func(text string) string) map[string][]Entry {
	out := map[string][]Entry{}
	for _, e := range s.Sends(Filter{}) {
		k := key(e.Text())
		out[k] = append(out[k], e)
	}
	return out
}
