package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/relance/relance/e2e/internal/contacts"
	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/simulator"
)

// strangers is a workspace whose leads have no contact at GoHighLevel, and one sequence of one text that is due at once.
type strangers struct {
	*world
	*client
	process             *child
	workspace, sequence string
}

func newStrangers(t *testing.T, createContacts bool) strangers {
	t.Helper()
	s := strangers{world: newWorld(t)}
	s.process = s.serve(t, keyset(t), slices.Concat(secrets(), shortTiming().Env(), []string{"RELANCE_DATABASE_URL=" + database(t).DSN("relance")})...)
	s.client = newClient(s.process.gateway(t), adminSecret, cronSecret)
	s.ready(t, s.process)
	s.workspace = s.provision(t, "Ash", s.locations[0], s.tokens[0])
	s.api(t, http.MethodPatch, "/v1/"+s.workspace, object{"createContacts": createContacts})
	s.atAllHours(t, s.workspace)
	s.sequence = s.api(t, http.MethodPost, "/v1/"+s.workspace+"/sequences", object{
		"displayName": "One text", "active": true, "trigger": "TRIGGER_MANUAL",
		"steps":        []object{{"channel": "STEP_CHANNEL_SMS", "bodyTemplate": "Hi {firstName}"}},
		"refusalRules": []object{{"reason": "CONTACT_NOT_FOUND", "action": "REFUSAL_ACTION_HOLD"}},
	}).object("sequence").text("name")
	return s
}

// enroll makes a lead that has no contact and enrolls it.
func (s strangers) enroll(t *testing.T, email, phone string) (lead, enrollment string) {
	t.Helper()
	lead = s.api(t, http.MethodPost, "/v1/"+s.workspace+"/leads", object{
		"firstName": "Eve", "email": email, "phone": phone, "timeZone": noonZone(),
	}).object("lead").text("name")
	enrollment = s.api(t, http.MethodPost, "/v1/"+s.workspace+"/enrollments", object{"lead": lead, "sequence": s.sequence}).object("enrollment").text("name")
	return lead, enrollment
}

// ensure asks for the lead's contact as a person does, again where that passes.
func (s strangers) ensure(t *testing.T, lead, contact string) {
	t.Helper()
	body := object{"requestId": uuid.NewString(), "contact": contact}
	s.process.eventually(t, "the contact is asked for", func() bool {
		a := s.post(t, "/v1/"+lead+":ensureContact", body)
		if a.status/100 != 2 && a.status < http.StatusInternalServerError && a.status != http.StatusConflict && a.status != http.StatusTooManyRequests {
			t.Fatalf("asked for the contact: %d %s", a.status, a.body)
		}
		return a.status/100 == 2
	})
}

// explained runs what is due until the enrollment's explanation says something.
func (s strangers) explained(t *testing.T, enrollment, want string) object {
	t.Helper()
	var e object
	s.process.eventually(t, "explained as "+want, func() bool {
		s.tick(t, "followups").want(t, "tick", http.StatusOK, "")
		e = s.api(t, http.MethodGet, "/v1/"+enrollment+":explain", nil).object("explanation")
		return strings.Contains(e.text("summary"), want)
	})
	return e
}

// finished runs what is due until the enrollment has ended.
func (s strangers) finished(t *testing.T, enrollment string) {
	t.Helper()
	s.process.eventually(t, "the end of the sequence", func() bool {
		s.tick(t, "followups").want(t, "tick", http.StatusOK, "")
		return s.api(t, http.MethodGet, "/v1/"+enrollment, nil).object("enrollment").text("state") == "ENROLLMENT_STATE_COMPLETED"
	})
}

func (s strangers) here() simulator.Filter { return simulator.Filter{Location: s.locations[0]} }

// TestContactsAreMadeOnce is the short form of `prove crashpoints -only contacts`: the process dies between claim and call, and between
// the answer and its commit.
func TestContactsAreMadeOnce(t *testing.T) {
	t.Parallel()
	binary, err := lab.Build(t.Context(), t.TempDir(), "crashpoints")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	sheet := figure.NewSheet(&out)
	cells := slices.DeleteFunc(contacts.Cells(), func(c contacts.Cell) bool { return c.String() != "contact_c4_kill" && c.String() != "contact_c8_kill" })
	if len(cells) != 2 {
		t.Fatalf("%d cells: a proof that played nothing would pass", len(cells))
	}
	if err := contacts.RunCells(t.Context(), binary, cells, sheet); err != nil {
		t.Fatal(err)
	}
	if err := sheet.Err(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
}

// TestSequenceMakesItsContact: a text to a lead without a contact waits until the contact is made, and leaves once to that one.
func TestSequenceMakesItsContact(t *testing.T) {
	t.Parallel()
	s := newStrangers(t, true)
	// The searches fail at first, so that the wait is seen.
	blind := s.AddFault(simulator.Fault{Match: simulator.Match{Path: "/contacts/search/duplicate"}, Kind: simulator.Status5xxClean})
	lead, enrollment := s.enroll(t, "eve@example.com", "+12025550142")
	e := s.explained(t, enrollment, "being found or made")
	if state := e.object("enrollment").text("state"); state != "ENROLLMENT_STATE_ACTIVE" || e["needsPerson"] == true || len(s.Creates(s.here())) != 0 {
		t.Fatalf("while it waits: %v", e)
	}
	blind.Remove()
	s.ensure(t, lead, "") // a person who asks meanwhile joins the same link
	s.finished(t, enrollment)
	made, sent := s.Creates(s.here()), s.Accepted(s.here())
	if len(made) != 1 || len(sent) != 1 || len(s.Sends(s.here())) != 1 || sent[0].Contact != made[0].MessageID {
		t.Errorf("made %v, sent %v", made, sent)
	}
	if got := s.api(t, http.MethodGet, "/v1/"+lead, nil).object("lead").text("ghlContactId"); got != made[0].MessageID {
		t.Errorf("the lead has %q", got)
	}
	query := "?states=CONTACT_LINK_STATE_PLANNED&states=CONTACT_LINK_STATE_CALLING&states=CONTACT_LINK_STATE_UNKNOWN&states=CONTACT_LINK_STATE_LINKED"
	if links := s.api(t, http.MethodGet, "/v1/"+s.workspace+"/contactLinks"+query, nil).list("contactLinks"); len(links) != 1 || links[0].text("contact") != made[0].MessageID {
		t.Errorf("links: %v", links)
	}
	s.tick(t, "followups").want(t, "last tick", http.StatusOK, "")
	if n := len(s.Sends(s.here())); n != 1 {
		t.Errorf("%d messages in the end", n)
	}
}

// TestSequenceMakesNoContact: without the setting nothing is made, and the step says why it waits. A person who asks for the contact
// lets it leave.
func TestSequenceMakesNoContact(t *testing.T) {
	t.Parallel()
	s := newStrangers(t, false)
	lead, enrollment := s.enroll(t, "eve@example.com", "+12025550142")
	s.explained(t, enrollment, "no contact at the provider")
	if len(s.Creates(s.here())) != 0 || len(s.Sends(s.here())) != 0 || s.count(t, "/v1/"+s.workspace+"/contactLinks", "contactLinks") != 0 {
		t.Fatalf("made %v, sent %v", s.Creates(s.here()), s.Sends(s.here()))
	}
	s.ensure(t, lead, "")
	s.finished(t, enrollment)
	if len(s.Creates(s.here())) != 1 || len(s.Accepted(s.here())) != 1 || len(s.Sends(s.here())) != 1 {
		t.Errorf("made %v, sent %v", s.Creates(s.here()), s.Sends(s.here()))
	}
}

// TestSequenceWaitsForAChoice: of two contacts a person names the lead's, and the text leaves to that one.
func TestSequenceWaitsForAChoice(t *testing.T) {
	t.Parallel()
	s := newStrangers(t, true)
	mail, phone := ghlID("ByMail"), ghlID("ByPhone")
	if _, err := s.AddContact(s.locations[0], simulator.Contact{ID: mail, Email: "eve@example.com"}); err != nil {
		t.Fatal(err)
	}
	s.contact(t, s.locations[0], phone, "+12025550142")
	lead, enrollment := s.enroll(t, "eve@example.com", "+12025550142")
	s.explained(t, enrollment, "no contact at the provider")
	open := s.api(t, http.MethodGet, "/v1/"+s.workspace+"/contactLinks", nil).list("contactLinks")
	if len(open) != 1 || open[0].text("state") != "CONTACT_LINK_STATE_CONFLICT" || open[0].text("lead") != lead || open[0].text("reason") != "CONTACT_CONFLICT" {
		t.Fatalf("what waits for a person: %v", open)
	}
	if named := open[0].object("metadata").text("contacts"); !strings.Contains(named, mail) || !strings.Contains(named, phone) {
		t.Errorf("the conflict names %q", named)
	}
	if len(s.Sends(s.here())) != 0 {
		t.Fatalf("sent meanwhile: %v", s.Sends(s.here()))
	}
	s.ensure(t, lead, phone)
	s.finished(t, enrollment)
	if sent := s.Accepted(s.here()); len(sent) != 1 || sent[0].Contact != phone || len(s.Creates(s.here())) != 0 {
		t.Errorf("sent %v, made %v", sent, s.Creates(s.here()))
	}
}
