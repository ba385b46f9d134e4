package sync_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	stdsync "sync"
	"testing"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
)

// held is a provider whose answer to one call is held back.
type held struct {
	// arrived is closed when the call is there, answer ends the wait for the answer.
	arrived, answer chan struct{}
}

// hold puts a provider in front that holds the first call that the path is of until answer is closed; then refuse, where it is given,
// answers in place of the provider.
func hold(t *testing.T, method, path string, refuse http.HandlerFunc) (*held, func(*relancesync.Config)) {
	t.Helper()
	h := &held{arrived: make(chan struct{}), answer: make(chan struct{})}
	var first stdsync.Once
	return h, func(c *relancesync.Config) {
		provider, err := url.Parse(c.GHLBaseURL)
		if err != nil {
			t.Fatal(err)
		}
		behind := httputil.NewSingleHostReverseProxy(provider)
		front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			mine := false
			if r.Method == method && strings.HasPrefix(r.URL.Path, path) {
				first.Do(func() { mine = true })
			}
			if mine {
				close(h.arrived)
				<-h.answer
			}
			if mine && refuse != nil {
				refuse(rw, r)
				return
			}
			behind.ServeHTTP(rw, r)
		}))
		t.Cleanup(front.Close)
		c.GHLBaseURL, c.SendCall = front.URL, c.SendCall*5
		c.SendSettle, c.DrainTimeout = c.SendSettle*5, c.SendCall
	}
}

// refuses answers 401 with words.
func refuses(words string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusUnauthorized)
		_, _ = rw.Write([]byte(`{"statusCode":401,"message":"` + words + `"}`))
	}
}

// TestRefusalOfOldCredentials: a call that was on its way with credentials that a person has replaced since is refused; that says
// nothing of the new ones.
func TestRefusalOfOldCredentials(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path string
		call         func(d diary) error
	}{
		"send": {http.MethodPost, "/conversations/messages", func(d diary) error {
			_, err := d.followups.SendMessage(d.Context(), sms(d.lead, "Hello"))
			return err
		}},
		"booking": {http.MethodPost, "/calendars/events/appointments", func(d diary) error {
			_, err := d.book.BookAppointment(d.Context(), d.ask(0))
			return err
		}},
		"slots": {http.MethodGet, "/calendars/", func(d diary) error {
			_, err := d.book.ListFreeSlots(d.Context(), &syncv1.ListFreeSlotsRequest{
				Parent: d.name, Calendar: d.calendar, StartTime: stampOf(d.clock.Now()), EndTime: stampOf(d.clock.Now().AddDate(0, 0, 7)),
			})
			return err
		}},
		"history": {http.MethodGet, searchPath, func(d diary) error {
			_, err := d.admin.SyncConversation(d.Context(), &syncv1.SyncConversationRequest{Name: d.lead + "/conversations/sms"})
			return err
		}},
		"probe": {http.MethodGet, "/locations/", func(d diary) error {
			_, err := d.admin.GetConnectionHealth(d.Context(), &syncv1.GetConnectionHealthRequest{Parent: d.name, Probe: true})
			if err == nil {
				err = errRefused // the health tells of the new ones
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words := "Invalid Private Integration token"
			if name == "booking" {
				words = "The token is not authorized for this scope." // the other words could be those of a token that ended
			}
			h, front := hold(t, c.method, c.path, refuses(words))
			d := newRig(t, noPolls, front).diary(location)
			called := make(chan error, 1)
			go func() { called <- c.call(d) }()
			<-h.arrived
			_, err := d.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
				Parent: d.name, Connection: &syncv1.Connection{Location: location, Token: "pit-0123456789" + location},
			})
			close(h.answer)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-called; err == nil {
				t.Error("the call with the old credentials was not refused")
			}
			if n := d.count(`SELECT count(*) FROM connection WHERE state = 'CONNECTED'`); n != 1 {
				t.Error("the new credentials were taken for refused")
			}
		})
	}
}

var errRefused = errors.New("refused")
