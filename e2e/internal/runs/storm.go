package runs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
)

// Storm kills replicas of followups at random moments while all of them run the same work at once.
type Storm struct {
	Binary string
	// Leads have two steps each.
	Leads, Kills, Replicas int
	Seed                   uint64
}

// Run plays the storm and prints its figures.
func (s Storm) Run(ctx context.Context, sheet *figure.Sheet) (err error) {
	w, err := newWorld(ctx, s.Binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	p, err := w.enrolled(ctx, s.Leads)
	if err != nil {
		return err
	}
	var replicas []*lab.Replica
	for range s.Replicas {
		r, err := w.followUps(ctx)
		if err != nil {
			return err
		}
		replicas = append(replicas, r)
	}
	kills, err := s.strike(ctx, w, p, replicas)
	if err != nil {
		return err
	}
	if err := w.finish(ctx, replicas[0].Target, p); err != nil {
		return err
	}
	v, err := w.judge(ctx, p)
	if err != nil {
		return err
	}
	sheet.Note(fmt.Sprintf("seed %d, %d replicas of followups, %d SIGKILL", s.Seed, s.Replicas, kills))
	sheet.Must("run_storm_kills", kills, s.Kills, "kills")
	sheet.Zero("run_storm_twice", v.Twice, "steps", v.Steps)
	sheet.Zero("run_storm_lost", v.Lost, "steps", v.Steps)
	sheet.Zero("run_storm_disordered", v.Disordered, "leads", s.Leads)
	sheet.Zero("run_storm_miscounted", v.Miscounted, "receipts", v.Steps)
	sheet.Count("run_storm_posts", v.Posts, "posts", v.Steps)
	return nil
}

// strike spreads the kills evenly over the steps, while each replica is asked for one run after another.
func (s Storm) strike(ctx context.Context, w *world, p *place, replicas []*lab.Replica) (kills int, err error) {
	random := rand.New(rand.NewPCG(s.Seed, 1))
	over, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	for _, r := range replicas {
		group.Go(func() error {
			for over.Err() == nil {
				_, _ = w.run(over, r.Target, uuid.New()) // it may be dead, or die
				_ = lab.Pause(over, 10*time.Millisecond)
			}
			return nil
		})
	}
	defer func() { stop(); err = errors.Join(err, group.Wait()) }()
	for ; kills < s.Kills; kills++ {
		// Not later than the last steps: a kill of an idle replica shows nothing.
		if err := w.done(ctx, p, s.Leads*len(texts)*kills/(s.Kills+1)); err != nil {
			return kills, err
		}
		if err := lab.Pause(ctx, time.Duration(random.Int64N(int64(30*time.Millisecond)))); err != nil {
			return kills, err
		}
		victim := replicas[random.IntN(len(replicas))]
		victim.Kill()
		if err := victim.Start(); err != nil {
			return kills, err
		}
		if err := victim.Up(ctx); err != nil {
			return kills, err
		}
	}
	return kills, nil
}

// done waits until that many steps are recorded.
func (w *world) done(ctx context.Context, p *place, steps int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		var n int
		err := w.Admin.QueryRow(ctx, `SELECT count(*) FROM followups.run_item WHERE workspace_id = $1 AND outcome = 'succeeded'`,
			p.tenant.Workspace).Scan(&n)
		if err != nil || n >= steps {
			return err
		}
		if err := lab.Pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d steps recorded: %w", n, steps, err)
		}
	}
}
