package ghl_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/simulator"
)

// TestSearchOfNobody: only an answer that says so is nobody. Everything else that names no contact is a failed read, since a contact is
// made for whom nobody was found.
func TestSearchOfNobody(t *testing.T) {
	t.Parallel()
	client, p := repeating(t)
	for _, c := range []struct {
		status int
		body   string
		id     string
		failed bool
	}{
		{200, `{"contact":null}`, "", false},
		{200, `{"contact":null,"traceId":"x"}`, "", false},
		{400, `{"message":"Contact not found"}`, "", false},
		{200, `{"contact":{"id":"` + who + `"}}`, who, false},
		{200, `{}`, "", true},
		{200, `null`, "", true},
		{200, `{"contact":{}}`, "", true},
		{200, `{"contact":{"id":"../../oauth/token"}}`, "", true},
		{200, `{"contact":[]}`, "", true},
		{200, `{"contact":`, "", true},
		{404, `{"message":"Cannot GET /contacts/search/duplicate"}`, "", true},
		{429, `{}`, "", true},
		{500, `{"message":"not found"}`, "", true},
	} {
		p.say(c.status, []byte(c.body))
		for by, find := range map[string]func() (string, error){
			"email": func() (string, error) { return client.FindByEmail(t.Context(), fuzzed, "a@example.com") },
			"phone": func() (string, error) { return client.FindByPhone(t.Context(), fuzzed, "+12125550142") },
		} {
			id, err := find()
			var read *ghl.ReadError
			if id != c.id || (err != nil) != c.failed || (c.failed && !errors.As(err, &read)) {
				t.Errorf("%d %s by %s: %q, %v", c.status, c.body, by, id, err)
			}
		}
	}
}

// TestContactsAgainstTheSimulator: what is made is found by email and by phone with its plus, and no other is.
func TestContactsAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Config{Now: time.Now})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() { server.Close(); _ = sim.Close() })
	here := ghl.Account{Location: "locationConform00001", Token: "pit-conform"}
	if err := sim.AddLocation(simulator.Location{ID: here.Location, Token: "pit-conform"}); err != nil {
		t.Fatal(err)
	}
	client, err := ghl.New(ghl.Config{BaseURL: server.URL, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	about := lead.Facts{FirstName: "Ann", LastName: "Lee", Email: "ann+test@example.com", Phone: "+12125550142", CompanyName: "Acme"}
	made := linking.Judge(client.CreateContact(t.Context(), here, about).Evidence, here.Location)
	if made.Class != linking.Made {
		t.Fatalf("created: %+v", made)
	}
	again := linking.Judge(client.CreateContact(t.Context(), here, about).Evidence, here.Location)
	if again.Class != linking.Duplicate || again.Contact != made.Contact {
		t.Errorf("created twice: %+v", again)
	}
	byMail, err1 := client.FindByEmail(t.Context(), here, about.Email)
	byPhone, err2 := client.FindByPhone(t.Context(), here, about.Phone)
	none, err3 := client.FindByEmail(t.Context(), here, "nobody@example.com")
	if err := errors.Join(err1, err2, err3); err != nil || byMail != made.Contact || byPhone != made.Contact || none != "" {
		t.Errorf("found %q, %q and %q, %v", byMail, byPhone, none, err)
	}
	read, err := client.Contact(t.Context(), here, made.Contact)
	if err != nil || read.Location != here.Location || read.Facts.Email != about.Email || read.Facts.CompanyName != "Acme" {
		t.Errorf("read %+v, %v", read, err)
	}
}
