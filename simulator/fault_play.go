package simulator

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// play answers a call, through its fault when it has one.
func (s *Simulator) play(w http.ResponseWriter, r *http.Request, c *call) {
	if c.fault == nil {
		s.finish(c, s.handle(c)).write(w)
		return
	}
	s.log.InfoContext(r.Context(), "fault played", "fault", string(c.fault.Kind), "path", c.path)
	switch c.fault.Kind {
	case Latency:
		if !s.hold(r.Context(), c.fault) {
			s.record(c, 0, "client left")
			return
		}
		s.finish(c, s.handle(c)).write(w)
	case ResetBeforeRead:
		s.record(c, 0, "")
		reset(w)
	case AcceptThenReset:
		s.record(c, 0, s.handle(c).refusal)
		reset(w)
	case AcceptThenHang:
		a := s.finish(c, s.handle(c))
		if s.hold(r.Context(), c.fault) {
			a.write(w)
		}
	case LateAccept:
		// The delay runs on whether or not the client is still there.
		s.hold(context.WithoutCancel(r.Context()), c.fault)
		s.record(c, 0, s.handle(c).refusal)
		reset(w)
	case SlowBody:
		s.slow(w, r, c)
	default:
		s.playAnswer(w, c)
	}
}

// playAnswer covers the faults that only change the answer.
func (s *Simulator) playAnswer(w http.ResponseWriter, c *call) {
	f := c.fault
	switch f.Kind {
	case Status429:
		s.tooMany(c).write(w)
	case Status5xxClean:
		s.finish(c, c.refuse(or(f.Status, http.StatusServiceUnavailable), "Internal server error")).write(w)
	case Status5xxAfterAccept:
		s.handle(c)
		s.finish(c, c.refuse(or(f.Status, http.StatusInternalServerError), "Internal server error")).write(w)
	case MalformedBody:
		s.finish(c, spoil(s.taken(c), f.Variant)).write(w)
	case Redirect:
		a := answer{status: or(f.Status, http.StatusTemporaryRedirect), headers: map[string]string{"Location": "/_sim/followed"}}
		s.finish(c, a).write(w)
	case Unauthorized:
		s.finish(c, c.refuse(http.StatusUnauthorized, "Invalid token: access token is invalid")).write(w)
	case EmptyTwoHundred:
		s.taken(c)
		s.finish(c, answer{status: http.StatusOK}).write(w)
	case Refusal:
		s.finish(c, f.refusal(http.StatusBadRequest)).write(w)
	case RefusalAfterAccept:
		s.handle(c)
		s.finish(c, f.refusal(http.StatusUnprocessableEntity)).write(w)
	default: // LaggingList and BodyRewritten are the send handler's affair
		s.finish(c, s.handle(c)).write(w)
	}
}

// refusal is the answer of Refusal and RefusalAfterAccept.
func (f *Fault) refusal(status int) answer {
	out := refusal{status: or(f.Status, status), code: f.Code, message: f.Body}
	if f.DuplicateOf != "" {
		out.extra = object{"meta": object{"contactId": f.DuplicateOf, "matchingField": "email"}}
	}
	return out.answer()
}

// taken processes the call unless the fault says that it was not.
func (s *Simulator) taken(c *call) answer {
	if c.fault.NotTaken {
		return answer{status: http.StatusOK, body: encode(object{"traceId": newUUID()})}
	}
	return s.handle(c)
}

func (s *Simulator) tooMany(c *call) answer {
	message := "Too Many Requests"
	if c.fault.SearchOverload {
		message = "Trying to create too many Point In Time contexts. This limit can be set by changing the [point_in_time.max_open_pit_context] setting."
	}
	c.quota.remaining = 0
	a := s.finish(c, c.refuse(http.StatusTooManyRequests, message))
	if c.fault.NoRateHeaders {
		a.headers = map[string]string{"Date": a.headers["Date"]}
	}
	if c.fault.RetryAfter != "" {
		a.headers["Retry-After"] = c.fault.RetryAfter
	}
	return a
}

// wait reports false when the client left or the simulator closed first.
func (s *Simulator) wait(ctx context.Context, d time.Duration) bool {
	return s.hold(ctx, &Fault{Delay: d})
}

// hold waits out a fault's delay, or until its rule frees it.
func (s *Simulator) hold(ctx context.Context, f *Fault) bool {
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.freed:
		return true
	case <-ctx.Done():
		return false
	case <-s.stopping:
		return false
	}
}

// reset closes the connection with RST: the client sees "connection reset by peer".
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the documented way to cut a connection unhijacked
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a failure still closes, only more politely
	}
	_ = conn.Close()
}

// slow writes the headers at once and the body byte by byte.
func (s *Simulator) slow(w http.ResponseWriter, r *http.Request, c *call) {
	pause := c.fault.Delay
	if pause <= 0 {
		pause = time.Second
	}
	a := s.finish(c, s.taken(c))
	body := a.body
	a.body = nil
	a.headers["Content-Length"] = strconv.Itoa(len(body))
	a.write(w)
	flush := http.NewResponseController(w)
	for i := range body {
		if flush.Flush() != nil || !s.wait(r.Context(), pause) {
			return
		}
		if _, err := w.Write(body[i : i+1]); err != nil {
			return
		}
	}
}

// spoil changes an answer's body as the variant says.
func spoil(a answer, variant string) answer {
	switch variant {
	case WrongTypes:
		a.body = []byte(`{"conversationId":17,"messageId":["x"],"messages":"none","traceId":{}}`)
	case HTML:
		a.body = []byte("<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>")
		a.headers = with(a.headers, "Content-Type", "text/html")
	case Huge:
		a.body = []byte(`{"messageId":"` + strings.Repeat("A", 10<<20) + `"}`)
	case InvalidUTF8:
		a.body = []byte("{\"messageId\":\"\xff\xfe\xc3\x28\"}")
	case GzipBomb:
		a.body = gzipZeros(64 << 20)
		a.headers = with(a.headers, "Content-Encoding", "gzip")
	case NoMessageID:
		a.body = dropKey(a.body, "messageId")
	case CursorLoop, DuplicateRows, WrongTotal:
		a.body = spoilPage(a.body, variant)
	default: // CutJSON
		a.body = a.body[:len(a.body)/2]
	}
	return a
}

// spoilPage makes an export page lie.
func spoilPage(body []byte, variant string) []byte {
	var page object
	if json.Unmarshal(body, &page) != nil {
		return body
	}
	rows, _ := page["messages"].([]any)
	switch variant {
	case CursorLoop:
		page["nextCursor"] = encodeCursor(0)
	case DuplicateRows:
		page["messages"] = append(rows, rows...)
	default:
		page["total"] = len(rows) + 7
	}
	return encode(page)
}

func dropKey(body []byte, key string) []byte {
	var fields object
	if json.Unmarshal(body, &fields) != nil {
		return body
	}
	delete(fields, key)
	return encode(fields)
}

func gzipZeros(size int) []byte {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	chunk := make([]byte, 1<<20)
	for range size / len(chunk) {
		if _, err := zw.Write(chunk); err != nil { // a bytes.Buffer does not fail
			break
		}
	}
	_ = zw.Close()
	return buf.Bytes()
}

func with(headers map[string]string, name, value string) map[string]string {
	out := map[string]string{name: value}
	for k, v := range headers {
		if k != name {
			out[k] = v
		}
	}
	return out
}

func or(value, fallback int) int {
	if value != 0 {
		return value
	}
	return fallback
}
