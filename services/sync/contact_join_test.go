package sync_test

import (
	"context"
	stdsync "sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// calling gives the lead a link whose creation is on its way and stays so.
func (s stranger) calling() (name string) {
	s.Helper()
	id := uuid.Must(uuid.NewV7())
	s.exec(`INSERT INTO contact_link (workspace_id, id, lead_id, state, attempt, email, phone, intent_at, lease_until, create_time, update_time)
		VALUES ($1, $2, $3, 'CALLING', 1, 'eve@example.com', '+12125550142', now(), now() + interval '1 hour', $4, $4)`,
		s.name[len("workspaces/"):], id, s.id(), s.clock.Now())
	return s.name + "/contactLinks/" + id.String()
}

// holding keeps the lead's row locked, as the work on its link does, until it is released.
func (s stranger) holding() (release func()) {
	s.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	pool, ctx := s.db.Pool(s.T, "sync"), context.WithoutCancel(s.Context())
	go func() {
		done <- postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `SELECT FROM lead WHERE id = $1 FOR UPDATE`, s.id())
			close(held)
			<-free
			return err
		})
	}()
	<-held
	return stdsync.OnceFunc(func() {
		close(free)
		if err := <-done; err != nil {
			s.Errorf("hold the lead: %v", err)
		}
	})
}

// blocked counts the sessions that wait for a row.
func (w tenant) blocked() int {
	return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

// passes reports whether an error is one to ask again after.
func passes(err error) bool {
	e, ok := apierr.From(err)
	return ok && (e.Code == codes.Aborted || e.Code == codes.Unavailable || e.Code == codes.ResourceExhausted)
}

// TestJoinersLockNothing: who only joins a live link is answered while the work on it holds the lead, and so never waits before it.
func TestJoinersLockNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkJoin0001")
	s.setting(true)
	name := s.calling()
	release := s.holding()
	t.Cleanup(release)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wait stdsync.WaitGroup
	for i := range 50 {
		req := s.wish()
		wait.Go(func() {
			out, err := s.admin.EnsureContact(ctx, req)
			for passes(err) {
				out, err = s.admin.EnsureContact(ctx, req)
			}
			if err != nil || out.GetContactLink().GetName() != name {
				t.Errorf("joiner %d: %v %v", i, out, err)
			}
		})
	}
	wait.Wait()
	if e := s.refusedWith(sms(s.lead, "waits")); e == nil || e.Reason != "CONTACT_PENDING" {
		t.Errorf("a message meanwhile: %v", e)
	}
	if n := s.blocked(); n != 0 {
		t.Errorf("%d sessions wait for the lead", n)
	}
	release()
	if n := s.count(`SELECT count(*) FROM contact_link`); n != 1 {
		t.Errorf("%d links", n)
	}

	// The control: who has none to join does wait, and sees what came of it.
	other := stranger{tenant: s.tenant, lead: s.upsert(&syncv1.Lead{Email: "first@example.com"})}
	release = other.holding()
	t.Cleanup(release)
	answered := make(chan error, 1)
	go func() {
		_, err := s.admin.EnsureContact(ctx, other.wish())
		answered <- err
	}()
	s.eventually("the first one waits for the lead", func() bool { return s.blocked() == 1 })
	release()
	if err := <-answered; err != nil && !passes(err) {
		t.Errorf("control: %v", err)
	}
}
