// Package bookings kills the process that books an appointment at every point of the protocol, and counts what the provider holds
// in the end: one appointment, or none while nothing was called, and never two.
package bookings

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/simulator"
)

// Cell is one point at which a process dies or sleeps while it books.
type Cell struct {
	// Point is C1 to C12; Signal KILL or STOP (longer than the settle time, then it goes on).
	Point, Signal string
	// Then is a point of its next life, at which it is killed again; empty for none.
	Then string
	// Fault is what the provider does to the POST.
	Fault simulator.FaultKind
	// State is the booking's in the end, Posts how many POSTs there are at most by then, and Standing how many appointments stand.
	State           string
	Posts, Standing int
}

const (
	booked  = "BOOKED"
	refused = "REFUSED"
)

// Cells lists the matrix. A booking that had not been claimed goes on when it is asked for again. One whose process died between
// claim and call is found to be absent and is not made by itself: somebody waits for the answer, and may have chosen another time.
func Cells() []Cell {
	return []Cell{
		{"C1", "KILL", "", simulator.None, booked, 1, 1},
		{"C2", "KILL", "", simulator.None, booked, 1, 1},
		{"C4", "KILL", "", simulator.None, refused, 0, 0},
		{"C5", "KILL", "", simulator.None, refused, 0, 0},
		{"C6", "KILL", "", simulator.None, refused, 1, 0}, // half a request arrives and is refused as such
		{"C7", "KILL", "", simulator.AcceptThenHang, booked, 1, 1},
		{"C8", "KILL", "", simulator.None, booked, 1, 1},
		{"C9", "KILL", "", simulator.None, booked, 1, 1},
		{"C10", "KILL", "", simulator.None, booked, 1, 1},
		{"C8", "KILL", "C11", simulator.None, booked, 1, 1},
		{"C8", "KILL", "C12", simulator.None, booked, 1, 1},
		{"C4", "KILL", "C12", simulator.None, refused, 0, 0},
		{"C4", "STOP", "", simulator.None, refused, 0, 0},
		{"C8", "STOP", "", simulator.None, booked, 1, 1},
		{"C9", "STOP", "", simulator.None, booked, 1, 1},
	}
}

// String names the cell.
func (c Cell) String() string {
	name := "booking_" + c.Point + "_" + c.Signal
	if c.Then != "" {
		name += "_then_" + c.Then
	}
	return strings.ToLower(name)
}

// run plays the cell with a victim that gets the booking.
func (c Cell) run(ctx context.Context, l *lab.Lab, n int) (string, error) {
	victim, err := l.Replica(ctx, fmt.Sprintf("RELANCE_CRASH=%s:1:%s", c.Point, c.Signal))
	if err != nil {
		return "", err
	}
	defer victim.Kill()
	if err := victim.Up(ctx); err != nil {
		return "", err
	}
	d, err := newDiary(ctx, l, victim.Target, fmt.Sprintf("locationDiary%07d", n))
	if err != nil {
		return "", err
	}
	defer d.client.Close()
	if c.Fault != simulator.None {
		match := simulator.Match{Method: http.MethodPost, Path: bookPath, Location: d.location}
		defer l.AddFault(simulator.Fault{Match: match, Kind: c.Fault, Times: 1}).Remove()
	}
	first := d.ask()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		// Longer than the process sleeps: the check before the write has to stop it, not the caller's deadline.
		patient, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		_, _ = d.client.At(0).BookAppointment(patient, first)
	}()
	if err := c.strike(ctx, l, victim, d); err != nil {
		return "", err
	}
	<-asked
	if err := c.revive(ctx, victim); err != nil {
		return "", err
	}
	if err := d.settled(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", c, err)
	}
	return c.compare(ctx, d)
}

// strike waits until the victim is dead, or was asleep for longer than the settle time and is awake again.
func (c Cell) strike(ctx context.Context, l *lab.Lab, victim *lab.Replica, d *diary) error {
	bound, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if c.Signal == "KILL" {
		return c.dead(bound, victim, c.Point)
	}
	for !strings.Contains(victim.Log(), "crash point "+c.Point) {
		if err := lab.Pause(bound, 5*time.Millisecond); err != nil {
			return fmt.Errorf("%s: the point was never passed: %w", c, err)
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
	err = d.settled(ctx)
	victim.Signal(syscall.SIGCONT)
	return err
}

func (c Cell) dead(bound context.Context, victim *lab.Replica, point string) error {
	select {
	case <-victim.Done():
		if !victim.Killed() {
			return fmt.Errorf("%s: ended by itself: %s", c, victim.Log())
		}
		return nil
	case <-bound.Done():
		return fmt.Errorf("%s: %s was never passed: %s", c, point, victim.Log())
	}
}

// revive starts what was killed, to be killed again where the cell says so.
func (c Cell) revive(ctx context.Context, victim *lab.Replica) error {
	if c.Signal == "STOP" {
		return nil
	}
	if c.Then != "" {
		if err := victim.Start("RELANCE_CRASH=" + c.Then + ":1:KILL"); err != nil {
			return err
		}
		bound, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := c.dead(bound, victim, c.Then); err != nil {
			return err
		}
	}
	if err := victim.Start("RELANCE_CRASH="); err != nil {
		return err
	}
	return victim.Up(ctx)
}

// compare asks again, as whoever got no answer does, and then anew: in the end there is one appointment.
func (c Cell) compare(ctx context.Context, d *diary) (string, error) {
	state, err := d.again(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c, err)
	}
	posts, standing := d.posts(), d.standing()
	if state != c.State || posts > c.Posts || standing != c.Standing {
		return fmt.Sprintf("%s, %d POSTs, %d appointments; want %s, %d, %d", state, posts, standing, c.State, c.Posts, c.Standing), nil
	}
	if state, err = d.anew(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", c, err)
	}
	if standing = d.standing(); state != booked || standing != 1 {
		return fmt.Sprintf("asked for with another id: %s, %d appointments; want one", state, standing), nil
	}
	return "", nil
}

// RunCells plays cells one after another and prints a figure for each and for all.
func RunCells(ctx context.Context, binary string, cells []Cell, sheet *figure.Sheet) (err error) {
	l, err := lab.New(ctx, lab.Options{Binary: binary, Timing: lab.Scaled()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	good := 0
	for n, c := range cells {
		wrong, err := c.run(ctx, l, n)
		if err != nil {
			return err
		}
		if sheet.Cell(c.String(), wrong) {
			good++
		}
	}
	sheet.Must("cells_of_bookings", good, len(cells), "as_expected")
	return nil
}
