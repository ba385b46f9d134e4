package calendly_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/webfetch"
)

// TestEventTypeOnALaterPage: a user with more event types than a page has is no inactive calendar, whose slots would be dropped.
func TestEventTypeOnALaterPage(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	lists, endless := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/users/me":
			_, _ = fmt.Fprint(w, `{"resource":{"uri":"https://api.calendly.com/users/u"}}`)
		case "/event_types":
			lists++
			switch {
			case endless:
				_, _ = fmt.Fprintf(w, `{"collection":[],"pagination":{"next_page_token":"p%d"}}`, lists)
			case r.URL.Query().Get("page_token") == "":
				_, _ = fmt.Fprint(w, `{"collection":[{"uri":"a","active":true,"duration":30,"scheduling_url":"https://calendly.com/acme/other"}],"pagination":{"next_page_token":"second"}}`)
			default:
				_, _ = fmt.Fprint(w, `{"collection":[{"uri":"b","active":true,"duration":30,"scheduling_url":"https://calendly.com/acme/intro"}],"pagination":{"next_page_token":null}}`)
			}
		default:
			_, _ = fmt.Fprintf(w, `{"collection":[{"status":"available","start_time":%q}]}`, from.Add(time.Hour).Format(time.RFC3339))
		}
	}))
	t.Cleanup(server.Close)
	p := calendly.New(calendly.Config{API: server.URL, Public: server.URL, Fetch: webfetch.New(webfetch.Config{Control: webfetch.Anywhere(), Plain: true})})
	ask := look.Ask{ID: "acme/intro", Token: "token", Meeting: 30 * time.Minute, From: from, To: from.AddDate(0, 0, 7)}
	if answer, err := p.FreeSlots(t.Context(), ask); err != nil || len(answer.Starts) != 1 || lists != 2 {
		t.Errorf("%v, %v; %d pages", answer, err, lists)
	}
	ask.ID = "acme/none"
	_, err := p.FreeSlots(t.Context(), ask)
	if failed, ok := errors.AsType[*look.Error](err); !ok || failed.Kind != slots.ReasonInactive {
		t.Errorf("one that is on no page: %v", err)
	}
	lists, endless = 0, true
	_, err = p.FreeSlots(t.Context(), ask)
	if failed, ok := errors.AsType[*look.Error](err); !ok || failed.Reason != "BAD_ANSWER" || lists > 20 {
		t.Errorf("a list without end: %v, %d pages", err, lists)
	}
}
