package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/services/sync/internal/work"
)

const (
	// appointmentsEvery is the longest time between comparisons of a connection's appointments.
	appointmentsEvery = time.Minute
	// appointmentsPast and appointmentsAhead bound the starts that are compared.
	appointmentsPast, appointmentsAhead = 24 * time.Hour, 60 * 24 * time.Hour
	// pollCalendars bounds the calendars read by one poll; the next goes on.
	pollCalendars = 20
	// pollFailures bounds the reads that fail in one poll. What cannot be read is passed over, so that it holds up nothing else.
	pollFailures = 3
)

// pollAppointmentsDue starts the comparisons that are due, longest overdue first. Without connections there are none.
func (d Deps) pollAppointmentsDue(ctx context.Context) error {
	err := d.Store.System(ctx, func(tx *store.Tx) error {
		if err := tx.EnsureAppointmentPolls(ctx, tx.Now); err != nil {
			return err
		}
		due, err := tx.ClaimAppointmentPolls(ctx, db.ClaimAppointmentPollsParams{Lease: tx.Now.Add(d.appointmentsEvery()), Now: tx.Now, Page: pollClaims})
		if err != nil {
			return err
		}
		for _, row := range due {
			if err := tx.Enqueue(ctx, work.PollAppointments{Workspace: row.WorkspaceID.String(), Provider: row.Provider}, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("poll appointments: %w", err)
	}
	return nil
}

func (d Deps) appointmentsEvery() time.Duration { return min(d.Poll.Every, appointmentsEvery) }

// comparing is one comparison of a connection's appointments.
type comparing struct {
	Deps
	workspace uuid.UUID
	kind      provider.Kind
	account   provider.Account
	now       time.Time
	cursor    string
	// known, found and passed are the receipt: all that was listed. failed are the reads that failed.
	known, found, passed, failed int
	// read is the last failure that was passed over.
	read error
}

// pass notes a read that failed and tells whether to go on behind it: not where the provider asked for a rest or takes no more of
// this connection, nor after several failures.
func (c *comparing) pass(err error) bool {
	var read *provider.ReadError
	if !errors.As(err, &read) || read.Status == http.StatusUnauthorized || read.Status == http.StatusForbidden {
		return false
	}
	if _, limited := provider.RateLimited(err); limited {
		return false
	}
	c.failed, c.read = c.failed+1, err
	return true
}

// pollAppointments compares what a provider lists with what is stored, and puts what is new or changed into the inbox, as if its
// webhook had come now.
func (d Deps) pollAppointments(ctx context.Context, args work.PollAppointments) error {
	workspace, err := uuid.Parse(args.Workspace)
	if err != nil {
		return river.JobCancel(fmt.Errorf("poll appointments: %w", err))
	}
	c := &comparing{Deps: d, workspace: workspace, kind: provider.Kind(args.Provider), now: d.Clock.Now().UTC()}
	var row db.AppointmentPoll
	err = d.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		row, err = tx.AppointmentPoll(ctx, db.AppointmentPollParams{WorkspaceID: workspace, Provider: args.Provider})
		return err
	})
	if postgres.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("poll appointments: %w", err)
	}
	account, usable, err := d.Accounts.UsableOf(ctx, workspace, c.kind)
	if err != nil {
		return fmt.Errorf("poll appointments: %w", err)
	}
	c.account, c.cursor = account, row.Cursor
	if !usable {
		return c.save(ctx, row, errNotUsable)
	}
	if c.kind == provider.Calendly {
		err = c.calendly(ctx)
	} else {
		err = c.ghl(ctx)
	}
	return c.save(ctx, row, err)
}

var errNotUsable = errors.New("no usable connection")

// save keeps the receipt and says when to go on: at once with calendars that are left, later when a read failed or the budget is used
// up. Whatever failed, the next poll begins behind what was read.
func (c *comparing) save(ctx context.Context, row db.AppointmentPoll, failed error) error {
	p := db.SaveAppointmentPollParams{
		WorkspaceID: c.workspace, Provider: string(c.kind), Cursor: c.cursor, NextTime: c.now.Add(c.appointmentsEvery()), LastTime: &c.now,
		Known: int32(c.known), Found: int32(c.found), Passed: int32(c.passed), Failed: int32(c.failed),
	}
	if failed != nil {
		p.LastTime = nil
	}
	if row.Cursor != "" {
		p.RoundFailed = row.RoundFailed // the round that is gone on with
	}
	p.RoundFailed += p.Failed
	switch failed = cmp.Or(failed, c.read); {
	case failed != nil:
	case c.cursor != "":
		p.NextTime = c.now
	case p.RoundFailed == 0:
		p.WholeTime = &c.now
	}
	var read *provider.ReadError
	limited, budget := provider.RateLimited(failed)
	switch {
	case failed == nil:
	case errors.Is(failed, errNotUsable):
		p.LastError = "NOT_CONNECTED"
	case budget:
		p.LastError, p.NextTime = "RATE_LIMITED", c.now.Add(max(limited.Wait, c.appointmentsEvery()))
	case errors.Is(failed, errCrowded):
		p.LastError = "WINDOW_CROWDED"
	case errors.As(failed, &read), errors.Is(failed, ghl.ErrID):
		p.LastError = "PROVIDER_READ_FAILED"
	default:
		return fmt.Errorf("poll appointments: %w", failed)
	}
	if p.LastError != row.LastError {
		c.Logger.InfoContext(ctx, "polling of appointments changed", "workspace", c.workspace.String(), "provider", string(c.kind), "error", p.LastError)
	}
	err := c.Store.Workspace(ctx, c.workspace, func(tx *store.Tx) error { return tx.SaveAppointmentPoll(ctx, p) })
	if err != nil {
		return fmt.Errorf("save poll of appointments: %w", err)
	}
	return nil
}

// ghl reads the location's calendars one by one, from the cursor on.
func (c *comparing) ghl(ctx context.Context) error {
	client := ghl.Calendars{Client: c.Client}
	all, err := client.List(ctx, c.account)
	if err != nil {
		return err
	}
	done := 0
	for _, calendar := range all {
		if calendar <= c.cursor {
			continue
		}
		if done == pollCalendars || c.failed == pollFailures {
			return nil // the cursor says where to go on
		}
		done++
		events, err := client.Events(ctx, c.account, ghl.EventQuery{
			Calendar: calendar, Start: c.now.Add(-appointmentsPast), End: c.now.Add(appointmentsAhead),
		})
		if err != nil && !c.pass(err) {
			return err
		}
		if err := c.takeGHL(ctx, events); err != nil {
			return err
		}
		c.cursor = calendar
	}
	c.cursor = ""
	return nil
}

func (c *comparing) takeGHL(ctx context.Context, events []ghl.Event) error {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	stored, err := c.stored(ctx, db.KnownAppointmentsParams{Ids: ids, First: c.now.Add(-appointmentsPast), Last: c.now.Add(appointmentsAhead)})
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Updated.IsZero() {
			e.Updated = c.now // The provider did not say: it is so now.
		}
		f := webhook.FoundAppointment{
			Location: c.account.Location, Contact: e.Contact, Calendar: e.Calendar, ID: e.ID, Status: e.Status, Start: e.Start, End: e.End, Updated: e.Updated,
		}
		if e.Deleted {
			f.Status = "cancelled"
		}
		body, err := f.Body()
		if err != nil {
			return err
		}
		if err := c.compare(ctx, stored, webhook.Delivery{Source: webhook.Poller, Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// stored is what is known of the appointments that have one of these ids or begin in a range, by id.
func (c *comparing) stored(ctx context.Context, which db.KnownAppointmentsParams) (map[string]db.KnownAppointmentsRow, error) {
	which.WorkspaceID, which.Provider = c.workspace, string(c.kind)
	out := map[string]db.KnownAppointmentsRow{}
	err := c.Store.Workspace(ctx, c.workspace, func(tx *store.Tx) error {
		rows, err := tx.KnownAppointments(ctx, which)
		for _, row := range rows {
			out[row.ProviderID] = row
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read known appointments: %w", err)
	}
	return out, nil
}
