package ghl_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/ghl"
)

// TestContactOfNobody: a success that names no contact is no word about one. Taken for one, it would open do-not-disturb.
func TestContactOfNobody(t *testing.T) {
	t.Parallel()
	client, p := repeating(t)
	for _, body := range []string{`{}`, `null`, `{"contact":{}}`, `{"contact":null}`, `{"contact":{"firstName":"Ann","dnd":false}}`} {
		p.say(http.StatusOK, []byte(body))
		c, err := client.Contact(t.Context(), fuzzed, who)
		var read *ghl.ReadError
		if !errors.As(err, &read) {
			t.Errorf("%s: %+v, %v; want a read error", body, c, err)
		}
	}
	p.say(http.StatusOK, []byte(`{"contact":{"id":"`+who+`","locationId":"`+fuzzed.Location+`"}}`))
	if _, err := client.Contact(t.Context(), fuzzed, who); err != nil {
		t.Errorf("a contact without details: %v", err)
	}
}

// repeating is a client of a provider that answers what it is told to.
func repeating(t *testing.T) (*ghl.Client, *parrot) {
	t.Helper()
	p := &parrot{status: http.StatusOK}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	client, err := ghl.New(ghl.Config{BaseURL: server.URL, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, p
}
