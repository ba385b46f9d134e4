package sync_test

import (
	"slices"
	"testing"
	"time"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/simulator"
)

// graceOver lets the grace of all cancellations pass, by both clocks, and waits until each is settled.
func (r *rig) graceOver() {
	r.Helper()
	r.clock.Advance(2 * time.Minute)
	r.exec(`UPDATE river_job SET scheduled_at = now(), state = 'available' WHERE kind = 'settle_cancellations' AND state IN ('scheduled', 'available')`)
	r.eventually("cancellations settled", func() bool {
		return r.count(`SELECT count(*) FROM river_job WHERE kind = 'settle_cancellations' AND state <> 'completed'`)+
			r.count(`SELECT count(*) FROM booking WHERE settle_time IS NOT NULL`) == 0
	})
}

// meeting is an appointment of a lead as GoHighLevel tells it.
func (w tenant) meeting(contact, id, status string, said, starts time.Duration) simulator.Payload {
	return w.appointment(w.T, contact, "AppointmentUpdate", status, said).With("appointment.id", id).
		With("appointment.startTime", w.clock.Now().Add(starts).Format(time.RFC3339))
}

// TestRescheduleIsNoCancellation: a cancellation is told once, after its grace, unless another appointment stands ahead.
func TestRescheduleIsNoCancellation(t *testing.T) {
	t.Parallel()
	const one, two = "appointmentOne00001", "appointmentTwo00001"
	const day = 24 * time.Hour
	r := newRig(t, noPolls)
	// A second replica works the same jobs.
	cfg := r.cfg
	first := r.target
	r.start(cfg)
	r.target = first
	type word struct {
		id, status   string
		said, starts time.Duration
	}
	held, off := word{one, "confirmed", 0, day}, word{one, "cancelled", time.Minute, day}
	instead := word{two, "confirmed", time.Minute, 2 * day}
	for name, c := range map[string]struct {
		location string
		words    []word
		want     []followupsv1.LeadEventType
	}{
		"cancelled alone":         {"locationCancel00001", []word{held, off}, []followupsv1.LeadEventType{created, booked, cancelled}},
		"never known before":      {"locationCancel00002", []word{off}, []followupsv1.LeadEventType{created, cancelled}},
		"told three times":        {"locationCancel00003", []word{held, off, {one, "cancelled", 2 * time.Minute, day}, {one, "cancelled", 3 * time.Minute, day}}, []followupsv1.LeadEventType{created, booked, cancelled}},
		"cancel, then create":     {"locationCancel00004", []word{held, off, instead}, []followupsv1.LeadEventType{created, booked, booked}},
		"create, then cancel":     {"locationCancel00005", []word{held, instead, off}, []followupsv1.LeadEventType{created, booked, booked}},
		"the other is over":       {"locationCancel00006", []word{held, {two, "confirmed", 0, -day}, off}, []followupsv1.LeadEventType{created, booked, booked, cancelled}},
		"confirmed again":         {"locationCancel00007", []word{held, off, {one, "confirmed", 2 * time.Minute, day}}, []followupsv1.LeadEventType{created, booked, booked}},
		"both cancelled, one day": {"locationCancel00008", []word{held, instead, off, {two, "cancelled", 2 * time.Minute, 2 * day}}, []followupsv1.LeadEventType{created, booked, booked, cancelled}},
	} {
		w := r.tenant(c.location)
		contact := w.contact(simulator.Contact{FirstName: "Ann", Phone: "+12025550123"})
		for _, said := range c.words {
			w.accept(w.meeting(contact.ID, said.id, said.status, said.said, said.starts))
			w.settled()
		}
		lead := w.leadOf(contact.ID).GetName()
		if early := w.events.of(lead); slices.Contains(early, cancelled) {
			t.Errorf("%s: told within the grace: %v", name, early)
		}
		w.graceOver()
		w.eventually(name, func() bool { return w.count(`SELECT count(*) FROM outbox WHERE delivered_time IS NULL`) == 0 })
		if got := w.events.of(lead); !slices.Equal(got, c.want) {
			t.Errorf("%s: events %v, want %v", name, got, c.want)
		}
	}
}
