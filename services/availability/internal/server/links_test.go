package server_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/server"
)

func mask(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }

func newID(t *testing.T) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func parse(t *testing.T, workspace string) uuid.UUID {
	t.Helper()
	id, err := uuid.Parse(workspace[len("workspaces/"):])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) defaults(t *testing.T, workspace string) []string {
	t.Helper()
	out, err := w.admin.ListCalendarLinks(t.Context(), &availabilityv1.ListCalendarLinksRequest{Parent: workspace, PageSize: 500})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, link := range out.GetCalendarLinks() {
		if link.GetDefault() {
			names = append(names, link.GetName())
		}
	}
	return names
}

func TestOneDefaultUnderConcurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	links := make([]*availabilityv1.CalendarLink, 12)
	var work sync.WaitGroup
	for i := range links {
		work.Go(func() { links[i] = w.link(t, acme) })
	}
	work.Wait()
	if names := w.defaults(t, acme); len(names) != 1 {
		t.Fatalf("defaults after creation: %v", names)
	}
	for _, link := range links {
		work.Go(func() {
			_, err := w.admin.SetDefaultCalendarLink(t.Context(), &availabilityv1.SetDefaultCalendarLinkRequest{Name: link.GetName()})
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if names := w.defaults(t, acme); len(names) != 1 {
		t.Fatalf("defaults: %v", names)
	}
	// The database itself refuses a second one.
	err := postgres.InWorkspace(t.Context(), w.pool, parse(t, acme).String(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE calendar_link SET is_default = true`)
		return err
	})
	if !postgres.IsUnique(err, "calendar_link_one_default") {
		t.Errorf("two defaults: %v", err)
	}
}

func TestLinkLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, birch := w.workspace(t), w.workspace(t)
	request := newID(t).String()
	create := &availabilityv1.CreateCalendarLinkRequest{Parent: acme, CalendarLink: ghlLink(), RequestId: request}
	first, err := w.admin.CreateCalendarLink(t.Context(), create)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.admin.CreateCalendarLink(t.Context(), create)
	if err != nil || again.GetCalendarLink().GetName() != first.GetCalendarLink().GetName() {
		t.Fatalf("again: %v %v", again, err)
	}
	for range 4 {
		w.link(t, acme)
	}
	var seen []string
	token := ""
	for {
		page, err := w.admin.ListCalendarLinks(t.Context(), &availabilityv1.ListCalendarLinksRequest{Parent: acme, PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range page.GetCalendarLinks() {
			seen = append(seen, link.GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
		_, err = w.admin.ListCalendarLinks(t.Context(), &availabilityv1.ListCalendarLinksRequest{Parent: birch, PageToken: token})
		rpctest.RequireError(t, err, codes.InvalidArgument, "")
	}
	if len(seen) != 5 || !slices.IsSorted(seen) || seen[0] != first.GetCalendarLink().GetName() {
		t.Errorf("pages: %v", seen)
	}
	// A link of another workspace is not found under this one.
	foreign := birch + seen[0][len(acme):]
	_, err = w.admin.SetDefaultCalendarLink(t.Context(), &availabilityv1.SetDefaultCalendarLinkRequest{Name: foreign})
	rpctest.RequireError(t, err, codes.NotFound, "")
	_, err = w.admin.DeleteCalendarLink(t.Context(), &availabilityv1.DeleteCalendarLinkRequest{Name: foreign})
	rpctest.RequireError(t, err, codes.NotFound, "")
	link := ghlLink()
	link.Name, link.DisplayName = seen[0], "Renamed"
	updated, err := w.admin.UpdateCalendarLink(t.Context(), &availabilityv1.UpdateCalendarLinkRequest{CalendarLink: link, UpdateMask: mask("display_name")})
	if err != nil || updated.GetCalendarLink().GetDisplayName() != "Renamed" || !updated.GetCalendarLink().GetDefault() {
		t.Errorf("update: %v %v", updated, err)
	}
}

func TestBadLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	_, err := w.admin.CreateCalendarLink(t.Context(), &availabilityv1.CreateCalendarLinkRequest{
		Parent: "workspaces/x", RequestId: "y",
		CalendarLink: &availabilityv1.CalendarLink{PublicUrl: "http://book.example.com", DisplayName: "a\nb"},
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 4 {
		t.Errorf("violations: %+v", e.Violations)
	}
	calendly := ghlLink()
	calendly.PublicUrl = "https://www.Calendly.com/acme/intro"
	_, err = w.admin.CreateCalendarLink(t.Context(), &availabilityv1.CreateCalendarLinkRequest{Parent: acme, CalendarLink: calendly})
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "UNSUPPORTED_CALENDAR"); e.Metadata["provider_host"] != "www.calendly.com" {
		t.Errorf("metadata %v", e.Metadata)
	}
	_, err = w.admin.CreateCalendarLink(t.Context(), &availabilityv1.CreateCalendarLinkRequest{
		Parent: "workspaces/" + newID(t).String(), CalendarLink: ghlLink(),
	})
	rpctest.RequireError(t, err, codes.NotFound, "")
	link := w.link(t, acme)
	_, err = w.admin.UpdateCalendarLink(t.Context(), &availabilityv1.UpdateCalendarLinkRequest{CalendarLink: link, UpdateMask: mask("default")})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	_, err = w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{
		Parent: acme, TimeZone: "Mars/X", MaxAge: durationpb.New(-time.Second),
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Errorf("violations: %+v", e.Violations)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	got, err := w.admin.GetSettings(t.Context(), &availabilityv1.GetSettingsRequest{Parent: acme})
	s := got.GetSettings()
	if err != nil || s.GetMeetingDuration().AsDuration() != 30*time.Minute || s.GetLookAhead().AsDuration() != 30*24*time.Hour || s.GetUpdateTime() != nil {
		t.Fatalf("defaults: %v %v", got, err)
	}
	out, err := w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
		Parent: acme, Settings: &availabilityv1.Settings{LookAhead: durationpb.New(48 * time.Hour)}, UpdateMask: mask("look_ahead"),
	})
	if s = out.GetSettings(); err != nil || s.GetLookAhead().AsDuration() != 48*time.Hour || s.GetMeetingDuration().AsDuration() != 30*time.Minute {
		t.Fatalf("updated: %v %v", out, err)
	}
	if s.GetName() != acme+"/availabilitySettings" || !s.GetUpdateTime().AsTime().Equal(now()) {
		t.Errorf("updated: %v", s)
	}
	_, err = w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
		Parent: acme, Settings: &availabilityv1.Settings{LookAhead: durationpb.New(32 * 24 * time.Hour)}, UpdateMask: mask("look_ahead", "x"),
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Errorf("violations: %+v", e.Violations)
	}
}

// Every method is tried by every kind of caller; what the table does not name is refused.
func TestPolicyOverEveryMethodAndKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	allowed := map[string][]principal.Kind{
		"GetSlots":               {principal.KindFollowUps, principal.KindAdmin},
		"OfferSlots":             {principal.KindFollowUps, principal.KindAdmin},
		"BookSlot":               {principal.KindFollowUps, principal.KindAdmin},
		"ListOffers":             {principal.KindFollowUps, principal.KindAdmin},
		"ExplainAvailability":    {principal.KindFollowUps, principal.KindAdmin},
		"RefreshDueAvailability": {principal.KindCron, principal.KindAvailability, principal.KindAdmin},
	}
	methods := availabilityv1.AvailabilityService_ServiceDesc.Methods
	if len(methods) != len(server.Policy()) || len(methods) != 16 {
		t.Fatalf("%d methods, %d rows", len(methods), len(server.Policy()))
	}
	for _, kind := range principal.AllKinds() {
		who := principal.Principal{Kind: kind}
		if kind == principal.KindUser {
			who.ID = "u1"
		}
		if kind == principal.KindWebhook {
			who.Workspace = newID(t).String()
		}
		conn := w.server.ConnAs(t, who)
		for _, m := range methods {
			kinds, named := allowed[m.MethodName]
			if !named {
				kinds = []principal.Kind{principal.KindAdmin}
			}
			err := invoke(t.Context(), conn, m.MethodName)
			if got := apierr.Reason(err) != "PRINCIPAL_NOT_ALLOWED"; got != slices.Contains(kinds, kind) {
				t.Errorf("%s by %s: %v", m.MethodName, kind, err)
			}
		}
	}
}

func invoke(ctx context.Context, conn *grpc.ClientConn, method string) error {
	// An empty message of any kind is empty on the wire.
	return conn.Invoke(ctx, "/relance.availability.v1.AvailabilityService/"+method,
		&availabilityv1.GetSettingsRequest{}, &availabilityv1.DeleteCalendarLinkResponse{})
}

// A caller bound to one workspace sees no other, at the edge and in the database.
func TestTenancy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, birch := w.workspace(t), w.workspace(t)
	w.link(t, acme)
	w.link(t, birch)
	bound := availabilityv1.NewAvailabilityServiceClient(w.server.ConnAs(t, principal.Principal{
		Kind: principal.KindAdmin, Workspace: parse(t, acme).String(),
	}))
	for name, want := range map[string]codes.Code{acme: codes.OK, birch: codes.PermissionDenied} {
		_, err := bound.ListCalendarLinks(t.Context(), &availabilityv1.ListCalendarLinksRequest{Parent: name})
		_, second := bound.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: name})
		if apierr.Code(err) != want || apierr.Code(second) != want {
			t.Errorf("%s: %v %v", name, err, second)
		}
	}
	for _, table := range []string{"calendar_link", "availability"} {
		count := func(tx pgx.Tx) (n int) {
			if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		var one, all, none int
		err := postgres.InWorkspace(t.Context(), w.pool, parse(t, acme).String(), func(tx pgx.Tx) error { one = count(tx); return nil })
		if err == nil {
			err = postgres.InTx(t.Context(), w.pool, func(tx pgx.Tx) error { all = count(tx); return nil })
		}
		if err == nil {
			err = pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { none = count(tx); return nil })
		}
		if err != nil || one != 1 || all != 2 || none != 0 {
			t.Errorf("%s: %d rows in a workspace, %d in all, %d without scope (%v)", table, one, all, none, err)
		}
	}
	err := postgres.InWorkspace(t.Context(), w.pool, parse(t, acme).String(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO availability (workspace_id) VALUES ($1)`, newID(t))
		return err
	})
	if err == nil {
		t.Error("a row of another workspace was written")
	}
}
