package sync_test

import (
	"errors"
	"net/http"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

// TestBookRefused: a refusal is final or passes, and says which.
func TestBookRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	onBook := simulator.Match{Method: http.MethodPost, Path: "/calendars/events/appointments"}
	refuse := func(status int, body string) *simulator.Fault {
		return &simulator.Fault{Match: onBook, Kind: simulator.Refusal, Status: status, Body: body, Times: 1}
	}
	for name, c := range map[string]struct {
		location, want string
		fault          *simulator.Fault
		before         func(diary)
		// passes says that the same request books in the end.
		passes bool
		posts  int
	}{
		"somebody else's":      {location: "locationBookRefuse01", want: "SLOT_TAKEN", posts: 1, before: func(d diary) { d.visit("somebodyElse000001", 0) }},
		"409":                  {location: "locationBookRefuse02", want: "SLOT_TAKEN", posts: 1, fault: refuse(409, "conflict")},
		"the calendar is off":  {location: "locationBookRefuse03", want: "CALENDAR_INACTIVE", posts: 1, fault: refuse(400, "Calendar is inactive")},
		"unknown words":        {location: "locationBookRefuse04", want: "REFUSED_UNCLASSIFIED", posts: 1, fault: refuse(400, "whatever")},
		"the contact is gone":  {location: "locationBookRefuse05", want: "CONTACT_NOT_FOUND", posts: 1, fault: refuse(400, "Contact not found for id:x")},
		"429":                  {location: "locationBookRefuse06", want: "PROVIDER_RATE_LIMITED", posts: 2, passes: true, fault: &simulator.Fault{Match: onBook, Kind: simulator.Status429, RetryAfter: "1", Times: 1}},
		"calendar unreadable":  {location: "locationBookRefuse07", want: "PROVIDER_UNAVAILABLE", posts: 1, passes: true, fault: &simulator.Fault{Match: simulator.Match{Path: "/calendars/calendar*"}, Kind: simulator.Status5xxClean, Times: 1}},
		"the token is refused": {location: "locationBookRefuse08", want: "PROVIDER_AUTH_REVOKED", posts: 1, fault: refuse(401, "The token is not authorized for this scope.")},
	} {
		d := r.diary(c.location)
		if c.before != nil {
			c.before(d)
		}
		if c.fault != nil {
			c.fault.Location = d.location
			d.sim.AddFault(*c.fault)
		}
		req := d.ask(0)
		ask := d.made // by which a budget that is used up for a moment is no answer
		if c.want == "PROVIDER_RATE_LIMITED" {
			ask = d.asked
		}
		if b, why := ask(req); why != c.want {
			t.Errorf("%s: %v %q, want %s", name, b, why, c.want)
			continue
		}
		if c.passes {
			d.eventually(name+" passes", func() bool { b, _ := d.made(req); return b.GetState() == stateBooked })
		} else if _, why := d.made(req); why != c.want {
			t.Errorf("%s: asked again: %q", name, why)
		}
		if d.posts() != c.posts {
			t.Errorf("%s: %d POSTs, want %d", name, d.posts(), c.posts)
		}
		events := len(d.events.of(d.lead))
		if !c.passes && events != 0 {
			t.Errorf("%s: %d events", name, events)
		}
	}
}

// visit books as a visitor of the booking page does.
func (d diary) visit(contact string, n int) string {
	d.Helper()
	id, err := d.sim.Book(d.calendar, contact, d.slot(n))
	if err != nil {
		d.Fatal(err)
	}
	return id
}

// TestBookOwn: "taken" by the lead's own appointment is a success, whether we know of it or not.
func TestBookOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	d := r.diary("locationBookOwn00001")
	own := d.visit(d.contact.ID, 0)
	if b, why := d.made(d.ask(0)); b.GetAppointment() != own || d.posts() != 1 {
		t.Errorf("taken by an appointment that only the provider knows: %v %s, %d POSTs", b, why, d.posts())
	}
	own = d.visit(d.contact.ID, 2)
	hook, err := d.sim.AppointmentWebhook(own)
	if err != nil {
		t.Fatal(err)
	}
	d.accept(hook)
	d.settled()
	if b, why := d.made(d.ask(2)); b.GetAppointment() != own || d.posts() != 1 {
		t.Errorf("taken by an appointment that is known: %v %s, %d POSTs", b, why, d.posts())
	}
	if len(d.standing()) != 2 {
		t.Errorf("%d appointments", len(d.standing()))
	}
}

// TestBookRace: of two leads who want one slot one gets it, and of one lead's two wishes one goes first.
func TestBookRace(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	d := r.diary("locationBookRace0001")
	second := d
	second.lead, second.contact = d.tenant.lead(simulator.Contact{FirstName: "Bob", Phone: "+12025550124"})
	for n := range 4 {
		var wait stdsync.WaitGroup
		var mu stdsync.Mutex
		got := map[string]int{}
		for _, who := range []diary{d, second} {
			wait.Go(func() {
				b, why := who.made(who.ask(n))
				mu.Lock()
				got[b.GetState().String()+why]++
				mu.Unlock()
			})
		}
		wait.Wait()
		if got[stateBooked.String()] != 1 || got["BOOKING_STATE_UNSPECIFIEDSLOT_TAKEN"] != 1 {
			t.Errorf("slot %d: %v", n, got)
		}
	}
	if len(d.standing()) != 4 {
		t.Errorf("%d appointments", len(d.standing()))
	}
}

// TestBookCrash: a caller that is gone between claim and outcome leaves a booking that is settled after its lease.
func TestBookCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	for name, c := range map[string]struct {
		location string
		called   bool
		want     syncv1.BookingState
	}{
		"before the call": {"locationBookCrash01", false, stateRefused},
		"after the call":  {"locationBookCrash02", true, stateBooked},
	} {
		d := r.diary(c.location)
		req := d.ask(0)
		id := uuid.Must(uuid.NewV7())
		workspace, lead := d.name[len("workspaces/"):], d.lead[len(d.name+"/leads/"):]
		d.exec(`INSERT INTO booking_intent (workspace_id, id, lead_id, request_id, provider, calendar, calendar_link, start_time, end_time, state,
			attempt, intent_at, claim_time, lease_until, create_time, update_time)
			VALUES ($1, $2, $3, $4, 'ghl', $5, '', $6, $7, 'CALLING', 1, now(), $8, now() + interval '300 ms', $8, $8)`,
			workspace, id, lead, req.GetRequestId(), d.calendar, d.slot(0), d.slot(1), d.clock.Now())
		if c.called {
			d.visit(d.contact.ID, 0) // what the dead caller's POST left
		}
		b := d.settledAs(d.name+"/bookings/"+id.String(), c.want)
		if d.posts() != 0 {
			t.Errorf("%s: %d POSTs", name, d.posts())
		}
		if c.called && b.GetAppointment() != d.standing()[0].ID {
			t.Errorf("%s: the booking names %q", name, b.GetAppointment())
		}
	}
}

// TestBookUnreadable: lists that cannot be read do not show absence. After long enough a person has to look, and evidence that
// comes later still settles it.
func TestBookUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	d := r.diary("locationBookUnread01")
	d.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Method: http.MethodPost, Path: "/calendars/events/appointments"}, Kind: simulator.AcceptThenReset, Times: 1,
	})
	blind := d.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Method: http.MethodGet, Path: "/contacts/" + d.contact.ID + "/appointments"}, Kind: simulator.Status5xxClean,
	})
	b, why := d.made(d.ask(0))
	if b.GetState() != stateUnknown {
		t.Fatalf("answered %v %s", b, why)
	}
	b = d.settledAs(b.GetName(), syncv1.BookingState_BOOKING_STATE_PARKED)
	if b.GetReason() != "BOOKING_AMBIGUOUS" || d.posts() != 1 {
		t.Errorf("parked for %q, %d POSTs", b.GetReason(), d.posts())
	}
	blind.Remove()
	hook, err := d.sim.AppointmentWebhook(d.standing()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	d.accept(hook)
	if b = d.settledAs(b.GetName(), stateBooked); b.GetAppointment() != d.standing()[0].ID {
		t.Errorf("the booking names %q", b.GetAppointment())
	}
}

// TestBookedForALeadThatWasBlocked: nothing more is booked for a lead that was blocked meanwhile; what was booked is looked for.
func TestBookedForALeadThatWasBlocked(t *testing.T) {
	t.Parallel()
	d := newRig(t, noPolls).diary("locationBookBlock001")
	d.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Method: http.MethodPost, Path: "/calendars/events/appointments"}, Kind: simulator.AcceptThenReset, Times: 1,
	})
	blind := d.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Method: http.MethodGet, Path: "/contacts/" + d.contact.ID + "/appointments"}, Kind: simulator.Status5xxClean,
	})
	b, why := d.made(d.ask(0))
	if b.GetState() != stateUnknown {
		t.Fatalf("answered %v %s", b, why)
	}
	d.exec(`UPDATE lead SET blocked = true`)
	blind.Remove()
	if b = d.settledAs(b.GetName(), stateBooked); b.GetAppointment() != d.standing()[0].ID {
		t.Errorf("the booking names %q", b.GetAppointment())
	}
	if _, why := d.made(d.ask(4)); why != "LEAD_BLOCKED" {
		t.Errorf("another booking: %q", why)
	}
}

// TestBookingArrows: the database allows exactly the arrows of the table.
func TestBookingArrows(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	d := r.diary("locationBookArrows01")
	workspace, lead := d.name[len("workspaces/"):], d.lead[len(d.name+"/leads/"):]
	appointment := map[booking.State]string{booking.Booked: "appointmentOne00001"}
	for _, from := range booking.States() {
		for _, reason := range []sending.Reason{"", booking.Absent, booking.SlotTaken} {
			for _, to := range booking.States() {
				if from == to || (reason != "" && from != booking.Refused) {
					continue
				}
				err := postgres.InTx(d.Context(), d.db.Pool(t, "sync"), func(tx pgx.Tx) error {
					id := uuid.New()
					_, err := tx.Exec(d.Context(), `INSERT INTO booking_intent (workspace_id, id, lead_id, request_id, provider, calendar, calendar_link,
						start_time, end_time, state, reason, appointment, create_time, update_time)
						VALUES ($1, $2, $3, $2, 'ghl', 'c', '', now(), now() + interval '1 hour', $4, $5, $6, now(), now())`,
						workspace, id, lead, string(from), string(reason), appointment[from])
					if err != nil {
						t.Fatal(err)
					}
					_, err = tx.Exec(d.Context(), `UPDATE booking_intent SET state = $2, appointment = $3 WHERE id = $1`, id, string(to), appointment[to])
					return errors.Join(err, errRollback)
				})
				if allowed := !strings.Contains(err.Error(), "may not move") && !strings.Contains(err.Error(), "changed"); allowed != booking.CanMove(from, reason, to) {
					t.Errorf("%s (%s) to %s: the table says %v, the database %v", from, reason, to, booking.CanMove(from, reason, to), err)
				}
			}
		}
	}
}

var errRollback = errors.New("roll back")

// TestBookGates: what can be mended is answered before anything is stored.
func TestBookGates(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	d := r.diary("locationBookGates001")
	bare, err := d.admin.UpsertLead(d.Context(), &syncv1.UpsertLeadRequest{Parent: d.name, Lead: &syncv1.Lead{Email: "cid@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	alone, err := r.admin.CreateWorkspace(r.Context(), &syncv1.CreateWorkspaceRequest{
		Workspace: &syncv1.Workspace{DisplayName: "Alone", TimeZone: "UTC"}, RequestId: uuid.NewString(),
	})
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.admin.UpsertLead(d.Context(), &syncv1.UpsertLeadRequest{Parent: alone.GetWorkspace().GetName(), Lead: &syncv1.Lead{Email: "dora@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*syncv1.BookAppointmentRequest)
		reason string
		code   codes.Code
	}{
		"no contact":        {func(q *syncv1.BookAppointmentRequest) { q.Lead = bare.GetLead().GetName() }, "CONTACT_NOT_FOUND", codes.FailedPrecondition},
		"not connected":     {func(q *syncv1.BookAppointmentRequest) { q.Lead = other.GetLead().GetName() }, "PROVIDER_NOT_CONNECTED", codes.FailedPrecondition},
		"no such lead":      {func(q *syncv1.BookAppointmentRequest) { q.Lead = d.name + "/leads/" + uuid.NewString() }, "", codes.NotFound},
		"over":              {func(q *syncv1.BookAppointmentRequest) { q.StartTime = timestamppb.New(d.slot(-9)) }, "", codes.InvalidArgument},
		"ends at its start": {func(q *syncv1.BookAppointmentRequest) { q.EndTime = q.GetStartTime() }, "", codes.InvalidArgument},
		"no id":             {func(q *syncv1.BookAppointmentRequest) { q.RequestId = "" }, "", codes.InvalidArgument},
		"other provider":    {func(q *syncv1.BookAppointmentRequest) { q.Provider = "hubspot" }, "", codes.InvalidArgument},
		"known only":        {func(q *syncv1.BookAppointmentRequest) { q.KnownOnly = true }, "", codes.NotFound},
	} {
		req := d.ask(0)
		c.change(req)
		_, err := d.book.BookAppointment(d.Context(), req)
		e, _ := apierr.From(err)
		if apierr.Code(err) != c.code || (c.reason != "" && (e == nil || e.Reason != c.reason)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := d.count(`SELECT count(*) FROM booking_intent`); n != 0 || d.posts() != 0 {
		t.Errorf("%d bookings stored, %d POSTs", n, d.posts())
	}
}

// TestTakenFeed: the feed tells what appointments take and give back, from a cursor on.
func TestTakenFeed(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	d := r.diary("locationTakenFeed001")
	read := func(cursor string) (*syncv1.ListTakenTimesResponse, map[string]bool) {
		out, err := d.book.ListTakenTimes(d.Context(), &syncv1.ListTakenTimesRequest{Cursor: cursor, PageSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		taken := map[string]bool{}
		for page := out; ; {
			for _, x := range page.GetTimes() {
				taken[x.GetAppointment()] = x.GetTaken()
			}
			if out = page; !page.GetMore() {
				return out, taken
			}
			if page, err = d.book.ListTakenTimes(d.Context(), &syncv1.ListTakenTimesRequest{Cursor: page.GetCursor(), PageSize: 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	end, none := read("")
	if len(none) != 0 {
		t.Fatalf("before any: %v", none)
	}
	one, _ := d.made(d.ask(0))
	two, _ := d.made(d.ask(2))
	end, both := read(end.GetCursor())
	if len(both) != 2 || !both[one.GetAppointment()] || !both[two.GetAppointment()] {
		t.Fatalf("after two bookings: %v", both)
	}
	d.accept(d.appointment(t, d.contact.ID, "AppointmentUpdate", "cancelled", time.Hour).With("appointment.id", one.GetAppointment()))
	d.settled()
	if _, now := read(end.GetCursor()); now[one.GetAppointment()] {
		t.Errorf("after a cancellation: %v", now)
	}
	if _, err := d.book.ListTakenTimes(d.Context(), &syncv1.ListTakenTimesRequest{Cursor: "?"}); apierr.Code(err) != codes.InvalidArgument {
		t.Errorf("foreign cursor: %v", err)
	}
}
