// Package bookings kills the process that books an appointment at every point of the protocol, and counts what the provider holds
// in the end: one appointment, or none while nothing was called, and never two.
package bookings

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/relance/relance/e2e/internal/crash"
	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/simulator"
)

// Cell is where a process dies or sleeps while it books.
type Cell struct {
	crash.Cell
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
		{crash.Kill("C1"), simulator.None, booked, 1, 1},
		{crash.Kill("C2"), simulator.None, booked, 1, 1},
		{crash.Kill("C4"), simulator.None, refused, 0, 0},
		{crash.Kill("C5"), simulator.None, refused, 0, 0},
		{crash.Kill("C6"), simulator.None, refused, 1, 0}, // half a request arrives and is refused as such
		{crash.Kill("C7"), simulator.AcceptThenHang, booked, 1, 1},
		{crash.Kill("C8"), simulator.None, booked, 1, 1},
		{crash.Kill("C9"), simulator.None, booked, 1, 1},
		{crash.Kill("C10"), simulator.None, booked, 1, 1},
		{crash.Kill("C8", "C11"), simulator.None, booked, 1, 1},
		{crash.Kill("C8", "C12"), simulator.None, booked, 1, 1},
		{crash.Kill("C4", "C12"), simulator.None, refused, 0, 0},
		{crash.Stop("C4"), simulator.None, refused, 0, 0},
		{crash.Stop("C8"), simulator.None, booked, 1, 1},
		{crash.Stop("C9"), simulator.None, booked, 1, 1},
	}
}

// String names the cell.
func (c Cell) String() string { return "booking_" + c.Cell.String() }

// Run plays the cell with a victim that gets the booking.
func (c Cell) Run(ctx context.Context, l *lab.Lab, n int) (string, error) {
	victim, err := c.Victim(ctx, l)
	if err != nil {
		return "", err
	}
	defer victim.Kill()
	d, err := newDiary(ctx, l, victim.Target, fmt.Sprintf("locationDiary%07d", n))
	if err != nil {
		return "", err
	}
	defer d.client.Close()
	if c.Fault != simulator.None {
		match := simulator.Match{Method: http.MethodPost, Path: bookPath, Location: d.location}
		defer l.AddFault(simulator.Fault{Match: match, Kind: c.Fault, Times: 1}).Remove()
	}
	d.ask()
	if err := c.Play(ctx, l, victim, d); err != nil {
		return "", err
	}
	return c.compare(ctx, d)
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
	good, err := crash.PlayAll(ctx, l, cells, sheet)
	if err != nil {
		return err
	}
	sheet.Must("cells_of_bookings", good, len(cells), "as_expected")
	return nil
}
