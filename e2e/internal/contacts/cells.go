// Package contacts kills the process that makes a lead's contact at every point of the protocol, and counts what the provider holds in
// the end: one contact, which is the lead's.
package contacts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/relance/relance/e2e/internal/crash"
	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/simulator"
)

// Cell is where a process dies or sleeps while it makes a contact.
type Cell struct {
	crash.Cell
	// Fault is what the provider does to the POST.
	Fault simulator.FaultKind
	// Posts is how many POSTs there are at most.
	Posts int
}

// Cells lists the matrix. A link goes on by itself: where nothing was called the contact is made by the next life, where it may have been
// it is found, and only after proven absence asked for again.
func Cells() []Cell {
	return []Cell{
		{crash.Kill("C1"), simulator.None, 1},
		{crash.Kill("C2"), simulator.None, 1},
		{crash.Kill("C4"), simulator.None, 1},
		{crash.Kill("C5"), simulator.None, 1},
		{crash.Kill("C6"), simulator.None, 2}, // half a request arrives and is refused as such
		{crash.Kill("C7"), simulator.AcceptThenHang, 1},
		{crash.Kill("C8"), simulator.None, 1},
		{crash.Kill("C9"), simulator.None, 1},
		{crash.Kill("C10"), simulator.None, 1},
		{crash.Kill("C8", "C11"), simulator.None, 1},
		{crash.Kill("C8", "C12"), simulator.None, 1},
		{crash.Kill("C4", "C12"), simulator.None, 1},
		{crash.Stop("C4"), simulator.None, 1},
		{crash.Stop("C8"), simulator.None, 1},
		{crash.Stop("C9"), simulator.None, 1},
	}
}

const createPath = "/contacts/"

// String names the cell.
func (c Cell) String() string { return "contact_" + c.Cell.String() }

// Run plays the cell with a victim that is asked for the contact.
func (c Cell) Run(ctx context.Context, l *lab.Lab, n int) (string, error) {
	victim, err := c.Victim(ctx, l)
	if err != nil {
		return "", err
	}
	defer victim.Kill()
	s, err := newStranger(ctx, l, victim.Target, fmt.Sprintf("locationStranger%04d", n))
	if err != nil {
		return "", err
	}
	defer s.client.Close()
	if c.Fault != simulator.None {
		match := simulator.Match{Method: http.MethodPost, Path: createPath, Location: s.location}
		defer l.AddFault(simulator.Fault{Match: match, Kind: c.Fault, Times: 1}).Remove()
	}
	if err := c.Play(ctx, l, victim, s); err != nil {
		return "", err
	}
	return c.compare(ctx, s)
}

// compare asks again, as whoever got no answer does, and then anew: it is the one contact that the provider holds.
func (c Cell) compare(ctx context.Context, s *stranger) (string, error) {
	again, err := s.contact(ctx, s.first)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c, err)
	}
	anew, err := s.contact(ctx, s.wish())
	if err != nil {
		return "", fmt.Errorf("%s: %w", c, err)
	}
	if posts, made := s.asked(); posts > c.Posts || len(made) != 1 || again != made[0] || anew != made[0] {
		return fmt.Sprintf("%d POSTs made %v, the lead has %q, then %q; want one contact and at most %d POSTs", posts, made, again, anew, c.Posts), nil
	}
	return "", nil
}

// control shows that the ledger tells of a second contact: the provider makes one for whoever asks again.
func control(ctx context.Context, l *lab.Lab) (string, error) {
	healthy, err := l.Replica(ctx)
	if err != nil {
		return "", err
	}
	defer healthy.Kill()
	if err := healthy.Up(ctx); err != nil {
		return "", err
	}
	s, err := newStranger(ctx, l, healthy.Target, "locationStrangerControl")
	if err != nil {
		return "", err
	}
	defer s.client.Close()
	for range 2 {
		if err := s.create(ctx); err != nil {
			return "", err
		}
	}
	if _, made := s.asked(); len(made) != 2 {
		return fmt.Sprintf("two creations without the protocol left %v", made), nil
	}
	return "", nil
}

// RunCells plays cells one after another and prints a figure for each and for all.
func RunCells(ctx context.Context, binary string, cells []Cell, sheet *figure.Sheet) (err error) {
	// A creation that a busy machine is late with leaves once more, which is right and not what is counted here.
	timing := lab.Scaled()
	timing.Write, timing.Call, timing.Settle = 3*time.Second, 3*time.Second, 9*time.Second
	l, err := lab.New(ctx, lab.Options{Binary: binary, Timing: timing})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	good, err := crash.PlayAll(ctx, l, cells, sheet)
	if err != nil {
		return err
	}
	sheet.Must("cells_of_contacts", good, len(cells), "as_expected")
	wrong, err := control(ctx, l)
	if err == nil {
		sheet.Cell("contact_control", wrong)
	}
	return err
}
