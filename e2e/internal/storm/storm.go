// Package storm is the kill storm: replicas of sync that are killed at random under load and faults, judged by the oracle.
package storm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/e2e/internal/oracle"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// Config sizes a storm.
type Config struct {
	// Binary is the relance under test.
	Binary string
	// Sends and Kills are how many of each; Replicas how many processes share the work.
	Sends, Kills, Replicas int
	// Seed repeats the kills, faults and contacts of a run. The scheduling of processes is the machine's.
	Seed uint64
	// Faults is the share of requests that each fault of the catalogue hits.
	Faults float64
	// DatabaseKills is how often PostgreSQL is killed and started again; LostCommits the share of COMMITs whose answer is lost.
	DatabaseKills int
	LostCommits   float64
	// Pauses is the share of kills that are SIGSTOP for longer than the settle time, then SIGCONT: zombies.
	Pauses float64
	// PerPerson is how many sends each contact gets; they queue up behind one another.
	PerPerson int
	// Patience is how long what is on its way at the end may take to settle.
	Patience time.Duration
	// Env is added to every replica.
	Env []string
	// StopEarly ends the storm at the first violation: for planted bugs.
	StopEarly bool
	// Extra faults are added to the plan.
	Extra []simulator.Fault
	// Prepare, when set, runs once before the first send.
	Prepare func(context.Context, *lab.Lab) error
}

const (
	workers     = 48
	sampleEvery = 300 * time.Millisecond
	// places are locations: each has its own quota at the provider, which sync keeps to.
	places = 25
	// dndShare of the contacts do not want to be disturbed.
	dndShare = 20
)

// Storm is a run.
type Storm struct {
	cfg      Config
	lab      *lab.Lab
	oracle   *oracle.Oracle
	replicas []*lab.Replica
	clients  *lab.Clients
	people   []lab.Person
	rng      *rand.Rand
	dndAll   bool // every contact is on do-not-disturb
	open     bool // none is

	issued        atomic.Int64
	kills         atomic.Int64
	databaseKills atomic.Int64
	pauses        atomic.Int64
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// Outcome is what a storm found.
type Outcome struct {
	oracle.Result
	Oracle *oracle.Oracle
	// Kills and Pauses are the signals sent until the end, or until the first violation; DatabaseKills those that PostgreSQL got.
	Kills, Pauses, DatabaseKills int
	// LostCommits is how many COMMITs happened without an answer.
	LostCommits int
	Elapsed     time.Duration
	// Faults counts how often each fault played.
	Faults map[string]int
}

// Run runs a storm. An error means that it could not be run, not that it found something.
func Run(ctx context.Context, cfg Config) (Outcome, error) {
	s := &Storm{cfg: cfg, oracle: oracle.New(), rng: seeded(cfg.Seed)}
	var err error
	s.lab, err = lab.New(ctx, lab.Options{
		Binary: cfg.Binary, Timing: lab.Scaled(), Seed: cfg.Seed, Simulator: simulator.Config{OnReceive: s.oracle.Observe},
		Link: cfg.LostCommits > 0,
	})
	if err != nil {
		return Outcome{}, err
	}
	out, err := s.run(ctx)
	return out, errors.Join(err, s.lab.Close())
}

func (s *Storm) run(ctx context.Context) (Outcome, error) {
	s.oracle.Use(s.lab.Admin)
	if err := s.prepare(ctx); err != nil {
		return Outcome{}, err
	}
	defer s.clients.Close()
	faults := s.lab.AddPlan(simulator.Plan{Rate: s.cfg.Faults, Latency: lab.Late, Late: lab.Late, Lag: lab.Lag})
	for _, f := range s.cfg.Extra {
		s.lab.AddFault(f)
	}
	if s.lab.Link != nil {
		s.lab.Link.Lose(s.cfg.LostCommits)
	}
	begin := time.Now()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	group, work := errgroup.WithContext(watch)
	group.Go(func() error { s.oracle.Watch(watch, sampleEvery); return nil })
	if s.cfg.StopEarly {
		group.Go(func() error { s.stopEarly(watch, stop); return nil })
	}
	err := s.storm(work)
	if err == nil && watch.Err() == nil {
		if err = s.oracle.Rest(work, s.cfg.Patience); err == nil {
			s.oracle.Sample(ctx)
		}
	}
	early := watch.Err() != nil && ctx.Err() == nil
	stop()
	_ = group.Wait() // both end without an error
	if early {
		err = nil // the first violation ended it
	}
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Oracle: s.oracle, Kills: int(s.kills.Load()), Pauses: int(s.pauses.Load()), Elapsed: time.Since(begin), Faults: map[string]int{}}
	out.DatabaseKills = int(s.databaseKills.Load())
	if s.lab.Link != nil {
		out.LostCommits = int(s.lab.Link.Lost.Load())
	}
	for id, handles := range faults {
		for _, h := range handles {
			out.Faults[id] += h.Hits()
		}
	}
	if !early {
		out.Result, err = s.oracle.Judge(ctx, s.lab.Simulator, s.cfg.Sends)
	}
	return out, err
}

func (s *Storm) stopEarly(ctx context.Context, stop context.CancelFunc) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if s.oracle.Any() || s.oracle.Repeated(s.lab.Simulator) {
				stop()
				return
			}
		}
	}
}

func (s *Storm) prepare(ctx context.Context) error {
	var targets []string
	for range s.cfg.Replicas {
		r, err := s.lab.Replica(ctx, s.cfg.Env...)
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, r)
		targets = append(targets, r.Target)
	}
	for _, r := range s.replicas {
		if err := r.Up(ctx); err != nil {
			return err
		}
	}
	admin, err := s.adminOf(targets)
	if err != nil {
		return err
	}
	defer admin.Close()
	contacts := s.contacts()
	for p := range places {
		var own []simulator.Contact
		for i := p; i < len(contacts); i += places {
			own = append(own, contacts[i])
		}
		tenant, err := s.lab.Tenant(ctx, admin, fmt.Sprintf("locationStorm%07d", p), own)
		if err != nil {
			return err
		}
		s.people = append(s.people, tenant.People...)
	}
	s.rng.Shuffle(len(s.people), func(i, j int) { s.people[i], s.people[j] = s.people[j], s.people[i] })
	if s.cfg.Prepare != nil {
		if err := s.cfg.Prepare(ctx, s.lab); err != nil {
			return err
		}
	}
	s.clients, err = s.lab.FollowUps(targets...)
	return err
}

func (s *Storm) contacts() []simulator.Contact {
	contacts := make([]simulator.Contact, (s.cfg.Sends+s.cfg.PerPerson-1)/s.cfg.PerPerson)
	for i := range contacts {
		contacts[i] = simulator.Contact{
			ID: fmt.Sprintf("StormContact%08d", i), Phone: fmt.Sprintf("+1555%07d", i), Email: fmt.Sprintf("p%d@example.com", i),
		}
		if s.dndAll || !s.open && s.rng.IntN(dndShare) == 0 {
			contacts[i].DND = map[string]string{simulator.SMS: simulator.DNDActive}
		}
	}
	return contacts
}

// storm sends and kills at once.
func (s *Storm) storm(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.killer(ctx) })
	group.Go(func() error { return s.databaseKiller(ctx) })
	for w := range workers {
		group.Go(func() error {
			for n := w; n < s.cfg.Sends; n += workers {
				if err := s.send(ctx, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// killer spreads the kills evenly over the sends, each at a random moment, and lets the killed come back at once.
func (s *Storm) killer(ctx context.Context) error {
	for k := range s.cfg.Kills {
		from := s.cfg.Sends * k / s.cfg.Kills
		if err := s.await(ctx, from); err != nil {
			return err
		}
		if err := pause(ctx, time.Duration(s.rng.Int64N(int64(40*time.Millisecond)))); err != nil {
			return err
		}
		if err := s.strike(ctx, s.replicas[s.rng.IntN(len(s.replicas))]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Storm) strike(ctx context.Context, victim *lab.Replica) error {
	if s.rng.Float64() < s.cfg.Pauses {
		s.pauses.Add(1)
		victim.Signal(syscall.SIGSTOP)
		err := pause(ctx, lab.Scaled().Settle*3/2)
		victim.Signal(syscall.SIGCONT)
		return err
	}
	victim.Kill()
	s.kills.Add(1)
	if err := victim.Start(); err != nil {
		return err
	}
	// One is always coming back while the others work; more than that would only make the storm slower.
	return victim.Up(ctx)
}

// databaseKiller spreads the kills of PostgreSQL over the sends, each at a random moment.
func (s *Storm) databaseKiller(ctx context.Context) error {
	rng := seeded(s.cfg.Seed + 1) // not the killer's: the two run beside each other
	for k := range s.cfg.DatabaseKills {
		if err := s.await(ctx, s.cfg.Sends*k/s.cfg.DatabaseKills); err != nil {
			return err
		}
		if err := pause(ctx, time.Duration(rng.Int64N(int64(time.Second)))); err != nil {
			return err
		}
		s.lab.PG.Crash()
		s.databaseKills.Add(1)
		if err := s.lab.PG.Restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Storm) await(ctx context.Context, sends int) error {
	for int(s.issued.Load()) < sends {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error { return lab.Pause(ctx, d) }

// Print prints the figures of a storm.
func (o Outcome) Print(sheet *figure.Sheet, seed uint64) {
	sheet.Note(fmt.Sprintf("seed %d, %d SIGKILL, %d SIGSTOP, %d SIGKILL of PostgreSQL, %d answers of COMMIT lost, %.0f s", seed, o.Kills, o.Pauses,
		o.DatabaseKills, o.LostCommits, o.Elapsed.Seconds()))
	for _, id := range []string{"F1", "F2", "F3", "F4", "F5", "F6", "F10", "F11", "F12", "F13", "F20", "F21"} {
		sheet.Count("fault_"+id, o.Faults[id], "times", o.Posts)
	}
	o.Oracle.Print(sheet, o.Result)
}

// request is the nth send.
func (s *Storm) request(n int) *syncv1.SendMessageRequest {
	mark := oracle.Mark(n)
	return &syncv1.SendMessageRequest{
		Lead: s.people[n%len(s.people)].Lead, Channel: syncv1.Channel_CHANNEL_SMS, RequestId: oracle.RequestID(mark).String(),
		Body: "Hi, your number is " + mark + " and we keep it for you.",
	}
}
