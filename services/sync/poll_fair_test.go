package sync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/simulator"
)

// appointmentPoll is what the API tells of the diary's poll, and how many appointments only polls found.
func (d diary) appointmentPoll() (*syncv1.AppointmentPoll, int) {
	d.Helper()
	out, err := d.admin.ListIngestionHealth(d.Context(), &syncv1.ListIngestionHealthRequest{PageSize: 500})
	if err != nil {
		d.Fatal(err)
	}
	for _, h := range out.GetIngestionHealth() {
		if h.GetName() == d.name+"/ingestionHealth" && len(h.GetAppointmentPolls()) == 1 {
			return h.GetAppointmentPolls()[0], int(h.GetAppointmentsFoundCount())
		}
	}
	return &syncv1.AppointmentPoll{}, 0
}

// What cannot be read holds up nothing else: of 45 calendars one always fails, and all appointments of the others are found. The
// receipt says so, and says again that all is well.
func TestPollPassesOverWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	d := newRig(t, fastPolls).diary("locationPollPassing1")
	const calendars = 45
	for i := range calendars - 1 {
		id := fmt.Sprintf("calendarPassing%05d", i)
		if err := d.sim.AddCalendar(d.location, simulator.Calendar{ID: id, Timezone: "America/New_York"}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.sim.Book(id, d.contact.ID, d.slot(i%12)); err != nil {
			t.Fatal(err)
		}
	}
	broken := d.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Path: "/calendars/events", Calendar: "calendarPassing00004"}, Kind: simulator.Status5xxClean,
	})
	found := func() int {
		d.clock.Advance(time.Minute)
		return d.count(`SELECT count(*) FROM booking`)
	}
	d.eventually("all but those of the broken calendar are found", func() bool { return found() == calendars-2 })
	d.eventually("the failure is in the receipt", func() bool {
		d.clock.Advance(time.Minute)
		p, gap := d.appointmentPoll()
		return p.GetPollError() == "PROVIDER_READ_FAILED" && p.GetFailedReads() == 1 && p.GetWholeTime() == nil && p.GetLastPollTime() != nil && gap == calendars-2
	})
	// Control: once it can be read, its appointment is found, and the round counts as whole.
	broken.Remove()
	d.eventually("the last one is found", func() bool { return found() == calendars-1 })
	d.eventually("all is well", func() bool {
		d.clock.Advance(time.Minute)
		p, gap := d.appointmentPoll()
		return p.GetPollError() == "" && p.GetWholeTime() != nil && p.GetFailedReads() == 0 && gap == calendars-1 &&
			p.GetListedCount() == p.GetKnownCount()+p.GetFoundCount()+p.GetPassedCount()
	})
}

// Where every calendar fails, a poll gives up after a few reads, and the next one goes on behind them.
func TestPollGivesUpAfterAFewFailures(t *testing.T) {
	t.Parallel()
	d := newRig(t, fastPolls).diary("locationPollFailing1")
	for i := range 9 {
		if err := d.sim.AddCalendar(d.location, simulator.Calendar{ID: fmt.Sprintf("calendarFailing%05d", i), Timezone: "UTC"}); err != nil {
			t.Fatal(err)
		}
	}
	d.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "/calendars/events"}, Kind: simulator.Status5xxClean})
	seen := map[string]bool{}
	d.eventually("the cursor walks over all calendars", func() bool {
		d.clock.Advance(time.Minute)
		p, _ := d.appointmentPoll()
		if p.GetFailedReads() > 3 {
			t.Errorf("%d reads of one poll failed", p.GetFailedReads())
		}
		if p.GetPollError() != "" {
			seen[p.GetCursor()] = true
		}
		return len(seen) >= 4 // three stops on the way, and the end
	})
}

// Polls are started longest overdue first: a workspace that is always due again at once comes after all that waited longer.
func TestAppointmentPollsAreFair(t *testing.T) {
	t.Parallel()
	w := newRig(t, noPolls).tenant(location)
	now := w.clock.Now().UTC().Truncate(time.Second)
	pool := w.db.Pool(t, "sync")
	var waiting []uuid.UUID
	inTx := func(do func(tx pgx.Tx) error) {
		t.Helper()
		if err := postgres.InTx(t.Context(), pool, do); err != nil {
			t.Fatal(err)
		}
	}
	inTx(func(tx pgx.Tx) error {
		for i := range 60 {
			id := uuid.New()
			if _, err := tx.Exec(t.Context(), `INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'w', 'UTC', $2, $2)`, id, now); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO appointment_poll (workspace_id, provider, next_time) VALUES ($1, 'ghl', $2)`,
				id, now.Add(-time.Duration(i+1)*time.Second)); err != nil {
				return err
			}
			waiting = append([]uuid.UUID{id}, waiting...)
		}
		return nil
	})
	busy := waiting[0]
	order := map[uuid.UUID]int{}
	for turn := 0; len(order) < len(waiting) && turn < 100; turn++ {
		inTx(func(tx pgx.Tx) error {
			q := db.New(tx)
			rows, err := q.ClaimAppointmentPolls(t.Context(), db.ClaimAppointmentPollsParams{Lease: now.Add(time.Minute), Now: now, Page: 10})
			for _, r := range rows {
				if _, again := order[r.WorkspaceID]; again {
					t.Errorf("turn %d: %s a second time, %d never had one", turn, r.WorkspaceID, len(waiting)-len(order))
				}
				order[r.WorkspaceID] = turn
				if r.WorkspaceID == busy {
					// It has calendars left, and is due again at once.
					_, err = tx.Exec(t.Context(), `UPDATE appointment_poll SET next_time = $2 WHERE workspace_id = $1`, busy, now)
				}
			}
			return err
		})
	}
	for i, id := range waiting {
		if order[id] != i/10 {
			t.Errorf("the one that waited longest but %d had turn %d", i, order[id])
		}
	}
}
