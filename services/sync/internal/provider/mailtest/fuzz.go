package mailtest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
)

// parrot answers every call with the same status and body.
type parrot struct {
	mu     sync.Mutex
	status int
	body   []byte
}

// ServeHTTP answers.
func (p *parrot) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body)
}

func (p *parrot) say(status int, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.body = status, body
}

// FuzzSent checks what a client makes of a list of sent emails, whatever is answered: a ReadError, or only emails that can be told
// apart by their ids, and a next page that is another. An unknown outcome is settled by such lists: an email without an id would be
// claimed as ours, and a list without an end never be read. seeds are answers; the client is opened for a base URL.
func FuzzSent(f *testing.F, kind provider.Kind, open func(url string) provider.Mail, seeds ...string) {
	f.Helper()
	for _, seed := range append(seeds, ``, `null`, `[]`, `{}`, `{"data":null}`, `"x"`, `{"items":{}}`) {
		f.Add([]byte(seed), true, "")
		f.Add([]byte(seed), true, "2")
		f.Add([]byte(seed), false, "")
	}
	p := &parrot{status: http.StatusOK}
	server := httptest.NewServer(p)
	f.Cleanup(server.Close)
	client := open(server.URL)
	who := provider.Account{Kind: kind, BaseURL: server.URL, Location: "test", Token: redact.Secret(Key)}
	target := sending.Target{Message: "11", Mailbox: "7", Lead: "5", Campaign: "3", Reference: "<a@example.com>", To: Lead}
	f.Fuzz(func(t *testing.T, body []byte, good bool, cursor string) {
		status := http.StatusOK
		if !good {
			status = http.StatusBadGateway
		}
		p.say(status, body)
		page, next, err := client.Sent(t.Context(), who, provider.SentQuery{Target: target, Cursor: cursor})
		var failed *provider.ReadError
		if err != nil {
			if !errors.As(err, &failed) || len(page) > 0 || next != "" {
				t.Fatalf("%v, with %d emails and next page %q", err, len(page), next)
			}
			return
		}
		if !good {
			t.Fatalf("status %d is taken for a list", status)
		}
		if next != "" && next == cursor {
			t.Fatalf("page %q is followed by itself", cursor)
		}
		for _, m := range page {
			if strings.HasSuffix(m.ID, ":") || !strings.HasPrefix(m.ID, string(kind)+":") {
				t.Fatalf("an email with id %q", m.ID)
			}
		}
	})
}
