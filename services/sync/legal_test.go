package sync_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

func TestQuietHoursPutASendOff(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550123", Email: "a@example.com"})
	w.clock.Set(time.Date(2026, 1, 8, 1, 59, 58, 0, time.UTC)) // 20:59:58 in New York: it could leave after nine
	night := sms(lead, "Hello")
	for range 2 {
		_, err := w.followups.SendMessage(t.Context(), night)
		e := rpctest.RequireError(t, err, codes.FailedPrecondition, "QUIET_HOURS")
		if e.Metadata["next_allowed_time"] != "2026-01-08T13:00:00Z" || e.Metadata["zone"] != "America/New_York" ||
			e.Metadata["zone_source"] != "area_code" || e.Metadata["rule"] == "" || e.RetryAfter <= 0 {
			t.Errorf("error = %+v", e)
		}
	}
	if n := w.count(`SELECT count(*) FROM send_intent`); n != 0 {
		t.Errorf("%d sends were planned at night", n)
	}
	// The control: email has no hours, and at eight the same request leaves.
	email := sms(lead, "x")
	email.Channel, email.Subject, email.Html = syncv1.Channel_CHANNEL_EMAIL, "s", "<p>x</p>"
	if _, err := w.followups.SendMessage(t.Context(), email); err != nil {
		t.Errorf("email at night: %v", err)
	}
	w.clock.Set(time.Date(2026, 1, 8, 13, 0, 0, 0, time.UTC))
	out, err := w.followups.SendMessage(t.Context(), night)
	if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Errorf("at eight: %v, %v", out, err)
	}
	if got := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); got != 2 {
		t.Errorf("POSTs = %d, want 2", got)
	}
}

func TestARetryOverTheEndOfTheDayWaitsForMorning(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550123"})
	w.clock.Set(time.Date(2026, 1, 8, 1, 50, 0, 0, time.UTC)) // 20:50
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(contact.ID), Kind: simulator.Unauthorized, Times: 1})
	request := sms(lead, "Hello")
	_, err := w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED")
	_, err = w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
		Parent: w.name, Connection: &syncv1.Connection{Location: location, Token: "pit-0123456789" + location},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Set(time.Date(2026, 1, 8, 2, 6, 0, 0, time.UTC)) // 21:06: by its own plan it would leave now
	_, err = w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "QUIET_HOURS")
	if n := w.count(`SELECT count(*) FROM send_intent WHERE reason = 'QUIET_HOURS' AND next_time = '2026-01-08T13:00:00Z' AND attempt = 1`); n != 1 {
		t.Errorf("%d sends put off to eight", n)
	}
	w.clock.Set(time.Date(2026, 1, 8, 13, 0, 1, 0, time.UTC))
	w.eventually("left in the morning", func() bool { return len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})) == 1 })
	for _, s := range w.sim.Accepted(simulator.Filter{}) {
		if hour := s.Time.UTC().Hour(); hour != 13 {
			t.Errorf("accepted at %s", s.Time)
		}
	}
}

func TestFrequencyCapOfAState(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	florida, _ := w.lead(simulator.Contact{Phone: "+13055550123"})
	newYork, _ := w.lead(simulator.Contact{Phone: "+12125550124"})
	for i := range 5 {
		_, err := w.followups.SendMessage(t.Context(), sms(florida, "Hello"))
		if i < 3 && err != nil {
			t.Fatal(err)
		}
		if i >= 3 {
			e := rpctest.RequireError(t, err, codes.FailedPrecondition, "FREQUENCY_CAP")
			if e.Metadata["cap"] != "3" || e.Metadata["resets_at"] != "2026-01-08T15:00:00Z" || e.Metadata["rule"] != "us-fl-cap" {
				t.Errorf("error = %+v", e)
			}
		}
		if _, err := w.followups.SendMessage(t.Context(), sms(newYork, "Hello")); err != nil {
			t.Errorf("no cap in New York: %v", err)
		}
	}
	w.clock.Advance(24 * time.Hour)
	if _, err := w.followups.SendMessage(t.Context(), sms(florida, "Hello")); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

func TestAPersonsZoneStands(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12125550123"})
	get := func() *syncv1.Lead {
		out, err := w.admin.GetLead(t.Context(), &syncv1.GetLeadRequest{Name: lead})
		if err != nil {
			t.Fatal(err)
		}
		return out.GetLead()
	}
	if l := get(); l.GetTimeZone() != "America/New_York" || l.GetTimeZoneSource() != "area_code" {
		t.Errorf("inferred: %s, %s", l.GetTimeZone(), l.GetTimeZoneSource())
	}
	for _, zone := range []string{"Asia/Tokyo", "Europe/Rome"} { // the second fills nothing: UpsertLead never overwrites
		_, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{Phone: "+12125550123", TimeZone: zone, State: "TX", Country: "us"}})
		if err != nil {
			t.Fatal(err)
		}
		if l := get(); l.GetTimeZone() != "Asia/Tokyo" || l.GetTimeZoneSource() != "person" || l.GetState() != "TX" || l.GetCountry() != "US" {
			t.Errorf("said: %v", l)
		}
	}
	// Midnight in Tokyo.
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "QUIET_HOURS"); e.Metadata["zone"] != "Asia/Tokyo" || e.Metadata["zone_source"] != "person" {
		t.Errorf("error = %+v", e)
	}
}
