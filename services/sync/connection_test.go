package sync_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	stdsync "sync"
	"testing"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

// TestRefusalOfOldCredentials: a call that was on its way with credentials that a person has replaced since is refused; that says
// nothing of the new ones.
func TestRefusalOfOldCredentials(t *testing.T) {
	t.Parallel()
	arrived, mended := make(chan struct{}), make(chan struct{})
	var first stdsync.Once
	w := newRig(t, noPolls, func(c *relancesync.Config) {
		provider, err := url.Parse(c.GHLBaseURL)
		if err != nil {
			t.Fatal(err)
		}
		behind := httputil.NewSingleHostReverseProxy(provider)
		front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			refuse := false
			if r.Method == http.MethodPost {
				first.Do(func() { refuse = true })
			}
			if !refuse {
				behind.ServeHTTP(rw, r)
				return
			}
			close(arrived)
			<-mended
			rw.WriteHeader(http.StatusUnauthorized)
			_, _ = rw.Write([]byte(`{"statusCode":401,"message":"Invalid Private Integration token"}`))
		}))
		t.Cleanup(front.Close)
		c.GHLBaseURL, c.SendCall = front.URL, c.SendCall*5
		c.SendSettle, c.DrainTimeout = c.SendSettle*5, c.SendCall
	}).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	sent := make(chan error, 1)
	go func() {
		_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
		sent <- err
	}()
	<-arrived
	_, err := w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
		Parent: w.name, Connection: &syncv1.Connection{Location: location, Token: "pit-0123456789" + location},
	})
	close(mended)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err == nil {
		t.Error("the send with the old credentials was not refused")
	}
	if n := w.count(`SELECT count(*) FROM connection WHERE state = 'CONNECTED'`); n != 1 {
		t.Error("the new credentials were taken for refused")
	}
}
