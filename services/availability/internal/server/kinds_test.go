package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
)

const (
	feedURL   = "https://calendar.example.com/private-0123456789/basic.ics"
	linkToken = "token-that-nobody-sees"
)

func (w *world) create(t *testing.T, workspace string, link *availabilityv1.CalendarLink) (*availabilityv1.CalendarLink, error) {
	t.Helper()
	if link.GetDisplayName() == "" {
		link.DisplayName = "Intro"
	}
	out, err := w.admin.CreateCalendarLink(t.Context(), &availabilityv1.CreateCalendarLinkRequest{Parent: workspace, CalendarLink: link})
	return out.GetCalendarLink(), err
}

func TestKindsAreToldByTheirAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	for _, c := range []struct {
		in       *availabilityv1.CalendarLink
		provider availabilityv1.CalendarProvider
		id       string
	}{
		{&availabilityv1.CalendarLink{PublicUrl: "https://calendly.com/acme/intro?utm=x"}, availabilityv1.CalendarProvider_CALENDAR_PROVIDER_CALENDLY, "acme/intro"},
		{&availabilityv1.CalendarLink{PublicUrl: "https://acme.example.com/book", SourceUrl: "calendly.com/acme"}, availabilityv1.CalendarProvider_CALENDAR_PROVIDER_CALENDLY, "acme"},
		{&availabilityv1.CalendarLink{PublicUrl: "https://meetings-eu1.hubspot.com/jane/intro", ApiToken: linkToken}, availabilityv1.CalendarProvider_CALENDAR_PROVIDER_HUBSPOT, "eu1:jane/intro"},
		{&availabilityv1.CalendarLink{PublicUrl: "https://api.leadconnectorhq.com/widget/booking/ocQHyuzHvysMo5N5VsXc"}, availabilityv1.CalendarProvider_CALENDAR_PROVIDER_GHL, "ocQHyuzHvysMo5N5VsXc"},
		{&availabilityv1.CalendarLink{
			PublicUrl: "https://acme.example.com/book", SourceUrl: feedURL,
			WorkingHours: &availabilityv1.WorkingHours{TimeZone: "Europe/Paris", Step: durationpb.New(15 * time.Minute)},
		}, availabilityv1.CalendarProvider_CALENDAR_PROVIDER_ICALENDAR, ""},
		{&availabilityv1.CalendarLink{
			Provider: availabilityv1.CalendarProvider_CALENDAR_PROVIDER_ICALENDAR, PublicUrl: "https://acme.example.com/book",
			SourceUrl:    "https://calendar.example.com/feed?key=0123456789",
			WorkingHours: &availabilityv1.WorkingHours{TimeZone: "Europe/Paris", Days: []int32{7, 1}, Start: "08:30", End: "24:00"},
		}, availabilityv1.CalendarProvider_CALENDAR_PROVIDER_ICALENDAR, ""},
	} {
		got, err := w.create(t, acme, c.in)
		if err != nil || got.GetProvider() != c.provider || got.GetExternalId() != c.id || got.GetHasApiToken() != (c.in.GetApiToken() != "") {
			t.Errorf("%v: %v, %v", c.in, got, err)
		}
		if text := got.String(); strings.Contains(text, linkToken) || strings.Contains(text, "0123456789") {
			t.Errorf("the answer tells a secret: %s", text)
		}
		hours := got.GetWorkingHours()
		if want := c.in.GetWorkingHours(); want != nil && (hours.GetTimeZone() != want.GetTimeZone() || len(hours.GetDays()) == 0 || hours.GetEnd() == "" ||
			(want.GetEnd() != "" && hours.GetEnd() != want.GetEnd())) {
			t.Errorf("working hours %v became %v", want, hours)
		}
	}
	w.noSecretsAtRest(t)
}

// noSecretsAtRest reads every link as the database keeps it.
func (w *world) noSecretsAtRest(t *testing.T) {
	t.Helper()
	var rows, secrets int
	err := postgres.InTx(t.Context(), w.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE l::text LIKE '%token-that%' OR l::text LIKE '%0123456789%'
       OR encode(l.source_enc, 'escape') LIKE '%private%' OR encode(l.token_enc, 'escape') LIKE '%nobody%') FROM calendar_link l`).Scan(&rows, &secrets)
	})
	if err != nil || rows == 0 || secrets != 0 {
		t.Errorf("%d secrets in clear in %d rows, %v", secrets, rows, err)
	}
}

func TestLinksThatDoNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	hours := &availabilityv1.WorkingHours{TimeZone: "Europe/Paris"}
	for name, c := range map[string]struct {
		in     *availabilityv1.CalendarLink
		code   codes.Code
		reason string
		fields string
	}{
		"other tool":         {&availabilityv1.CalendarLink{PublicUrl: "https://cal.com/jane"}, codes.FailedPrecondition, "UNSUPPORTED_CALENDAR", ""},
		"look-alike host":    {&availabilityv1.CalendarLink{PublicUrl: "https://evil.example/calendly.com/a/b"}, codes.FailedPrecondition, "UNSUPPORTED_CALENDAR", ""},
		"kind and address":   {&availabilityv1.CalendarLink{Provider: availabilityv1.CalendarProvider_CALENDAR_PROVIDER_HUBSPOT, PublicUrl: "https://a.example/x", SourceUrl: "https://calendly.com/a/b"}, codes.FailedPrecondition, "UNSUPPORTED_CALENDAR", ""},
		"unknown kind":       {&availabilityv1.CalendarLink{Provider: 99, PublicUrl: "https://calendly.com/a/b"}, codes.InvalidArgument, "", "calendar_link.provider"},
		"loopback feed":      {&availabilityv1.CalendarLink{PublicUrl: "https://a.example/x", SourceUrl: "https://127.0.0.1/x.ics", WorkingHours: hours}, codes.InvalidArgument, "", "calendar_link.source_url"},
		"feed without hours": {&availabilityv1.CalendarLink{PublicUrl: "https://a.example/x", SourceUrl: feedURL}, codes.InvalidArgument, "", "calendar_link.working_hours"},
		"hours of calendly":  {&availabilityv1.CalendarLink{PublicUrl: "https://calendly.com/a/b", WorkingHours: hours}, codes.InvalidArgument, "", "calendar_link.working_hours"},
		"token of ghl":       {&availabilityv1.CalendarLink{Provider: 1, ExternalId: "ocQHyuzHvysMo5N5VsXc", PublicUrl: "https://a.example/x", ApiToken: "x"}, codes.InvalidArgument, "", "calendar_link.api_token"},
		"bad token":          {&availabilityv1.CalendarLink{PublicUrl: "https://calendly.com/a/b", ApiToken: "a\nb"}, codes.InvalidArgument, "", "calendar_link.api_token"},
		"bad hours": {&availabilityv1.CalendarLink{PublicUrl: "https://a.example/x", SourceUrl: feedURL, WorkingHours: &availabilityv1.WorkingHours{
			TimeZone: "Mars/X", Days: []int32{1, 1}, Start: "25:00", End: "9:00", Step: durationpb.New(time.Second),
		}}, codes.InvalidArgument, "", "calendar_link.working_hours.days calendar_link.working_hours.end calendar_link.working_hours.start calendar_link.working_hours.step calendar_link.working_hours.time_zone"},
	} {
		_, err := w.create(t, acme, c.in)
		e := rpctest.RequireError(t, err, c.code, c.reason)
		var fields []string
		for _, v := range e.Violations {
			fields = append(fields, v.Field)
		}
		for field := range strings.FieldsSeq(c.fields) {
			if !strings.Contains(strings.Join(fields, " ")+" ", field+" ") {
				t.Errorf("%s: %v lacks %s", name, fields, field)
			}
		}
	}
}

// A change that moves the link to another calendar forgets what was read of the old one; a new name does not.
func TestAnotherCalendarForgetsTheSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	link := w.link(t, acme)
	if out, err := w.slots(t, acme); err != nil || len(out.GetSlots()) == 0 || out.GetSource() != "api" {
		t.Fatalf("%v, %v", out, err)
	}
	calls := w.sync.count(acme)
	change := func(edit func(*availabilityv1.CalendarLink), paths ...string) *availabilityv1.CalendarLink {
		in := &availabilityv1.CalendarLink{Name: link.GetName()}
		edit(in)
		out, err := w.admin.UpdateCalendarLink(t.Context(), &availabilityv1.UpdateCalendarLinkRequest{CalendarLink: in, UpdateMask: mask(paths...)})
		if err != nil {
			t.Fatal(err)
		}
		return out.GetCalendarLink()
	}
	change(func(l *availabilityv1.CalendarLink) { l.DisplayName = "Renamed" }, "display_name")
	if _, err := w.slots(t, acme); err != nil || w.sync.count(acme) != calls {
		t.Errorf("a new name cost %d calls, %v", w.sync.count(acme)-calls, err)
	}
	change(func(l *availabilityv1.CalendarLink) { l.ExternalId = "anotherCalendar00000" }, "external_id")
	if _, err := w.slots(t, acme); err != nil || w.sync.count(acme) != calls+1 {
		t.Errorf("another calendar cost %d calls, %v", w.sync.count(acme)-calls, err)
	}
	moved := change(func(l *availabilityv1.CalendarLink) {
		l.SourceUrl = "https://api.leadconnectorhq.com/widget/booking/theThirdCalendar0000"
	}, "source_url")
	if moved.GetExternalId() != "theThirdCalendar0000" {
		t.Errorf("the address names another calendar: %v", moved)
	}
}

// A feed may have any https address; one is mended as other addresses are, or every look at it would be forbidden.
func TestAddressesOfFeedsAreMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for pasted, want := range map[string]string{
		" feeds.example.net/busy?key=1 ":           "https://feeds.example.net/busy?key=1",
		"http://Feeds.Example.net/busy#today":      "https://feeds.example.net/busy",
		"webcal://feeds.example.net/busy":          "https://feeds.example.net/busy",
		"https://files.hubspot.com/exports/busy":   "https://files.hubspot.com/exports/busy",
		"https://feeds.example.net/busy/Mixed.ICS": "https://feeds.example.net/busy/Mixed.ICS",
	} {
		workspace := w.workspace(t)
		link, err := w.create(t, workspace, &availabilityv1.CalendarLink{
			PublicUrl: "https://www.example.com/book", SourceUrl: pasted, Provider: availabilityv1.CalendarProvider_CALENDAR_PROVIDER_ICALENDAR,
			WorkingHours: &availabilityv1.WorkingHours{TimeZone: "UTC"},
		})
		if err != nil {
			t.Errorf("%q: %v", pasted, err)
			continue
		}
		parts := strings.Split(link.GetName(), "/")
		stored, err := w.store.Link(t.Context(), uuid.MustParse(parts[1]), uuid.MustParse(parts[3]))
		if err != nil || stored.SourceURL.Reveal() != want {
			t.Errorf("%q is read at %q, want %q; %v", pasted, stored.SourceURL.Reveal(), want, err)
		}
	}
}
