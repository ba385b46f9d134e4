package sync_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	stdsync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/simulator"
)

// readShare is the part of a limit that reads may use at most, in percent.
const readShare = 30

// TestReadsLeaveTheirShareToSends lets eight replicas read as fast as they can while sends arrive, and counts in the provider's
// ledger: in no sliding window are there more reads than their share, nor more calls than the limit.
func TestReadsLeaveTheirShareToSends(t *testing.T) {
	t.Parallel()
	s := newShare(t)
	s.until("reads have used up their share, and sends have left", func() bool {
		return len(s.sim.Requests(simulator.Filter{Method: "GET"})) >= 2*s.share() && len(s.sim.Sends(simulator.Filter{})) >= 8
	})
	reads, all := s.arrived()
	fullestReads, fullestAll := fullest(reads, s.limit.Interval), fullest(all, s.limit.Interval)
	t.Logf("n=%d reads of %d calls; fullest windows of %s held %d reads of %d, %d calls of %d", len(reads), len(all), s.limit.Interval,
		fullestReads, s.share(), fullestAll, s.limit.Calls)
	if fullestReads > s.share() {
		t.Errorf("a window held %d reads, share %d", fullestReads, s.share())
	}
	if fullestAll > s.limit.Calls {
		t.Errorf("a window held %d calls, limit %d", fullestAll, s.limit.Calls)
	}
}

// TestReadsWithoutAShare is the control: reads that count as sends take more than the share, so the ledger would show it.
func TestReadsWithoutAShare(t *testing.T) {
	t.Parallel()
	s := newShare(t)
	s.senders, s.class = 0, budget.Automated
	s.until("a window held more reads than their share", func() bool {
		reads, _ := s.arrived()
		return fullest(reads, s.limit.Interval) > s.share()
	})
}

// share is a provider that counts, and what eight replicas share.
type share struct {
	hammer
	sim   *simulator.Simulator
	limit budget.Limit
	db    *pgtest.DB
	// senders are the replicas that send; class, if not Read, replaces the class of reads.
	senders int
	class   budget.Class
	serial  atomic.Int64
}

func newShare(t *testing.T) *share {
	t.Helper()
	limit := budget.Limit{Calls: 60, Interval: 4 * time.Second}
	sim := simulator.New(simulator.Config{
		Now: clock.System().Now, RateLimit: simulator.RateLimit{Burst: limit.Calls, Interval: limit.Interval, Daily: 1_000_000},
	})
	provider := httptest.NewServer(sim.Handler())
	t.Cleanup(func() { provider.Close(); _ = sim.Close() })
	const token = "pit-0123456789"
	if err := sim.AddLocation(simulator.Location{ID: location, Token: token}); err != nil {
		t.Fatal(err)
	}
	contact, err := sim.AddContact(location, simulator.Contact{Phone: "+12025550123"})
	if err != nil {
		t.Fatal(err)
	}
	return &share{
		hammer: hammer{
			T: t, url: provider.URL, message: ghl.Message{Channel: sending.SMS, ContactID: contact.ID},
			who: ghl.Account{Location: location, Token: token}, late: map[string]bool{}, transit: limit.Transit(),
		},
		sim: sim, limit: limit, db: pgtest.New(t, relancesync.Migrations()), senders: 2, class: budget.Read,
	}
}

func (s *share) share() int { return s.limit.Calls * readShare / 100 }

// until lets the replicas work until something is so, for a minute at most.
func (s *share) until(what string, so func() bool) {
	s.Helper()
	var wait stdsync.WaitGroup
	ctx, stop := context.WithTimeout(s.Context(), time.Minute)
	for n := range 8 {
		r := s.replica(store.New(store.Config{Pool: s.db.Pool(s.T, "sync"), Clock: clock.System()}), s.limit)
		if n < s.senders {
			wait.Go(func() {
				for arrives := time.NewTicker(500 * time.Millisecond); ctx.Err() == nil; <-arrives.C {
					end := time.Now().Add(time.Millisecond)
					r.sendUntil(func() bool { return time.Now().After(end) }) // one, or a few
				}
			})
		}
		for range 2 {
			reader := s.reader(r.limiter)
			wait.Go(func() {
				for ctx.Err() == nil {
					reader.read(ctx)
				}
			})
		}
	}
	for ctx.Err() == nil && !so() {
		time.Sleep(20 * time.Millisecond)
	}
	done := ctx.Err() == nil
	stop()
	wait.Wait()
	if !done {
		s.Fatalf("did not happen: %s", what)
	}
}

// arrived are the times of reads, and of all calls, that were on their way no longer than is assumed.
func (s *share) arrived() (reads, all []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.sim.Requests(simulator.Filter{}) {
		read := e.Method == http.MethodGet
		name := e.Path[strings.LastIndex(e.Path, "/")+1:]
		if !read {
			name = text(s.T, e)
		}
		if s.late[name] {
			continue
		}
		all = append(all, e.Time)
		if read {
			reads = append(reads, e.Time)
		}
	}
	return reads, all
}

// reader reads contacts, each by a name of its own, and remembers when its call had its permit.
type reader struct {
	*share
	limiter *budget.Limiter
	client  *ghl.Client
	had     time.Time
}

func (s *share) reader(limiter *budget.Limiter) *reader {
	s.Helper()
	r := &reader{share: s, limiter: limiter}
	client, err := ghl.New(ghl.Config{BaseURL: s.url, Timeout: 5 * time.Second, Budget: r})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(client.Close)
	r.client = client
	return r
}

// Take is the limiter's, of another class where reads have no share.
func (r *reader) Take(ctx context.Context, key budget.Key, class budget.Class) (*budget.Permit, error) {
	if class == budget.Read {
		class = r.class
	}
	permit, err := r.limiter.Take(ctx, key, class)
	r.had = time.Now()
	return permit, err
}

// Observe is the limiter's.
func (r *reader) Observe(ctx context.Context, key budget.Key, learn budget.Learn) error {
	return r.limiter.Observe(ctx, key, learn)
}

func (r *reader) read(ctx context.Context) {
	name := fmt.Sprintf("contactOfReader%05d", r.serial.Add(1))
	_, _ = r.client.Contact(ctx, r.who, name) // nobody has that name; the call counts
	if time.Since(r.had) > r.transit {
		r.mu.Lock()
		r.late[name] = true
		r.mu.Unlock()
	}
}
