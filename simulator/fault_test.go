package simulator_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/relance/relance/simulator"
)

// accepted counts the accepted sends once the ledger is settled: a client that was cut
// off may look before the server finished.
func (r *rig) acceptedSoon(want int) {
	r.t.Helper()
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got := len(r.Accepted(simulator.Filter{}))
		if got == want {
			return
		}
		select {
		case <-deadline:
			r.t.Fatalf("accepted %d, want %d: %+v", got, want, r.Ledger())
		case <-tick.C:
		}
	}
}

func TestResets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault simulator.Fault
		taken int
	}{
		"before read":             {simulator.Fault{Kind: simulator.ResetBeforeRead}, 0},
		"before read, by contact": {simulator.Fault{Match: simulator.SendsTo(lead), Kind: simulator.ResetBeforeRead}, 0},
		"after accept":            {simulator.Fault{Kind: simulator.AcceptThenReset}, 1},
		"late":                    {simulator.Fault{Kind: simulator.LateAccept, Delay: 20 * time.Millisecond}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Config{})
			handle := r.AddFault(c.fault)
			_, err := r.try(r.sms(lead, "x"))
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
				t.Errorf("client saw %v", err)
			}
			r.acceptedSoon(c.taken)
			entries := r.Sends(simulator.Filter{})
			if len(entries) != 1 || entries[0].Status != 0 || entries[0].Fault != string(c.fault.Kind) {
				t.Errorf("ledger %+v", entries)
			}
			equal(t, "hits", handle.Hits(), 1)
			handle.Remove()
			equal(t, "after removal", r.do(r.sms(lead, "x")).status, http.StatusCreated)
		})
	}
}

func TestLateAcceptOutlivesTheClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	r.AddFault(simulator.Fault{Kind: simulator.LateAccept, Delay: 150 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := r.try(r.sms(lead, "x").WithContext(ctx))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("client saw %v", err)
	}
	equal(t, "at once", len(r.Accepted(simulator.Filter{})), 0)
	r.acceptedSoon(1)
}

func TestLatencyAbandonedIsNotTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	handle := r.AddFault(simulator.Fault{Kind: simulator.Latency, Delay: time.Minute, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.try(r.sms(lead, "x").WithContext(ctx)); err == nil {
		t.Fatal("no timeout")
	}
	equal(t, "hits", handle.Hits(), 1)
	equal(t, "accepted", len(r.Accepted(simulator.Filter{})), 0)
	equal(t, "next", r.do(r.sms(lead, "x")).status, http.StatusCreated)
}

func TestStatusFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  simulator.Fault
		status int
		taken  int
	}{
		"429":          {simulator.Fault{Kind: simulator.Status429, RetryAfter: "7"}, 429, 0},
		"5xx clean":    {simulator.Fault{Kind: simulator.Status5xxClean}, 503, 0},
		"502 clean":    {simulator.Fault{Kind: simulator.Status5xxClean, Status: 502}, 502, 0},
		"5xx accepted": {simulator.Fault{Kind: simulator.Status5xxAfterAccept}, 500, 1},
		"redirect":     {simulator.Fault{Kind: simulator.Redirect}, 307, 0},
		"unauthorized": {simulator.Fault{Kind: simulator.Unauthorized}, 401, 0},
		"empty 200":    {simulator.Fault{Kind: simulator.EmptyTwoHundred}, 200, 1},
		"refusal":      {simulator.Fault{Kind: simulator.Refusal, Body: "Something new"}, 400, 0},
		"hang":         {simulator.Fault{Kind: simulator.AcceptThenHang, Delay: time.Millisecond}, 201, 1},
		"latency":      {simulator.Fault{Kind: simulator.Latency, Delay: time.Millisecond}, 201, 1},
		"lag":          {simulator.Fault{Kind: simulator.LaggingList, Delay: time.Minute}, 201, 1},
		"rewritten":    {simulator.Fault{Kind: simulator.BodyRewritten, Body: " Reply STOP"}, 201, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Config{})
			r.AddFault(c.fault)
			got := r.do(r.sms(lead, "x"))
			equal(t, "status", got.status, c.status)
			equal(t, "day's quota", got.header.Get("X-RateLimit-Daily-Remaining"), "199999")
			equal(t, "taken", len(r.Accepted(simulator.Filter{})), c.taken)
			equal(t, "held", len(r.Messages(acme, lead)), c.taken)
			equal(t, "ledger fault", r.Ledger()[0].Fault, string(c.fault.Kind))
			equal(t, "ledger status", r.Ledger()[0].Status, c.status)
		})
	}
}

func TestRetryAfterVariants(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	for _, value := range simulator.RetryAfterVariants(r.clock.Now()) {
		r.ClearFaults()
		r.AddFault(simulator.Fault{Kind: simulator.Status429, RetryAfter: value, NoRateHeaders: true, SearchOverload: true})
		got := r.do(r.sms(lead, "x"))
		equal(t, "header", got.header.Get("Retry-After"), value)
		equal(t, "rate headers", got.header.Get("X-RateLimit-Max"), "")
		if !strings.Contains(got.text("message"), "max_open_pit_context") {
			t.Errorf("body %s", got.raw)
		}
	}
}

func TestRedirectFollowedIsSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	r.AddFault(simulator.Fault{Kind: simulator.Redirect})
	resp, err := http.DefaultClient.Do(r.sms(lead, "x"))
	must(t, err)
	must(t, resp.Body.Close())
	equal(t, "followed", len(r.Requests(simulator.Filter{Path: "/_sim/followed"})), 1)
}

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{simulator.CutJSON, simulator.WrongTypes, simulator.HTML, simulator.Huge, simulator.InvalidUTF8, simulator.NoMessageID} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Config{})
			r.AddFault(simulator.Fault{Kind: simulator.MalformedBody, Variant: variant})
			got := r.do(r.sms(lead, "x"))
			equal(t, "status", got.status, http.StatusCreated)
			equal(t, "taken", len(r.Accepted(simulator.Filter{})), 1)
			usable := got.text("messageId") != "" && utf8.Valid(got.raw) && len(got.raw) < 1<<20
			if usable {
				t.Errorf("body is fine: %s", got.raw)
			}
		})
	}
}

func TestGzipBombAndNotTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	r.AddFault(simulator.Fault{Kind: simulator.MalformedBody, Variant: simulator.GzipBomb, NotTaken: true})
	req := r.sms(lead, "x")
	req.Header.Set("Accept-Encoding", "gzip") // asked for by hand, so left packed
	got := r.do(req)
	equal(t, "encoding", got.header.Get("Content-Encoding"), "gzip")
	if len(got.raw) > 1<<20 {
		t.Errorf("%d bytes packed", len(got.raw))
	}
	equal(t, "taken", len(r.Accepted(simulator.Filter{})), 0)
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	r.AddFault(simulator.Fault{Kind: simulator.SlowBody, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := r.try(r.sms(lead, "x").WithContext(ctx))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("client saw %v", err)
	}
	equal(t, "taken", len(r.Accepted(simulator.Filter{})), 1)
	r.ClearFaults()
	r.AddFault(simulator.Fault{Kind: simulator.SlowBody, Delay: time.Microsecond})
	got := r.do(r.sms(lead, "x"))
	if got.text("messageId") == "" {
		t.Errorf("slow body arrived as %q", got.raw)
	}
}

func TestRulesAndScripts(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{Seed: 7})
	statuses := func(n int) (out []int) {
		for range n {
			out = append(out, r.do(r.sms(lead, "x")).status)
		}
		return out
	}
	second := r.AddFault(simulator.Fault{Match: simulator.SendsTo(lead), Kind: simulator.Status5xxClean, Skip: 1, Times: 1})
	if got := statuses(3); got[0] != 201 || got[1] != 503 || got[2] != 201 {
		t.Errorf("second only: %v", got)
	}
	second.Remove()
	r.AddScript(simulator.Match{Channel: "SMS"}, simulator.Fault{Kind: simulator.Status429}, simulator.Fault{Kind: simulator.None},
		simulator.Fault{Kind: simulator.Status5xxAfterAccept, Status: 504})
	if got := statuses(4); got[0] != 429 || got[1] != 201 || got[2] != 504 || got[3] != 201 {
		t.Errorf("script: %v", got)
	}
	r.AddFault(simulator.Fault{Match: simulator.Match{Contact: "nobody"}, Kind: simulator.Status5xxClean})
	r.AddFault(simulator.Fault{Match: simulator.Match{Path: "/contacts/*"}, Kind: simulator.Status5xxClean})
	equal(t, "other contact", statuses(1)[0], 201)
	equal(t, "prefix", r.get("/contacts/"+lead).status, 503)
	r.ClearFaults()
	half := r.AddFault(simulator.Fault{Kind: simulator.Status5xxClean, Probability: 0.5})
	statuses(60)
	if half.Hits() < 15 || half.Hits() > 45 {
		t.Errorf("half of 60: %d", half.Hits())
	}
}

func TestLedgerFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	r := newRig(t, simulator.Config{LedgerFile: path})
	id := r.do(r.sms(lead, "x")).text("messageId")
	equal(t, "token call", r.do(r.request(http.MethodPost, "/oauth/token", `{"clientSecret":"hush"}`)).status, http.StatusBadRequest)
	raw, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	equal(t, "lines", len(lines), 4)
	if !strings.Contains(lines[0], `"event":"received"`) || !strings.Contains(lines[1], id) {
		t.Errorf("ledger file %s", raw)
	}
	if strings.Contains(string(raw), "hush") || strings.Contains(string(raw), acmeToken) {
		t.Error("a secret is in the ledger file")
	}
	must(t, r.LedgerError())
	bad := simulator.New(simulator.Config{Now: r.clock.Now, LedgerFile: t.TempDir()})
	if bad.LedgerError() == nil {
		t.Error("a directory opened as ledger file")
	}
	must(t, bad.Close())
}
