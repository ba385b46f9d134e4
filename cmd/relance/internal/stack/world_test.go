package stack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/cmd/relance/internal/stack"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/redact"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// start is a Wednesday, 10:05 in New York.
func start() time.Time { return time.Date(2026, time.January, 7, 15, 5, 0, 0, time.UTC) }

// world is the whole product on a clock that the test moves, between a simulated provider and an operator's client.
type world struct {
	t     *testing.T
	clock *clock.Flowing
	sim   *simulator.Simulator
	url   string
	cron  string
	admin string
	api   *api.Client
}

type tenant struct{ name, location, sequence string }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFlowing(start()), cron: stack.NewSecret()}
	w.sim = simulator.New(simulator.Config{Now: w.clock.Now, RateLimit: simulator.RateLimit{Disabled: true}})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	provider, err := w.sim.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	admin := stack.NewSecret()
	s, err := stack.New(ctx, stack.Options{
		Clock: w.clock, Logger: slog.New(slog.DiscardHandler), GHLBaseURL: provider, GHLPublicKeys: []string{w.sim.PublicKeyPEM()},
		CronSecrets: []string{w.cron}, AdminSecrets: []string{admin},
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("stack: %v", err)
		}
		_ = w.sim.Close()
	})
	if err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
	w.url, w.admin = s.GatewayURL, admin
	w.api = api.New(api.Flags{Gateway: w.url, AdminSecret: []config.Secret{{Secret: redact.Secret(admin)}}})
	return w
}

// id makes a GHL-shaped id of 20 letters and digits.
func id(seed string) string { return (seed + strings.Repeat("0", 20))[:20] }

// revoke has the provider refuse a workspace's token, and sync know of it.
func (w *world) revoke(of *tenant) {
	w.t.Helper()
	w.sim.RevokeTokens(of.location)
	path := "/v1/" + of.name + "/connections/ghl"
	var health syncv1.GetConnectionHealthResponse
	if err := w.api.Get(w.t.Context(), path, map[string][]string{"probe": {"true"}}, &health); err != nil {
		w.t.Fatal(err)
	}
	if state := health.GetConnection().GetState(); state != syncv1.ConnectionState_CONNECTION_STATE_AUTH_REVOKED {
		w.t.Fatalf("connection is %v", state)
	}
}

// workspace makes one in New York.
func (w *world) workspace(title, token string) *tenant {
	w.t.Helper()
	out := &tenant{location: id(title + "Location")}
	if err := w.sim.AddLocation(simulator.Location{ID: out.location, Name: title, Timezone: "America/New_York", Token: token}); err != nil {
		w.t.Fatal(err)
	}
	in, err := structpb.NewStruct(map[string]any{
		"name": title, "timezone": "America/New_York", "ghlLocationId": out.location, "ghlPrivateKey": token,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var made structpb.Struct
	if err := w.api.Post(w.t.Context(), "/api/admin/workspaces", in, &made); err != nil {
		w.t.Fatal(err)
	}
	out.name = made.GetFields()["workspace"].GetStructValue().GetFields()["resourceName"].GetStringValue()
	return out
}

// plant is what is known of a lead before anything is sent to it.
type plant struct {
	name, area, zone, dnd string
	noEmail, noName       bool
}

// kinds are the obstacles. Numbers 555-01xx are reserved for fiction.
func kinds() []plant {
	return []plant{
		{name: "New York", area: "212", zone: "America/New_York"},
		{name: "Los Angeles, quiet until 11 in New York", area: "415", zone: "America/Los_Angeles"},
		{name: "Honolulu, quiet until 13 in New York", area: "808", zone: "Pacific/Honolulu"},
		{name: "Florida, three texts a day", area: "305", zone: "America/New_York"},
		{name: "no texts", area: "212", dnd: simulator.SMS},
		{name: "no emails", area: "212", dnd: simulator.Email},
		{name: "no phone"},
		{name: "no email", area: "617", noEmail: true},
		{name: "no name", area: "202", noName: true},
		{name: "zone by number only", area: "512"},
	}
}

func (w *world) lead(of *tenant, n int, p plant) string {
	w.t.Helper()
	who := simulator.Contact{ID: id(fmt.Sprintf("%sx%04d", of.location[:min(4, len(of.location))], n)), FirstName: "Sam", Timezone: p.zone}
	if p.noName {
		who.FirstName = ""
	}
	if !p.noEmail {
		who.Email = fmt.Sprintf("sam%d@%s.example.com", n, strings.TrimPrefix(of.name, "workspaces/")[:8])
	}
	if p.area != "" {
		// Of one number only a hundred are fiction; other exchanges of the area make more.
		who.Phone = fmt.Sprintf("+1%s55501%02d", p.area, (n/len(kinds())+n)%100)
	}
	if p.dnd != "" {
		who.DND = map[string]string{p.dnd: simulator.DNDActive}
	}
	lead := &syncv1.Lead{FirstName: who.FirstName, Email: who.Email, Phone: who.Phone, TimeZone: p.zone}
	if _, err := w.sim.AddContact(of.location, who); err != nil {
		w.t.Fatal(err)
	}
	lead.GhlContactId = who.ID
	var made syncv1.UpsertLeadResponse
	if err := w.api.Post(w.t.Context(), "/v1/"+of.name+"/leads", lead, &made); err != nil {
		w.t.Fatal(err)
	}
	if p.dnd != "" {
		payload, err := w.sim.ContactWebhook(of.location, who.ID, "ContactDndUpdate")
		w.deliver(payload, err)
	}
	return made.GetLead().GetName()
}

func (w *world) deliver(payload simulator.Payload, err error) {
	w.t.Helper()
	if err == nil {
		var answer simulator.Delivery
		if answer, err = w.sim.Deliver(w.t.Context(), w.url+"/api/webhooks/ghl", payload); err == nil && !answer.OK() {
			err = fmt.Errorf("webhook answered %d", answer.Status())
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// settle waits until every webhook has taken effect.
func (w *world) settle(leads map[string]string) {
	w.t.Helper()
	for name, kind := range leads {
		if kind != "no texts" && kind != "no emails" {
			continue
		}
		w.until(kind+" is known", func() bool {
			var lead syncv1.GetLeadResponse
			if err := w.api.Get(w.t.Context(), "/v1/"+name, nil, &lead); err != nil {
				w.t.Fatal(err)
			}
			for _, channel := range lead.GetLead().GetChannels() {
				if channel.GetStatus() != syncv1.ChannelStatus_CHANNEL_STATUS_OPEN && channel.GetStatus() != syncv1.ChannelStatus_CHANNEL_STATUS_UNSPECIFIED {
					return true
				}
			}
			return false
		})
	}
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for end := time.After(time.Minute); !ok(); {
		select {
		case <-ticker.C:
		case <-end:
			w.t.Fatalf("not after a minute: %s", what)
		}
	}
}

// steps meet quiet hours, caps, missing values and closed channels over a few days.
func steps() []*followupsv1.SequenceStep {
	sms := func(body string, days, minutes int32) *followupsv1.SequenceStep {
		return &followupsv1.SequenceStep{
			Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, BodyTemplate: body, DelayDays: days, DelayMinutes: minutes,
		}
	}
	email := func(body string, days, minutes int32) *followupsv1.SequenceStep {
		return &followupsv1.SequenceStep{
			Channel: followupsv1.StepChannel_STEP_CHANNEL_EMAIL, SubjectTemplate: "For you", BodyTemplate: body,
			DelayDays: days, DelayMinutes: minutes,
		}
	}
	return []*followupsv1.SequenceStep{
		sms("Hello there, any questions?", 0, 5), sms("One more thought on that.", 0, 60), sms("And the last one for today.", 0, 60),
		sms("No, this is the last one.", 0, 30), email("Hi {firstName}, a summary.", 1, 0), sms("Did you see the email?", 0, 120),
	}
}

func (w *world) sequence(workspace string, steps []*followupsv1.SequenceStep) string {
	w.t.Helper()
	var made followupsv1.CreateSequenceResponse
	err := w.api.Post(w.t.Context(), "/v1/"+workspace+"/sequences", &followupsv1.Sequence{
		DisplayName: "Foretold", Active: true, Trigger: followupsv1.Trigger_TRIGGER_MANUAL, Steps: steps,
	}, &made)
	if err != nil {
		w.t.Fatal(err)
	}
	return made.GetSequence().GetName()
}

func (w *world) enroll(lead, sequence string) string {
	w.t.Helper()
	workspace, _, _ := strings.Cut(lead, "/leads/")
	var made followupsv1.EnrollLeadResponse
	err := w.api.Post(w.t.Context(), "/v1/"+workspace+"/enrollments", &followupsv1.Enrollment{Lead: lead, Sequence: sequence}, &made)
	if err != nil {
		w.t.Fatalf("enroll: %v", err)
	}
	return made.GetEnrollment().GetName()
}

// week lets five days pass: the scheduler's minute, as often as something is due.
func (w *world) week(tenants ...*tenant) {
	w.t.Helper()
	for end := start().AddDate(0, 0, 5); ; {
		w.tick()
		next := end
		for _, of := range tenants {
			if first := w.next(of.name); !first.IsZero() && first.Before(next) {
				next = first
			}
		}
		if !next.Before(end) {
			return
		}
		if minute := next.Add(time.Minute); minute.After(w.clock.Now()) {
			w.clock.Set(minute)
		}
	}
}

// next is when the first running enrollment of a workspace is looked at.
func (w *world) next(workspace string) (first time.Time) {
	w.t.Helper()
	for token := ""; ; {
		var page followupsv1.ListEnrollmentsResponse
		if err := w.api.Get(w.t.Context(), "/v1/"+workspace+"/enrollments", map[string][]string{"pageSize": {"500"}, "pageToken": {token}}, &page); err != nil {
			w.t.Fatal(err)
		}
		for _, e := range page.GetEnrollments() {
			if at := e.GetNextStepTime().AsTime(); e.GetNextStepTime() != nil && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			return first
		}
	}
}

// tick runs until nothing more is due.
func (w *world) tick() {
	w.t.Helper()
	for range 50 {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/api/cron/followups", nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.cron)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var receipt struct {
			Results struct{ Processed int }
		}
		if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(raw, &receipt) != nil {
			w.t.Fatalf("tick: %d %.300s %v", resp.StatusCode, raw, err)
		}
		if receipt.Results.Processed == 0 {
			return
		}
	}
}
