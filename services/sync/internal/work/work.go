// Package work names the background jobs of the sync service. Job arguments hold ids only: they are stored in clear.
package work

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/relance/relance/platform/clock"
)

// SettleCancellations tells of a lead's cancelled appointments that no other took the place of.
type SettleCancellations struct {
	Workspace string `json:"workspace"`
	Lead      string `json:"lead"`
}

// Kind names the job.
func (SettleCancellations) Kind() string { return "settle_cancellations" }

// InsertOpts tries for hours: nothing else tells of a cancellation.
func (SettleCancellations) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 500} }

// SettleBookings looks for bookings with an unknown outcome.
type SettleBookings struct{}

// Kind names the job.
func (SettleBookings) Kind() string { return "settle_bookings" }

// InsertOpts: a tick that fails is followed by the next.
func (SettleBookings) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

// DropBodies drops the bodies of webhooks that were processed long ago.
type DropBodies struct{}

// Kind names the job.
func (DropBodies) Kind() string { return "drop_bodies" }

// InsertOpts puts it into the queue of history: nothing waits for it.
func (DropBodies) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueHistory} }

// Queues beside the default one, each with its own workers: what waits for the provider's read budget must not hold back
// webhooks, events and sends, and an import of many leads not the looks that settle sends.
const (
	QueuePolls   = "polls"
	QueueHistory = "history"
	QueueSettle  = "settle"
)

// PollDue starts the polls that are due.
type PollDue struct{}

// Kind names the job.
func (PollDue) Kind() string { return "poll_due" }

// PollLocation compares one location with what is stored.
type PollLocation struct {
	Workspace string `json:"workspace"`
}

// Kind names the job.
func (PollLocation) Kind() string { return "poll_location" }

// InsertOpts puts polls into their own queue. A poll that fails is followed by the next.
func (PollLocation) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueuePolls, MaxAttempts: 1}
}

// PollAppointmentsDue starts the comparisons of appointments that are due.
type PollAppointmentsDue struct{}

// Kind names the job.
func (PollAppointmentsDue) Kind() string { return "poll_appointments_due" }

// PollAppointments compares the appointments of one connection with what is stored.
type PollAppointments struct {
	Workspace string `json:"workspace"`
	Provider  string `json:"provider"`
}

// Kind names the job.
func (PollAppointments) Kind() string { return "poll_appointments" }

// InsertOpts: as of PollLocation.
func (PollAppointments) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueuePolls, MaxAttempts: 1}
}

// ImportHistory reads a lead's messages from the provider.
type ImportHistory struct {
	Workspace string `json:"workspace"`
	Lead      string `json:"lead"`
	Channel   string `json:"channel"`
}

// Kind names the job.
func (ImportHistory) Kind() string { return "import_history" }

// InsertOpts puts imports into the queue of history.
func (ImportHistory) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueHistory} }

// SyncDue compares the conversations that are due with the provider.
type SyncDue struct{}

// Kind names the job.
func (SyncDue) Kind() string { return "sync_due" }

// InsertOpts puts comparisons into the queue of history.
func (SyncDue) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueHistory} }

// PruneChanges drops changes of conversations that are too old to be read on.
type PruneChanges struct{}

// Kind names the job.
func (PruneChanges) Kind() string { return "prune_changes" }

// DeliverEvents hands waiting outbox events to followups.
type DeliverEvents struct{}

// Kind names the job.
func (DeliverEvents) Kind() string { return "deliver_events" }

// ResumeSend goes on with a planned or retryable send.
type ResumeSend struct {
	Workspace string `json:"workspace"`
	Intent    string `json:"intent"`
}

// Kind names the job.
func (ResumeSend) Kind() string { return "resume_send" }

// Reconcile looks for sends with an unknown outcome: for one of them, or for all that are due.
type Reconcile struct {
	// Intent is the id of one send, empty for all.
	Intent string `json:"intent,omitempty"`
}

// Kind names the job.
func (Reconcile) Kind() string { return "reconcile" }

// InsertOpts puts looks into the queue of settling.
func (Reconcile) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueSettle} }

// RecheckConnections tries connections that may have come back by themselves.
type RecheckConnections struct{}

// Kind names the job.
func (RecheckConnections) Kind() string { return "recheck_connections" }

// KeepMonths makes the months of append-only history ahead and drops old ones.
type KeepMonths struct{}

// Kind names the job.
func (KeepMonths) Kind() string { return "keep_months" }

// WatchSends counts sends and keeps the metrics of the protocol's invariants.
type WatchSends struct{}

// Kind names the job.
func (WatchSends) Kind() string { return "watch_sends" }

// WatchVisible measures when an accepted message shows in the provider's lists.
type WatchVisible struct {
	Workspace string `json:"workspace"`
	Intent    string `json:"intent"`
}

// Kind names the job.
func (WatchVisible) Kind() string { return "watch_visible" }

// InsertOpts puts measurements into the queue of history: they wait for the read budget, and nothing waits for them.
func (WatchVisible) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueHistory} }

// PushOptOut tells the provider of one opt-out, or takes back what it was told.
type PushOptOut struct {
	Workspace string `json:"workspace"`
	OptOut    string `json:"opt_out"`
}

// Kind names the job.
func (PushOptOut) Kind() string { return "push_opt_out" }

// InsertOpts: one job at a time for an opt-out, and no retries of its own: its row says when it is tried again.
func (PushOptOut) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

// PushDue queues the pushes of opt-outs that are due.
type PushDue struct{}

// Kind names the job.
func (PushDue) Kind() string { return "push_due" }

// ContactGone reads a contact that the provider called gone when it was sent to.
type ContactGone struct {
	Workspace string `json:"workspace"`
	Lead      string `json:"lead"`
	Contact   string `json:"contact"`
}

// Kind names the job.
func (ContactGone) Kind() string { return "contact_gone" }

// LinkContacts goes on with links of contacts: with one of them, or with all that are due.
type LinkContacts struct {
	Workspace string `json:"workspace,omitempty"`
	// Link is the id of one link, empty for all.
	Link string `json:"link,omitempty"`
}

// Kind names the job.
func (LinkContacts) Kind() string { return "link_contacts" }

// InsertOpts puts links into the queue of settling: they wait for the read budget too. What fails is found by the next sweep.
func (LinkContacts) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueSettle, MaxAttempts: 1}
}

// Queue inserts jobs in the transaction that makes them necessary.
type Queue struct {
	client *river.Client[pgx.Tx]
}

// NewQueue wraps a River client; one without workers will do.
func NewQueue(client *river.Client[pgx.Tx]) *Queue { return &Queue{client: client} }

// Insert adds a job that runs after the given real-time delay once tx commits.
func (q *Queue) Insert(ctx context.Context, tx pgx.Tx, job river.JobArgs, delay time.Duration) error {
	opts := &river.InsertOpts{}
	if delay > 0 {
		opts.ScheduledAt = clock.System().Now().Add(delay)
	}
	if _, err := q.client.InsertTx(ctx, tx, job, opts); err != nil {
		return fmt.Errorf("insert job %s: %w", job.Kind(), err)
	}
	return nil
}
