package sync_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/simulator"
)

const (
	linkPlanned  = syncv1.ContactLinkState_CONTACT_LINK_STATE_PLANNED
	linkUnknown  = syncv1.ContactLinkState_CONTACT_LINK_STATE_UNKNOWN
	linkLinked   = syncv1.ContactLinkState_CONTACT_LINK_STATE_LINKED
	linkConflict = syncv1.ContactLinkState_CONTACT_LINK_STATE_CONFLICT
	linkRefused  = syncv1.ContactLinkState_CONTACT_LINK_STATE_REFUSED

	originKnown   = syncv1.ContactOrigin_CONTACT_ORIGIN_KNOWN
	originFound   = syncv1.ContactOrigin_CONTACT_ORIGIN_FOUND
	originCreated = syncv1.ContactOrigin_CONTACT_ORIGIN_CREATED
	originChosen  = syncv1.ContactOrigin_CONTACT_ORIGIN_CHOSEN

	updated = followupsv1.LeadEventType_LEAD_EVENT_TYPE_UPDATED
)

// onCreate matches the creations of contacts.
var onCreate = simulator.Match{Method: http.MethodPost, Path: "/contacts/"}

// stranger is a lead without a contact, in a workspace of its own.
type stranger struct {
	tenant
	lead string
}

func (r *rig) stranger(location string) stranger {
	r.Helper()
	w := r.tenant(location)
	return stranger{tenant: w, lead: w.upsert(&syncv1.Lead{FirstName: "Eve", LastName: "Lin", Email: "eve@example.com", Phone: "+12125550142"})}
}

func (s stranger) wish() *syncv1.EnsureContactRequest {
	return &syncv1.EnsureContactRequest{Lead: s.lead, RequestId: uuid.NewString()}
}

// asked is one call: the link, or the typed error.
func (s stranger) asked(req *syncv1.EnsureContactRequest) (*syncv1.ContactLink, *apierr.Error) {
	s.Helper()
	out, err := s.admin.EnsureContact(s.Context(), req)
	if err == nil {
		return out.GetContactLink(), nil
	}
	e, ok := apierr.From(err)
	if !ok || e.Reason == "" {
		s.Fatal(err)
	}
	return nil, e
}

// link waits until a link stands somewhere.
func (w tenant) link(name string, want syncv1.ContactLinkState) (l *syncv1.ContactLink) {
	w.Helper()
	w.eventually("link is "+want.String(), func() bool {
		out, err := w.admin.GetContactLink(w.Context(), &syncv1.GetContactLinkRequest{Name: name})
		if err != nil {
			w.Fatal(err)
		}
		l = out.GetContactLink()
		return l.GetState() == want
	})
	return l
}

// ended waits until the link of a request is worked on no more.
func (s stranger) ended(req *syncv1.EnsureContactRequest) (l *syncv1.ContactLink, refused *apierr.Error) {
	s.Helper()
	s.eventually("the link ends", func() bool {
		l, refused = s.asked(req)
		return refused != nil || l.GetState() == linkLinked
	})
	return l, refused
}

func (w tenant) creates() []simulator.Entry {
	return w.sim.Creates(simulator.Filter{Location: w.location})
}

// made are the contacts that creations left at the provider.
func (w tenant) made() (out []string) {
	for _, e := range w.creates() {
		if e.Accepted {
			out = append(out, e.MessageID)
		}
	}
	return out
}

// TestEnsureContactOnce: fifty who ask at once over two replicas get one contact, which is told once and has its history read.
func TestEnsureContactOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	first := r.target
	r.start(r.cfg) // a second replica
	other := syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindAdmin}))
	r.target = first
	s := r.stranger("locationLinkOnce001")
	var wait stdsync.WaitGroup
	got := make([]string, 50)
	for i := range got {
		client := s.admin
		if i%2 == 1 {
			client = other
		}
		req := s.wish()
		wait.Go(func() {
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Second) { // fifty who asked without a rest would leave a busy machine none for the work
				out, err := client.EnsureContact(s.Context(), req)
				if e, _ := apierr.From(err); err != nil && (e == nil || e.Code != codes.Aborted) {
					t.Errorf("call %d: %v", i, err)
					return
				}
				if got[i] = out.GetContactLink().GetContact(); got[i] != "" {
					return
				}
			}
		})
	}
	wait.Wait()
	made := s.made()
	if slices.Sort(got); len(made) != 1 || len(s.creates()) != 1 || got[0] != made[0] || got[49] != made[0] || s.get(s.lead).GetGhlContactId() != made[0] {
		t.Fatalf("50 wishes: contacts %v, made %v", slices.Compact(got), made)
	}
	c, err := s.sim.Contact(s.location, made[0])
	if err != nil || c.FirstName != "Eve" || c.LastName != "Lin" || c.Email != "eve@example.com" || c.Phone != "+12125550142" || c.Source != "Relance" {
		t.Errorf("the contact is %+v, %v", c, err)
	}
	s.eventually("the change is told", func() bool { return slices.Contains(s.events.of(s.lead), updated) })
	if n := s.count(`SELECT count(*) FROM contact_link`); n != 1 {
		t.Errorf("%d links are stored", n)
	}
	s.eventually("its history is read", func() bool { return s.count(`SELECT count(*) FROM history_import WHERE done_time IS NOT NULL`) == 1 })
	// Who has a contact is answered, and nothing is asked or stored.
	before := len(s.sim.Requests(simulator.Filter{Location: s.location}))
	if l, e := s.asked(s.wish()); e != nil || l.GetOrigin() != originKnown || l.GetContact() != made[0] || l.GetName() != "" {
		t.Errorf("again: %v %v", l, e)
	}
	if after := len(s.sim.Requests(simulator.Filter{Location: s.location})); after != before {
		t.Errorf("%d calls for a lead that has its contact", after-before)
	}
}

// TestEnsureContactAnswers: whatever the provider answers, a lead gets at most one contact, and none that is not its own.
func TestEnsureContactAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	refuse := func(status int, body string) simulator.Fault {
		return simulator.Fault{Kind: simulator.Refusal, Status: status, Body: body, Times: 1}
	}
	for name, c := range map[string]struct {
		fault simulator.Fault
		// first is what the call leaves, posts and made what the provider saw in the end.
		first       syncv1.ContactLinkState
		last        string // LINKED or the reason of the refusal
		posts, made int
	}{
		"201":                       {simulator.Fault{Kind: simulator.None}, linkLinked, "LINKED", 1, 1},
		"the answer is lost":        {simulator.Fault{Kind: simulator.AcceptThenReset, Times: 1}, linkLinked, "LINKED", 1, 1},
		"5xx, taken":                {simulator.Fault{Kind: simulator.Status5xxAfterAccept, Times: 1}, linkLinked, "LINKED", 1, 1},
		"5xx, not taken":            {simulator.Fault{Kind: simulator.Status5xxClean, Times: 1}, linkUnknown, "LINKED", 2, 1},
		"5xx, never taken":          {simulator.Fault{Kind: simulator.Status5xxClean}, linkUnknown, "CONTACT_ABSENT", 3, 0},
		"422, created":              {simulator.Fault{Kind: simulator.RefusalAfterAccept, Body: "whatever", Times: 1}, linkLinked, "LINKED", 1, 1},
		"422, not created":          {refuse(422, "phone is an invalid number"), linkUnknown, "REFUSED_UNCLASSIFIED", 1, 0},
		"400, for good":             {refuse(400, "Invalid country calling code"), linkRefused, "INVALID_PHONE", 1, 0},
		"an answer without id":      {simulator.Fault{Kind: simulator.EmptyTwoHundred, Times: 1}, linkLinked, "LINKED", 1, 1},
		"cut JSON":                  {simulator.Fault{Kind: simulator.MalformedBody, Variant: simulator.CutJSON, Times: 1}, linkLinked, "LINKED", 1, 1},
		"time-out, taken":           {simulator.Fault{Kind: simulator.AcceptThenHang, Delay: time.Hour, Times: 1}, linkLinked, "LINKED", 1, 1},
		"taken after we gave up":    {simulator.Fault{Kind: simulator.LateAccept, Delay: time.Hour, Times: 1}, linkUnknown, "LINKED", 1, 1},
		"reset before it is read":   {simulator.Fault{Kind: simulator.ResetBeforeRead, Times: 1}, linkUnknown, "LINKED", 2, 1},
		"redirected":                {simulator.Fault{Kind: simulator.Redirect, Times: 1}, linkUnknown, "LINKED", 2, 1},
		"429":                       {simulator.Fault{Kind: simulator.Status429, RetryAfter: "1", Times: 1}, linkPlanned, "LINKED", 2, 1},
		"a malformed duplicate":     {simulator.Fault{Kind: simulator.Refusal, Body: "This location does not allow duplicated contacts.", DuplicateOf: "../../oauth", Times: 1}, linkUnknown, "CONTACT_CONFLICT", 1, 0},
		"a duplicate without name":  {refuse(400, "This location does not allow duplicated contacts."), linkUnknown, "CONTACT_CONFLICT", 1, 0},
		"a duplicate that is gone":  {simulator.Fault{Kind: simulator.Refusal, Body: "dup", DuplicateOf: "nobodyAtAll0000001", Times: 1}, linkUnknown, "CONTACT_CONFLICT", 1, 0},
		"a duplicate of elsewhere":  {simulator.Fault{Kind: simulator.Refusal, Body: "dup", DuplicateOf: "contactElsewhere01", Times: 1}, linkUnknown, "CONTACT_CONFLICT", 1, 0},
		"a duplicate, not the lead": {simulator.Fault{Kind: simulator.Refusal, Body: "dup", DuplicateOf: "HERE", Times: 1}, linkConflict, "CONTACT_CONFLICT", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := r.stranger(locationOf(t.Name()))
			if c.fault.DuplicateOf == "HERE" {
				c.fault.DuplicateOf = s.contact(simulator.Contact{Email: "somebody@example.com", Phone: "+12125550199"}).ID
			}
			if c.fault.DuplicateOf == "contactElsewhere01" {
				elsewhere := r.tenant(locationOf(t.Name() + "elsewhere"))
				c.fault.DuplicateOf = elsewhere.contact(simulator.Contact{Email: "eve@example.com"}).ID
			}
			f := c.fault
			f.Match = onCreate
			f.Location = s.location
			late := s.sim.AddFault(f)
			req := s.wish()
			l, e := s.asked(req)
			if c.fault.Kind == simulator.LateAccept {
				late.Free()
			}
			switch c.first {
			case linkRefused, linkConflict:
				if e == nil || e.Reason != c.last {
					t.Fatalf("answered %v %v", l, e)
				}
			default:
				// A budget that is used up for a moment leaves the link planned, and it goes on by itself.
				if e != nil || (l.GetState() != c.first && l.GetReason() != "PROVIDER_RATE_LIMITED") {
					t.Fatalf("answered %v %v, want %v", l, e, c.first)
				}
			}
			l, e = s.ended(req)
			if last := l.GetState(); (e == nil) != (c.last == "LINKED") || (e != nil && e.Reason != c.last) {
				t.Fatalf("ended as %v %v, want %s", last, e, c.last)
			}
			made := s.made()
			if len(s.creates()) != c.posts || len(made) != c.made {
				t.Errorf("%d POSTs, %d contacts, want %d and %d", len(s.creates()), len(made), c.posts, c.made)
			}
			if c.made == 1 && s.get(s.lead).GetGhlContactId() != made[0] {
				t.Errorf("the lead has %q, made was %v", s.get(s.lead).GetGhlContactId(), made)
			}
			if state := s.connected(); state != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED {
				t.Errorf("the connection is %v", state)
			}
		})
	}
}

// connected is the state of the location's connection.
func (w tenant) connected() syncv1.ConnectionState {
	w.Helper()
	out, err := w.admin.GetConnectionHealth(w.Context(), &syncv1.GetConnectionHealthRequest{Parent: w.name})
	if err != nil {
		w.Fatal(err)
	}
	return out.GetConnection().GetState()
}

// setting says whether messages ask for contacts.
func (w tenant) setting(on bool) {
	w.Helper()
	_, err := w.admin.UpdateWorkspace(w.Context(), &syncv1.UpdateWorkspaceRequest{
		Workspace: &syncv1.Workspace{Name: w.name, CreateContacts: on}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"create_contacts"}},
	})
	if err != nil {
		w.Fatal(err)
	}
}

// locationOf makes a location's id of any text.
func locationOf(text string) string {
	id := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') {
			return r
		}
		return -1
	}, text)
	return (id + strings.Repeat("0", 20))[max(0, len(id)-50):][:max(20, min(len(id), 50))]
}

// TestEnsureContactFinds: who is there is linked and never written to; what is said of the contact is known before the first message.
func TestEnsureContactFinds(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	for name, c := range map[string]struct {
		there []simulator.Contact
		want  string // LINKED to the first, or the reason
	}{
		"by both":             {[]simulator.Contact{{Email: "eve@example.com", Phone: "+12125550142"}}, "LINKED"},
		"by email":            {[]simulator.Contact{{Email: "EVE@example.com", Phone: "+12125550177"}}, "LINKED"},
		"by phone":            {[]simulator.Contact{{Phone: "+1 (212) 555-0142"}}, "LINKED"},
		"by another address":  {[]simulator.Contact{{Email: "work@example.com", AdditionalEmails: []string{"eve@example.com"}}}, "LINKED"},
		"two":                 {[]simulator.Contact{{Email: "eve@example.com"}, {Phone: "+12125550142"}}, "CONTACT_CONFLICT"},
		"neither is the lead": {[]simulator.Contact{{Email: "someone@example.com", Phone: "+12125550177"}}, "CREATED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := r.stranger(locationOf(t.Name()))
			var ids []string
			for _, there := range c.there {
				there.FirstName, there.DND, there.Tags = "Other", map[string]string{"SMS": "active"}, []string{"vip"}
				ids = append(ids, s.contact(there).ID)
			}
			before, err := s.sim.Contact(s.location, ids[0])
			if err != nil {
				t.Fatal(err)
			}
			req := s.wish()
			l, e := s.ended(req)
			switch c.want {
			case "LINKED":
				if e != nil || l.GetContact() != ids[0] || l.GetOrigin() != originFound || len(s.creates()) != 0 {
					t.Fatalf("answered %v %v, %d POSTs", l, e, len(s.creates()))
				}
				_, err := s.followups.SendMessage(t.Context(), sms(s.lead, "hello"))
				if e, _ := apierr.From(err); e == nil || e.Reason != "DND_ACTIVE" || e.Metadata["source"] != "gate" {
					t.Errorf("the first message: %v", err)
				}
				if sent := s.sim.Sends(simulator.Filter{Location: s.location}); len(sent) != 0 {
					t.Errorf("%d messages were tried", len(sent))
				}
			case "CREATED":
				if e != nil || l.GetOrigin() != originCreated || len(s.creates()) != 1 {
					t.Errorf("answered %v %v", l, e)
				}
			default:
				named := strings.Split(e.Metadata["contacts"], ",")
				slices.Sort(named)
				slices.Sort(ids)
				if e == nil || e.Reason != c.want || !slices.Equal(named, ids) || len(s.creates()) != 0 || s.get(s.lead).GetGhlContactId() != "" {
					t.Errorf("answered %v %v", l, e)
				}
				s.eventually("the end is told", func() bool { return slices.Contains(s.events.of(s.lead), updated) })
			}
			if after, err := s.sim.Contact(s.location, before.ID); err != nil || after.FirstName != "Other" || after.Email != before.Email || after.Phone != before.Phone {
				t.Errorf("the contact became %+v, %v", after, err)
			}
			if puts := s.sim.Requests(simulator.Filter{Location: s.location, Method: http.MethodPut}); len(puts) != 0 {
				t.Errorf("%d writes to contacts", len(puts))
			}
		})
	}
}

// TestEnsureContactConflicts: a person decides which contact a lead has, and a contact is one lead's.
func TestEnsureContactConflicts(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkConflict1")
	mail, phone := s.contact(simulator.Contact{Email: "eve@example.com"}).ID, s.contact(simulator.Contact{Phone: "+12125550142"}).ID
	wrong := s.contact(simulator.Contact{Email: "wrong@example.com"}).ID
	if _, e := s.asked(s.wish()); e == nil || e.Reason != "CONTACT_CONFLICT" {
		t.Fatalf("two contacts: %v", e)
	}
	list, err := s.admin.ListContactLinks(t.Context(), &syncv1.ListContactLinksRequest{Parent: s.name})
	if err != nil || len(list.GetContactLinks()) != 1 || list.GetContactLinks()[0].GetState() != linkConflict || list.GetContactLinks()[0].GetLead() != s.lead {
		t.Fatalf("what waits for a person: %v %v", list, err)
	}
	elsewhere := r.tenant("locationLinkConflict2").contact(simulator.Contact{Email: "eve@example.com"}).ID
	for id, want := range map[string]string{wrong: "CONTACT_CONFLICT", elsewhere: "CONTACT_CONFLICT", "nobodyAtAll0000001": "CONTACT_NOT_FOUND"} {
		req := s.wish()
		req.Contact = id
		if _, e := s.asked(req); e == nil || e.Reason != want {
			t.Errorf("%s named: %v", id, e)
		}
	}
	if state := s.connected(); state != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED {
		t.Errorf("a contact of elsewhere made the connection %v", state)
	}
	req := s.wish()
	req.Contact = phone
	if l, e := s.asked(req); e != nil || l.GetContact() != phone || l.GetOrigin() != originChosen {
		t.Fatalf("named: %v %v", l, e)
	}
	req = s.wish()
	req.Contact = mail
	if _, e := s.asked(req); e == nil || e.Reason != "CONTACT_CONFLICT" {
		t.Errorf("another contact for a lead that has one: %v", e)
	}
	// The contact of one lead is not given to another: the two are recorded as a conflict.
	second := stranger{tenant: s.tenant, lead: s.upsert(&syncv1.Lead{Email: "twin@example.com"})}
	s.exec(`UPDATE lead SET ghl_contact_id = $1 WHERE id = $2`, s.contact(simulator.Contact{Email: "shared@example.com"}).ID, second.id())
	third := stranger{tenant: s.tenant, lead: s.upsert(&syncv1.Lead{Email: "shared@example.com"})}
	if _, e := third.asked(third.wish()); e == nil || e.Metadata["holder"] != second.lead || e.Metadata["cause"] != "held" {
		t.Errorf("a contact that another lead has: %v", e)
	}
	if c := s.conflicts(false); len(c) != 1 || c[0].GetLead() != third.lead || c[0].GetHolder() != second.lead || c[0].GetValue() != "shared@example.com" {
		t.Errorf("conflicts: %v", c)
	}
	if n := len(s.creates()); n != 0 {
		t.Errorf("%d contacts were asked for", n)
	}
}

func (s stranger) id() string { return s.lead[strings.LastIndexByte(s.lead, '/')+1:] }

// TestEnsureContactGates: what can be mended is answered before anything is stored or asked.
func TestEnsureContactGates(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkGates001")
	alone, err := r.admin.CreateWorkspace(t.Context(), &syncv1.CreateWorkspaceRequest{
		Workspace: &syncv1.Workspace{DisplayName: "Alone", TimeZone: "UTC"}, RequestId: uuid.NewString(),
	})
	if err != nil {
		t.Fatal(err)
	}
	unconnected := tenant{rig: r, name: alone.GetWorkspace().GetName()}.upsert(&syncv1.Lead{Email: "dora@example.com"})
	blocked := s.upsert(&syncv1.Lead{Email: "bo@example.com", Blocked: true})
	for name, c := range map[string]struct {
		change func(*syncv1.EnsureContactRequest)
		want   string
		code   codes.Code
	}{
		"not connected":    {func(q *syncv1.EnsureContactRequest) { q.Lead = unconnected }, "PROVIDER_NOT_CONNECTED", codes.FailedPrecondition},
		"blocked":          {func(q *syncv1.EnsureContactRequest) { q.Lead = blocked }, "LEAD_BLOCKED", codes.FailedPrecondition},
		"no lead":          {func(q *syncv1.EnsureContactRequest) { q.Lead = s.name + "/leads/" + uuid.NewString() }, "", codes.NotFound},
		"no lead's name":   {func(q *syncv1.EnsureContactRequest) { q.Lead = "leads/1" }, "", codes.InvalidArgument},
		"no request id":    {func(q *syncv1.EnsureContactRequest) { q.RequestId = "" }, "", codes.InvalidArgument},
		"no contact's id":  {func(q *syncv1.EnsureContactRequest) { q.Contact = "../../oauth/token" }, "", codes.InvalidArgument},
		"too short an id":  {func(q *syncv1.EnsureContactRequest) { q.Contact = "short" }, "", codes.InvalidArgument},
		"escaped, no id":   {func(q *syncv1.EnsureContactRequest) { q.Contact = "aaaaaaaaaaaaaaa%2Ftags" }, "", codes.InvalidArgument},
		"a zero bytes' id": {func(q *syncv1.EnsureContactRequest) { q.Contact = "aaaaaaaaaaaaaaaaa\x00" }, "", codes.InvalidArgument},
	} {
		req := s.wish()
		c.change(req)
		_, err := s.admin.EnsureContact(t.Context(), req)
		e, _ := apierr.From(err)
		if e == nil || e.Code != c.code || (c.want != "" && e.Reason != c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := s.count(`SELECT count(*) FROM contact_link`); n != 0 || len(s.sim.Requests(simulator.Filter{Location: s.location, Path: "/contacts/*"})) != 0 {
		t.Errorf("%d links, calls %v", n, s.sim.Requests(simulator.Filter{Location: s.location}))
	}
	_, err = s.followups.EnsureContact(t.Context(), s.wish())
	rpctest.RequireError(t, err, codes.PermissionDenied, apierr.ReasonPrincipalNotAllowed)
	// The control, and that a request id is one wish.
	req := s.wish()
	if l, e := s.ended(req); e != nil || l.GetState() != linkLinked {
		t.Fatalf("control: %v %v", l, e)
	}
	req.Lead = blocked
	if _, e := s.asked(req); e.Reason != "REQUEST_ID_REUSED" || e.Metadata["fields"] != "lead" || e.Code != codes.AlreadyExists {
		t.Errorf("reused: %v", e)
	}
}

// TestReadsMakeNoContact: nothing that reads leaves anything at the provider.
func TestReadsMakeNoContact(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkReads001")
	s.setting(true) // even so
	ctx := t.Context()
	for _, err := range []error{
		second(s.admin.GetLead(ctx, &syncv1.GetLeadRequest{Name: s.lead})),
		second(s.admin.BatchGetLeads(ctx, &syncv1.BatchGetLeadsRequest{Parent: s.name, Names: []string{s.lead}})),
		second(s.admin.ListLeads(ctx, &syncv1.ListLeadsRequest{Parent: s.name})),
		second(s.admin.CheckSend(ctx, &syncv1.CheckSendRequest{Parent: s.name, Checks: []*syncv1.SendCheck{{Lead: s.lead, Channel: syncv1.Channel_CHANNEL_SMS}}})),
		second(s.admin.ListConversations(ctx, &syncv1.ListConversationsRequest{Parent: s.name})),
		second(s.admin.ListContactLinks(ctx, &syncv1.ListContactLinksRequest{Parent: s.name})),
		second(s.admin.BackfillConversations(ctx, &syncv1.BackfillConversationsRequest{Parent: s.name, Channel: syncv1.Channel_CHANNEL_SMS})),
		second(s.admin.SyncDueConversations(ctx, &syncv1.SyncDueConversationsRequest{})),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	_, err := s.admin.SyncConversation(ctx, &syncv1.SyncConversationRequest{Name: s.lead + "/conversations/sms"})
	if err == nil {
		t.Error("a lead without contact has no history to compare")
	}
	if posts := s.sim.Requests(simulator.Filter{Location: s.location, Method: http.MethodPost}); len(posts) != 0 || s.count(`SELECT count(*) FROM contact_link`) != 0 {
		t.Errorf("reads left %v", posts)
	}
	if l, e := s.ended(s.wish()); e != nil || len(s.made()) != 1 {
		t.Errorf("control: %v %v", l, e)
	}
}

func second[T any](_ T, err error) error { return err }

// TestLinkCrash: what a caller that died left is looked for, and never asked for again while it may be there.
func TestLinkCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	for name, c := range map[string]struct {
		location string
		called   bool
		posts    int
	}{
		"before the call": {"locationLinkCrash001", false, 1},
		"after the call":  {"locationLinkCrash002", true, 0},
	} {
		s := r.stranger(c.location)
		id, request := uuid.Must(uuid.NewV7()), uuid.New()
		s.exec(`INSERT INTO contact_link (workspace_id, id, lead_id, request_id, state, attempt, email, phone, intent_at, lease_until, create_time, update_time)
			VALUES ($1, $2, $3, $4, 'CALLING', 1, 'eve@example.com', '+12125550142', now(), now() + interval '300 ms', $5, $5)`,
			s.name[len("workspaces/"):], id, s.id(), request, s.clock.Now())
		var left string
		if c.called {
			left = s.contact(simulator.Contact{Email: "eve@example.com", Phone: "+12125550142"}).ID // what the dead caller's POST left
		}
		// Whoever asks meanwhile waits for it.
		if l, e := s.asked(s.wish()); e != nil || l.GetName() != s.name+"/contactLinks/"+id.String() {
			t.Errorf("%s: asked meanwhile: %v %v", name, l, e)
		}
		l := s.link(s.name+"/contactLinks/"+id.String(), linkLinked)
		if len(s.creates()) != c.posts || (c.called && l.GetContact() != left) {
			t.Errorf("%s: %d POSTs, linked to %q, left was %q", name, len(s.creates()), l.GetContact(), left)
		}
	}
}

// TestLinkUnreadable: what cannot be searched is not absent. Nothing is made until it can be, however long that takes.
func TestLinkUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkUnread01")
	lost := simulator.Fault{Match: onCreate, Kind: simulator.AcceptThenReset, Times: 1}
	s.sim.AddFault(lost)
	searches := 0
	blind := s.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "/contacts/search/duplicate"}, Skip: 2, Kind: simulator.Status5xxClean})
	l, e := s.asked(s.wish())
	if e != nil || l.GetState() != linkUnknown {
		t.Fatalf("answered %v %v", l, e)
	}
	s.eventually("looks failed long after S", func() bool {
		searches = blind.Hits()
		return searches >= 3 && s.count(`SELECT count(*) FROM contact_link WHERE intent_at < now() - interval '20 seconds'`) == 1
	})
	if len(s.creates()) != 1 || s.link(l.GetName(), linkUnknown).GetCallCount() != 1 {
		t.Fatalf("%d POSTs", len(s.creates()))
	}
	blind.Remove()
	if l := s.link(l.GetName(), linkLinked); l.GetContact() != s.made()[0] || len(s.creates()) != 1 {
		t.Errorf("linked to %v, %d POSTs", l, len(s.creates()))
	}
}

// TestLinkArrows: the database allows exactly the arrows of the table.
func TestLinkArrows(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkArrows01")
	columns := func(state linking.State) []any {
		contact, how, reason, next := "", "", "", any(nil)
		switch state {
		case linking.Linked:
			contact, how = "contactOne0000001", "FOUND"
		case linking.Conflict, linking.Refused:
			reason = "CONTACT_ABSENT"
		case linking.Planned, linking.Unknown:
			next = s.clock.Now()
		}
		return []any{string(state), contact, how, reason, next}
	}
	for _, from := range linking.States() {
		for _, to := range linking.States() {
			if from == to {
				continue
			}
			err := postgres.InTx(s.Context(), s.db.Pool(t, "sync"), func(tx pgx.Tx) error {
				id := uuid.New()
				_, err := tx.Exec(s.Context(), `INSERT INTO contact_link (state, contact, how, reason, next_time, workspace_id, id, lead_id, create_time, update_time)
					VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now(), now())`, append(columns(from), s.name[len("workspaces/"):], id, s.id())...)
				if err != nil {
					t.Fatal(err)
				}
				_, err = tx.Exec(s.Context(), `UPDATE contact_link SET state = $1, contact = $2, how = $3, reason = $4, next_time = $5 WHERE id = $6`, append(columns(to), id)...)
				return errors.Join(err, errRollback)
			})
			if allowed := !strings.Contains(err.Error(), "may not move") && !strings.Contains(err.Error(), "changed"); allowed != linking.CanMove(from, to) {
				t.Errorf("%s to %s: the table says %v, the database %v", from, to, linking.CanMove(from, to), err)
			}
		}
	}
}
