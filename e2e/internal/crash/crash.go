// Package crash kills a process at a point of a protocol, or lets it sleep there for longer than the settle time, and brings it back. What
// the process was asked for, and what must have come of it, is its user's.
package crash

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
)

// Cell is the points at which a process dies or sleeps.
type Cell struct {
	signal string
	points []string
}

// Kill is SIGKILL at the first point, and at each following one in the next life.
func Kill(points ...string) Cell { return Cell{"KILL", points} }

// Stop is SIGSTOP at a point, until another replica has settled what the process holds.
func Stop(point string) Cell { return Cell{"STOP", []string{point}} }

// String names the cell.
func (c Cell) String() string {
	name := c.points[0] + "_" + c.signal
	for _, then := range c.points[1:] {
		name += "_then_" + then
	}
	return strings.ToLower(name)
}

// Scene is what is played.
type Scene interface {
	// Act asks the victim for what it dies over. Its answer does not matter.
	Act(ctx context.Context)
	// Settled waits until nobody holds what was asked for, and its outcome is known.
	Settled(ctx context.Context) error
}

// patience bounds the wait for a point to be passed.
const patience = time.Minute

// Victim starts a replica that will die or sleep at the first point.
func (c Cell) Victim(ctx context.Context, l *lab.Lab) (*lab.Replica, error) {
	victim, err := l.Replica(ctx, fmt.Sprintf("RELANCE_CRASH=%s:1:%s", c.points[0], c.signal))
	if err != nil {
		return nil, err
	}
	return victim, victim.Up(ctx)
}

// Play has the victim act, strikes it, brings it back, and waits for what becomes of it.
func (c Cell) Play(ctx context.Context, l *lab.Lab, victim *lab.Replica, s Scene) error {
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		// Longer than the process sleeps: the check before the call has to stop it, not the caller's deadline.
		patient, cancel := context.WithTimeout(ctx, 2*patience)
		defer cancel()
		s.Act(patient)
	}()
	if err := c.strike(ctx, l, victim, s); err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	<-asked
	if err := c.revive(ctx, victim); err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	if err := s.Settled(ctx); err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

// strike waits until the victim is dead, or was asleep for longer than the settle time and is awake again.
func (c Cell) strike(ctx context.Context, l *lab.Lab, victim *lab.Replica, s Scene) error {
	bound, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c.signal == "KILL" {
		return dead(bound, victim, c.points[0])
	}
	for !strings.Contains(victim.Log(), "crash point "+c.points[0]) {
		if err := lab.Pause(bound, 5*time.Millisecond); err != nil {
			return fmt.Errorf("the point was never passed: %w", err)
		}
	}
	helper, err := l.Replica(ctx)
	if err != nil {
		return err
	}
	defer helper.Kill()
	if err := helper.Up(ctx); err != nil {
		return err
	}
	// The healthy replica settles what the sleeper holds; only then does it wake.
	err = s.Settled(ctx)
	victim.Signal(syscall.SIGCONT)
	return err
}

func dead(bound context.Context, victim *lab.Replica, point string) error {
	select {
	case <-victim.Done():
		if !victim.Killed() {
			return fmt.Errorf("ended by itself: %s", victim.Log())
		}
		return nil
	case <-bound.Done():
		return fmt.Errorf("%s was never passed: %s", point, victim.Log())
	}
}

// revive starts what was killed, to be killed again where the cell says so.
func (c Cell) revive(ctx context.Context, victim *lab.Replica) error {
	if c.signal == "STOP" {
		return nil
	}
	for _, point := range c.points[1:] {
		if err := victim.Start("RELANCE_CRASH=" + point + ":1:KILL"); err != nil {
			return err
		}
		bound, cancel := context.WithTimeout(ctx, patience)
		err := dead(bound, victim, point)
		cancel()
		if err != nil {
			return err
		}
	}
	if err := victim.Start("RELANCE_CRASH="); err != nil {
		return err
	}
	return victim.Up(ctx)
}

// Played is a cell with what must come of it.
type Played interface {
	fmt.Stringer
	// Run plays it as number n of the lab, and gives what was not as it must be, or "".
	Run(ctx context.Context, l *lab.Lab, n int) (wrong string, err error)
}

// PlayAll plays cells one after another, prints a figure for each, and counts those that were as they must be.
func PlayAll[C Played](ctx context.Context, l *lab.Lab, cells []C, sheet *figure.Sheet) (good int, err error) {
	for n, c := range cells {
		wrong, err := c.Run(ctx, l, n)
		if err != nil {
			return good, err
		}
		if sheet.Cell(c.String(), wrong) {
			good++
		}
	}
	return good, nil
}
