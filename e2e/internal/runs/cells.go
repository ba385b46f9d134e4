package runs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
)

// Cell is one point at which a run dies, or sleeps past its lease while another replica takes its work over.
type Cell struct {
	// Point is one of services/followups/internal/crashpoint, Nth the time that it is passed, Signal KILL or STOP.
	Point, Nth, Signal string
}

// String names the cell.
func (c Cell) String() string {
	return strings.ToLower("run_" + c.Point + "_" + c.Nth + "_" + c.Signal)
}

// Cells lists the matrix of runs.
func Cells() []Cell {
	return []Cell{
		{"K1", "1", "KILL"},
		{"K2", "1", "KILL"},
		{"K2", "2", "KILL"},
		{"K3", "1", "KILL"},
		{"K4", "1", "KILL"},
		{"K4", "7", "KILL"},
		{"K5", "1", "KILL"},
		{"K5", "2", "KILL"},
		{"K6", "1", "KILL"},
		{"K2", "1", "STOP"},
		{"K4", "3", "STOP"},
		{"K5", "1", "STOP"},
		{"K6", "1", "STOP"},
	}
}

// RunCells plays cells one after another, each with leads of its own, and prints a figure for each and for all.
func RunCells(ctx context.Context, binary string, cells []Cell, sheet *figure.Sheet) (err error) {
	const leads = 12
	w, err := newWorld(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	good := 0
	for _, c := range cells {
		v, err := w.play(ctx, c, leads)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		if sheet.Cell(c.String(), v.wrong()) {
			good++
		}
	}
	sheet.Must("run_cells", good, len(cells), "as_expected")
	return nil
}

// play lets a victim begin a run and die or sleep at the point, finishes the work, and judges.
func (w *world) play(ctx context.Context, c Cell, leads int) (verdict, error) {
	p, err := w.enrolled(ctx, leads)
	if err != nil {
		return verdict{}, err
	}
	victim, err := w.followUps(ctx, fmt.Sprintf("RELANCE_CRASH=%s:%s:%s", c.Point, c.Nth, c.Signal))
	if err != nil {
		return verdict{}, err
	}
	defer victim.Kill()
	request, asked := uuid.New(), make(chan struct{})
	begun, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(asked)
		_, _ = w.run(begun, victim.Target, request) // the answer is cut off, or comes late
	}()
	if c.Signal == "STOP" {
		err = w.overtake(ctx, victim, c)
	} else {
		err = w.revive(ctx, victim, request)
	}
	if err != nil {
		return verdict{}, err
	}
	cancel()
	<-asked
	if err := w.finish(ctx, victim.Target, p); err != nil {
		return verdict{}, err
	}
	return w.judge(ctx, p)
}

// revive waits until the victim is dead, and asks its next life for the same run again: the receipt goes on.
func (w *world) revive(ctx context.Context, victim *lab.Replica, request uuid.UUID) error {
	select {
	case <-victim.Done():
	case <-time.After(time.Minute):
		return fmt.Errorf("the point was never passed: %s", victim.Log())
	}
	if !victim.Killed() {
		return fmt.Errorf("ended by itself: %s", victim.Log())
	}
	if err := victim.Start("RELANCE_CRASH="); err != nil {
		return err
	}
	if err := victim.Up(ctx); err != nil {
		return err
	}
	again, err := w.run(ctx, victim.Target, request)
	if err != nil {
		return err
	}
	twice, err := w.run(ctx, victim.Target, request)
	if err != nil {
		return err
	}
	if again.GetName() != twice.GetName() || again.GetResults().GetProcessed() != twice.GetResults().GetProcessed() {
		return fmt.Errorf("one request, two receipts: %v and %v", again, twice)
	}
	return nil
}

// overtake lets another replica work while the victim sleeps longer than its lease, and wakes the victim.
func (w *world) overtake(ctx context.Context, victim *lab.Replica, c Cell) error {
	bound, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !strings.Contains(victim.Log(), "crash point "+c.Point) {
		if err := lab.Pause(bound, 5*time.Millisecond); err != nil {
			return fmt.Errorf("the point was never passed: %w: %s", err, victim.Log())
		}
	}
	defer victim.Signal(syscall.SIGCONT)
	helper, err := w.followUps(ctx)
	if err != nil {
		return err
	}
	defer helper.Kill()
	if err := lab.Pause(ctx, lease+time.Second); err != nil {
		return err
	}
	_, err = w.run(ctx, helper.Target, uuid.New())
	return err
}
