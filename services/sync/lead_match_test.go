package sync_test

import (
	"fmt"
	"slices"
	stdsync "sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const (
	keep = syncv1.LeadConflictResolution_LEAD_CONFLICT_RESOLUTION_KEEP
	move = syncv1.LeadConflictResolution_LEAD_CONFLICT_RESOLUTION_MOVE
)

// upsert says a lead and answers its name.
func (w tenant) upsert(l *syncv1.Lead) string {
	w.Helper()
	out, err := w.admin.UpsertLead(w.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: l})
	if err != nil {
		w.Fatal(err)
	}
	return out.GetLead().GetName()
}

func (w tenant) get(lead string) *syncv1.Lead {
	w.Helper()
	out, err := w.admin.GetLead(w.Context(), &syncv1.GetLeadRequest{Name: lead})
	if err != nil {
		w.Fatal(err)
	}
	return out.GetLead()
}

// conflicts lists all conflicts, or those that nobody decided, one a page.
func (w tenant) conflicts(all bool) (out []*syncv1.LeadConflict) {
	w.Helper()
	req := &syncv1.ListLeadConflictsRequest{Parent: w.name, ShowResolved: all, PageSize: 1}
	for {
		page, err := w.admin.ListLeadConflicts(w.Context(), req)
		if err != nil {
			w.Fatal(err)
		}
		out = append(out, page.GetLeadConflicts()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return out
		}
	}
}

// TestOnePersonIsOneLead lets fifty writers say the same person at once, in different words.
func TestOnePersonIsOneLead(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	for round := range 5 {
		own, other := fmt.Sprintf("ann%d@example.com", round), fmt.Sprintf("ann%d@example.org", round)
		phone := fmt.Sprintf("+1212555019%d", round)
		words := []*syncv1.Lead{
			{Email: own},
			{Email: own, Phone: phone},
			{Email: other, AlternateEmails: []string{own}},
			{Phone: phone, AlternateEmails: []string{own, other}},
			{Email: own, AlternateEmails: []string{other}},
			{GhlContactId: fmt.Sprintf("ann45678901234567%d", round), Email: own, Phone: phone},
		}
		var wait stdsync.WaitGroup
		got := make([]string, 50)
		start := make(chan struct{})
		for i := range got {
			wait.Go(func() {
				<-start
				said := proto.Clone(words[i%len(words)]).(*syncv1.Lead)
				out, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: said})
				if err != nil {
					t.Error(err)
				}
				got[i] = out.GetLead().GetName()
			})
		}
		close(start)
		wait.Wait()
		if names := slices.Compact(slices.Sorted(slices.Values(got))); len(names) != 1 || w.count(`SELECT count(*) FROM lead`) != round+1 {
			t.Errorf("round %d: %d leads: %v", round, w.count(`SELECT count(*) FROM lead`)-round, names)
		}
	}
	if n := len(w.conflicts(true)); n != 0 {
		t.Errorf("%d conflicts of one person", n)
	}
}

func TestLeadsMatchByPriority(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	byContact := w.upsert(&syncv1.Lead{GhlContactId: "contact0123456789"})
	byEmail := w.upsert(&syncv1.Lead{Email: "Ann@Example.com"})
	byOther := w.upsert(&syncv1.Lead{Email: "bob@example.com", AlternateEmails: []string{"Bob@Work.example.com"}})
	byPhone := w.upsert(&syncv1.Lead{Phone: "(212) 555-0191"})
	if got := w.get(byOther).GetAlternateEmails(); !slices.Equal(got, []string{"bob@work.example.com"}) {
		t.Errorf("alternates = %v", got)
	}
	for _, c := range []struct {
		name string
		said *syncv1.Lead
		want string
	}{
		{"email alone", &syncv1.Lead{Email: "ann@example.com"}, byEmail},
		{"another address alone", &syncv1.Lead{Email: "bob@work.example.com"}, byOther},
		{"said among others", &syncv1.Lead{Email: "new@example.com", AlternateEmails: []string{"ann@example.com"}}, byEmail},
		{"phone alone, written otherwise", &syncv1.Lead{Phone: "+1 212 555 0191"}, byPhone},
		{"contact before email", &syncv1.Lead{GhlContactId: "contact0123456789", Email: "ann@example.com"}, byContact},
		{"email before another address", &syncv1.Lead{Email: "ann@example.com", AlternateEmails: []string{"bob@example.com"}}, byEmail},
		{"another address before phone", &syncv1.Lead{Email: "bob@work.example.com", Phone: "+12125550191"}, byOther},
	} {
		if got := w.upsert(c.said); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if n := w.count(`SELECT count(*) FROM lead`); n != 4 {
		t.Errorf("%d leads, want 4", n)
	}
	// What two leads hold is on record, once however often it is said, and nothing moved.
	w.upsert(&syncv1.Lead{GhlContactId: "contact0123456789", Email: "ann@example.com"})
	type conflict struct{ lead, holder, key, value string }
	var got []conflict
	for _, c := range w.conflicts(false) {
		got = append(got, conflict{c.GetLead(), c.GetHolder(), c.GetKey(), c.GetValue()})
	}
	want := []conflict{
		{byOther, byPhone, "phone", "+12125550191"}, {byEmail, byOther, "email", "bob@example.com"}, {byContact, byEmail, "email", "ann@example.com"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("conflicts = %v, want %v", got, want)
	}
	if w.get(byContact).GetEmail() != "" || w.get(byEmail).GetEmail() != "ann@example.com" || w.get(byPhone).GetPhone() != "+12125550191" {
		t.Error("an identity moved by itself")
	}
}

func TestAPersonResolvesConflicts(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	holder := w.upsert(&syncv1.Lead{Email: "ann@example.com", Phone: "+12125550192"})
	taken := w.upsert(&syncv1.Lead{GhlContactId: "contact0123456789", Email: "old@example.com"})
	both := &syncv1.Lead{GhlContactId: "contact0123456789", Phone: "+12125550192", AlternateEmails: []string{"ann@example.com"}}
	w.upsert(both)
	open := w.conflicts(false)
	if len(open) != 2 || open[0].GetLead() != taken || open[0].GetHolder() != holder {
		t.Fatalf("conflicts = %v", open)
	}
	resolve := func(client syncv1.SyncServiceClient, name string, r syncv1.LeadConflictResolution) (*syncv1.LeadConflict, error) {
		out, err := client.ResolveLeadConflict(t.Context(), &syncv1.ResolveLeadConflictRequest{Name: name, Resolution: r, Reason: " one person "})
		return out.GetLeadConflict(), err
	}
	_, err := resolve(w.followups, open[0].GetName(), move)
	rpctest.RequireError(t, err, codes.PermissionDenied, apierr.ReasonPrincipalNotAllowed)
	_, err = resolve(w.admin, w.name+"/leadConflicts/"+uuid.NewString(), move)
	rpctest.RequireError(t, err, codes.NotFound, "")
	_, err = w.admin.ResolveLeadConflict(t.Context(), &syncv1.ResolveLeadConflictRequest{Name: taken})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 3 {
		t.Errorf("violations = %+v", e.Violations)
	}
	for _, c := range open {
		first, err := resolve(w.user(w.name), c.GetName(), move)
		if err != nil || first.GetResolution() != move || first.GetReason() != "one person" || first.GetResolver() == "" || first.GetResolveTime() == nil {
			t.Fatalf("resolved = %v, %v", first, err)
		}
		if again, err := resolve(w.admin, c.GetName(), move); err != nil || !proto.Equal(first, again) {
			t.Errorf("again = %v, %v", again, err)
		}
		_, err = resolve(w.admin, c.GetName(), keep)
		if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_CONFLICT_SETTLED"); e.Metadata["resolution"] != "MOVE" {
			t.Errorf("metadata = %v", e.Metadata)
		}
	}
	if l := w.get(taken); l.GetPhone() != "+12125550192" || l.GetEmail() != "old@example.com" || !slices.Equal(l.GetAlternateEmails(), []string{"ann@example.com"}) {
		t.Errorf("lead = %v", l)
	}
	if l := w.get(holder); l.GetPhone() != "" || l.GetEmail() != "" || len(l.GetAlternateEmails()) != 0 {
		t.Errorf("holder = %v", l)
	}
	if got := w.upsert(&syncv1.Lead{Email: "ann@example.com"}); got != taken {
		t.Errorf("the address means %s", got)
	}
	// What was decided is not asked again; and what is not held any more cannot be moved.
	w.upsert(&syncv1.Lead{Email: "eve@example.com"})
	w.upsert(&syncv1.Lead{GhlContactId: "contact0123456789", Email: "eve@example.com"})
	if _, err := resolve(w.admin, w.conflicts(false)[0].GetName(), keep); err != nil {
		t.Fatal(err)
	}
	w.upsert(&syncv1.Lead{GhlContactId: "contact0123456789", Email: "eve@example.com"})
	if n := len(w.conflicts(false)); n != 0 || len(w.conflicts(true)) != 3 {
		t.Errorf("%d conflicts are open", n)
	}
	w.upsert(&syncv1.Lead{Email: "kim@example.com"})
	w.upsert(&syncv1.Lead{GhlContactId: "contact0123456789", Email: "kim@example.com"})
	w.exec(`UPDATE lead SET email = NULL WHERE email = 'kim@example.com'`)
	_, err = resolve(w.admin, w.conflicts(false)[0].GetName(), move)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_CONFLICT_SETTLED")
}

func TestAdditionalEmailsOfAContactMatch(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead := w.upsert(&syncv1.Lead{Email: "private@example.com"})
	c := w.contact(simulator.Contact{Email: "work@example.com", AdditionalEmails: []string{"Private@example.com"}, Phone: "+12125550193"})
	stranger := w.contact(simulator.Contact{Email: "else@example.com", Phone: "+12125550194"})
	for _, id := range []string{c.ID, stranger.ID} {
		w.accept(w.said(id, "Hi").Webhook)
	}
	w.settled()
	if l := w.leadOf(c.ID); l.GetName() != lead || l.GetPhone() != c.Phone {
		t.Errorf("lead = %v, want %s", l, lead)
	}
	if n := w.count(`SELECT count(*) FROM lead`); n != 2 || w.leadOf(stranger.ID).GetName() == lead {
		t.Errorf("%d leads, want 2", n)
	}
	if l := w.get(lead); l.GetEmail() != "work@example.com" || !slices.Equal(l.GetAlternateEmails(), []string{"private@example.com"}) {
		t.Errorf("lead = %v", l)
	}
	for _, email := range []string{"work@example.com", "private@example.com"} {
		if n := w.upsert(&syncv1.Lead{Email: email}); n != lead {
			t.Errorf("%s means %s", email, n)
		}
	}
}
