package ghl_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// parrot is a provider that answers every call with the same status and body.
type parrot struct {
	mu     sync.Mutex
	status int
	body   []byte
}

func (p *parrot) say(status int, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.body = status, body
}

func (p *parrot) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body)
}

// listening starts a parrot and a client of it.
func listening(f *testing.F) (*parrot, string) {
	f.Helper()
	p := &parrot{status: http.StatusOK}
	server := httptest.NewServer(p)
	f.Cleanup(server.Close)
	return p, server.URL
}

var (
	fuzzed = ghl.Account{Location: "locationAcme0000001", Token: "pit-0123456789"}
	who    = "contactAnn000000001"
)

// FuzzListPage: whatever a list answers, a page is an error or holds only messages that can be stored, of the channel asked for.
func FuzzListPage(f *testing.F) {
	for _, seed := range []string{
		`{"messages":[{"id":"m1","direction":"inbound","messageType":"TYPE_SMS","body":"hi","dateAdded":"2026-01-07T12:00:00Z"}],"nextCursor":"a"}`,
		`{"messages":{"lastMessageId":"m1","nextPage":true,"messages":[{"id":"m1","direction":"outbound","messageType":2}]}}`,
		`{"messages":{"nextPage":true,"messages":[]}}`, `{"messages":null}`, `{"messages":[null],"nextCursor":7}`, `[]`, ``, `{"messages":[{"dateAdded":1}]}`,
		`{"conversations":[{"id":"conversationAnn0001","contactId":"contactAnn000000001","lastMessageType":"TYPE_SMS","lastMessageDate":1767787200000}]}`,
		`{"conversations":[{"id":"../x","contactId":"contactAnn000000001","lastMessageDate":1e300}]}`,
		`{"messages":[{"id":"m","direction":"inbound","messageType":"TYPE_EMAIL","meta":{"email":{"messageIds":["e",""]}}}]}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	p, url := listening(f)
	client, err := ghl.New(ghl.Config{BaseURL: url, Timeout: 5 * time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	f.Fuzz(func(t *testing.T, body []byte, texts bool) {
		p.say(http.StatusOK, body)
		channel := sending.Email
		if texts {
			channel = sending.SMS
		}
		ctx := t.Context()
		pages := []func() ([]ghl.HistoryMessage, string, error){
			func() ([]ghl.HistoryMessage, string, error) {
				return client.History(ctx, fuzzed, ghl.HistoryQuery{ContactID: who, Channel: channel})
			},
			func() ([]ghl.HistoryMessage, string, error) {
				return client.Conversation(ctx, fuzzed, ghl.ConversationQuery{ID: who, Channel: channel})
			},
			func() ([]ghl.HistoryMessage, string, error) {
				return client.Recent(ctx, fuzzed, ghl.RecentQuery{Channel: channel, From: time.Unix(0, 0), To: time.Unix(1, 0)})
			},
		}
		for _, read := range pages {
			page, next, err := read()
			if err != nil && (len(page) > 0 || next != "") {
				t.Errorf("an error with %d messages and cursor %q", len(page), next)
			}
			for _, m := range page {
				if m.ID == "" || m.Channel != channel {
					t.Errorf("message %+v", m)
				}
			}
		}
		heads, _ := client.RecentConversations(ctx, fuzzed)
		for _, h := range heads {
			if !lead.ValidID(h.ID) || !lead.ValidID(h.ContactID) || h.At.Year() < 1970 || h.At.Year() > 2300 {
				t.Errorf("conversation %+v", h)
			}
		}
		ids, _ := client.Conversations(ctx, fuzzed, who)
		for _, id := range ids {
			if !lead.ValidID(id) {
				t.Errorf("conversation id %q", id)
			}
		}
	})
}

// FuzzAnswers: single things are an error or what was asked for.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"contact":{"id":"contactAnn000000001","locationId":"locationAcme0000001","dnd":true,"dndSettings":{"SMS":{"status":"permanent"}},"tags":["a"]}}`,
		`{"contact":{"dndSettings":[1],"tags":null}}`, `{"2026-01-07":{"slots":["2026-01-07T10:00:00-05:00",{"startTime":"2026-01-07T11:00:00Z"},7]},"traceId":"x"}`,
		`{"subject":"s","body":"b"}`, `{"body":null}`, `{"id":"m","status":"delivered"}`, `null`, `{`, ``,
	} {
		f.Add([]byte(seed))
	}
	p, url := listening(f)
	client, err := ghl.New(ghl.Config{BaseURL: url, Timeout: 5 * time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := ghl.SlotQuery{Calendar: who, Start: from, End: from.AddDate(0, 0, 31)}
	f.Fuzz(func(t *testing.T, body []byte) {
		p.say(http.StatusOK, body)
		ctx := t.Context()
		if contact, err := client.Contact(ctx, fuzzed, who); err == nil && contact.Facts.ContactID != who {
			t.Errorf("contact %q", contact.Facts.ContactID)
		}
		slots, err := client.FreeSlots(ctx, fuzzed, q)
		for i, at := range slots {
			if at.Before(q.Start) || !at.Before(q.End) || (i > 0 && !at.After(slots[i-1])) {
				t.Errorf("slot %s, %v", at, err)
			}
		}
		_, _, _ = client.Email(ctx, fuzzed, who)
		_, _ = client.MessageStatus(ctx, fuzzed, who)
	})
}

// FuzzTokenAnswer: a grant gives whole tokens with a life, or an error; never half of them.
func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","refresh_token":"r","expires_in":86399,"userType":"Location","locationId":"locationAcme0000001"}`,
		`{"access_token":"a","refresh_token":"r","expires_in":1e300,"userType":"Company","companyId":"companyAcme0000001"}`,
		`{"access_token":"a","expires_in":-1}`, `{"message":"Invalid grant: refresh token is invalid"}`, `{"message":["a"],"error_description":"code not found"}`, `[]`, ``,
	} {
		f.Add(200, []byte(seed))
		f.Add(400, []byte(seed))
	}
	p, url := listening(f)
	oauth, err := ghl.NewOAuth(ghl.OAuthConfig{BaseURL: url, ClientID: "app", ClientSecret: "secret"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(oauth.Close)
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			status = http.StatusOK
		}
		p.say(status, body)
		got, err := oauth.Refresh(context.Background(), "refresh", false)
		if err == nil && (status > 299 || got.Access == "" || got.Refresh == "" || got.Life <= 0 || got.Life > 31*24*time.Hour) {
			t.Errorf("status %d: %+v", status, got)
		}
		minted, err := oauth.Mint(context.Background(), "access", "companyAcme0000001", "locationAcme0000001")
		if err == nil && (status > 299 || minted.Access == "" || minted.Life <= 0 || (minted.Location != "" && minted.Location != "locationAcme0000001")) {
			t.Errorf("status %d: %+v", status, minted)
		}
	})
}
