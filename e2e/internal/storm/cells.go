package storm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/e2e/internal/oracle"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// Cell is one point at which a process dies or sleeps, with what the provider does meanwhile.
type Cell struct {
	// Point is C1 to C14; Signal KILL or STOP (longer than the settle time, then it goes on).
	Point, Signal string
	// Fault is what the provider does to the first POST.
	Fault simulator.FaultKind
	// Posts and Taken are how many POSTs and acceptances there must be in the end; State is the intent's.
	Posts, Taken int
	State        string
	// Warm sends another message first, and asks again after a kill. The first send of a process for a workspace takes the long way (plan, then claim); the
	// ones after it take the short way (planned and claimed in one commit), which is then the way that dies.
	Warm bool
}

// Cells lists the matrix of sends. A message whose process died before it wrote leaves by the planned send (C1, C2) or,
// after a claim, once absence is established; one whose process died after it wrote is found and never sent again.
func Cells() []Cell {
	cells := []Cell{
		{"C1", "KILL", simulator.None, 1, 1, "ACCEPTED", false},
		{"C2", "KILL", simulator.None, 1, 1, "ACCEPTED", false},
		{"C4", "KILL", simulator.None, 1, 1, "ACCEPTED", false},
		{"C5", "KILL", simulator.None, 1, 1, "ACCEPTED", false},
		{"C6", "KILL", simulator.None, 2, 1, "ACCEPTED", false}, // half a request arrives and is refused as such
		{"C7", "KILL", simulator.AcceptThenHang, 1, 1, "ACCEPTED", false},
		{"C8", "KILL", simulator.None, 1, 1, "ACCEPTED", false},
		{"C9", "KILL", simulator.None, 1, 1, "ACCEPTED", false},
		{"C10", "KILL", simulator.None, 1, 1, "ACCEPTED", false},
		{"C11", "KILL", simulator.AcceptThenReset, 1, 1, "ACCEPTED", false},
		{"C12", "KILL", simulator.AcceptThenReset, 1, 1, "ACCEPTED", false},
		{"C13", "KILL", simulator.Status5xxClean, 2, 1, "ACCEPTED", false},
		{"C14", "TERM", simulator.AcceptThenHang, 1, 1, "ACCEPTED", false},
		{"C4", "STOP", simulator.None, 1, 1, "ACCEPTED", false},
		{"C8", "STOP", simulator.None, 1, 1, "ACCEPTED", false},
		{"C9", "STOP", simulator.None, 1, 1, "ACCEPTED", false},
		{"C10", "STOP", simulator.None, 1, 1, "ACCEPTED", false},
	}
	for _, point := range []string{"C2", "C4", "C5", "C8", "C9", "C10"} {
		cells = append(cells, Cell{point, "KILL", simulator.None, 1, 1, "ACCEPTED", true})
	}
	cells = append(cells, Cell{"C9", "STOP", simulator.None, 1, 1, "ACCEPTED", true})
	return cells
}

// String names the cell.
func (c Cell) String() string {
	name := strings.ToLower(c.Point + "_" + c.Signal)
	if c.Warm {
		name += "_short_way"
	}
	return name
}

// warmups is how many messages are sent before the one that the cell is about.
func (c Cell) warmups() int {
	if c.Warm {
		return 1
	}
	return 0
}

// RunCell plays one cell in a fresh workspace of the lab, with the mark of number n, and n+1 for the message before: a victim gets the send and dies or sleeps at the point, a healthy
// replica is there to go on. It gives what was not as it must be, or "".
func RunCell(ctx context.Context, l *lab.Lab, o *oracle.Oracle, n int, c Cell) (string, error) {
	env := []string{fmt.Sprintf("RELANCE_CRASH=%s:%d:%s", c.Point, 1+c.warmups(), c.Signal)}
	if c.Signal == "TERM" {
		env = nil
	}
	victim, err := l.Replica(ctx, env...)
	if err != nil {
		return "", err
	}
	defer victim.Kill()
	if err := victim.Up(ctx); err != nil {
		return "", err
	}
	admin, err := l.Gateway(principal.Principal{Kind: principal.KindAdmin}, victim.Target)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	place := fmt.Sprintf("locationCell%08d", n)
	people := []simulator.Contact{{Phone: fmt.Sprintf("+1555%07d", 9000000+n)}, {Phone: fmt.Sprintf("+1555%07d", 9100000+n)}}
	tenant, err := l.Tenant(ctx, admin, place, people)
	if err != nil {
		return "", err
	}
	match := simulator.SendsTo("")
	match.Location = place
	if c.Fault != simulator.None {
		defer l.AddFault(simulator.Fault{Match: match, Kind: c.Fault, Times: 1, Delay: time.Second}).Remove()
	}
	clients, err := l.FollowUps(victim.Target)
	if err != nil {
		return "", err
	}
	defer clients.Close()
	if err := c.warm(ctx, clients, tenant.People[1].Lead, oracle.Mark(n+1)); err != nil {
		return "", err
	}
	mark := oracle.Mark(n)
	request := &syncv1.SendMessageRequest{
		Lead: tenant.People[0].Lead, Channel: syncv1.Channel_CHANNEL_SMS, RequestId: oracle.RequestID(mark).String(),
		Body: "Hello, " + mark + " is your number.",
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		// The answer is cut off, or it comes late; what happened is judged by ledger and database. The caller waits longer than
		// the process sleeps: it must be the check before the write that stops it, not the caller's deadline.
		patient, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		_, _ = clients.At(0).SendMessage(patient, request)
	}()
	if err := strikeCell(ctx, l, victim, place, c); err != nil {
		return "", err
	}
	<-asked
	if c.Point == "C4" && c.Signal == "STOP" {
		if err := awake(ctx, l, victim, place, c); err != nil {
			return "", err
		}
	}
	// The caller's retry, at whoever is there: here the victim's next life, without the crash.
	if c.Signal != "STOP" {
		<-victim.Done()
		if err := victim.Start("RELANCE_CRASH="); err != nil {
			return "", err
		}
		if err := victim.Up(ctx); err != nil {
			return "", err
		}
	}
	if c.Warm && c.Signal == "KILL" {
		// On the short way nothing may have been stored: then the same request, which every caller repeats, sends it. Where
		// something was, the answer tells how it stands.
		_, _ = clients.At(0).SendMessage(ctx, request)
	}
	if err := o.Rest(ctx, 90*time.Second); err != nil {
		return "", err
	}
	return c.compare(ctx, l, place, mark)
}

// warm sends the message before.
func (c Cell) warm(ctx context.Context, clients *lab.Clients, lead, mark string) error {
	if !c.Warm {
		return nil
	}
	request := &syncv1.SendMessageRequest{
		Lead: lead, Channel: syncv1.Channel_CHANNEL_SMS, RequestId: oracle.RequestID(mark).String(), Body: "Hello, " + mark + " came before.",
	}
	if _, err := clients.At(0).SendMessage(ctx, request); err != nil {
		return fmt.Errorf("cell %s: send before: %w", c, err)
	}
	return nil
}

// strikeCell waits until the victim has passed its point: until it is dead, or asleep and woken again.
func strikeCell(ctx context.Context, l *lab.Lab, victim *lab.Replica, place string, c Cell) error {
	bound, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	switch c.Signal {
	case "KILL":
		select {
		case <-victim.Done():
			if !victim.Killed() {
				return fmt.Errorf("cell %s: ended by itself: %s", c, victim.Log())
			}
			return nil
		case <-bound.Done():
			return fmt.Errorf("cell %s: the point was never passed: %s", c, victim.Log())
		}
	case "TERM":
		for len(l.Sends(simulator.Filter{Location: place})) == 0 {
			if err := pause(bound, 5*time.Millisecond); err != nil {
				return fmt.Errorf("cell %s: no POST: %w", c, err)
			}
		}
		victim.Signal(syscall.SIGTERM)
		return nil
	default:
		helper, err := l.Replica(ctx)
		if err != nil {
			return err
		}
		defer helper.Kill()
		for !strings.Contains(victim.Log(), "crash point "+c.Point) {
			if err := pause(bound, 5*time.Millisecond); err != nil {
				return fmt.Errorf("cell %s: the point was never passed: %w", c, err)
			}
		}
		if err := helper.Up(ctx); err != nil {
			return err
		}
		err = oversleep(ctx, l, place, c)
		victim.Signal(syscall.SIGCONT)
		return err
	}
}

// oversleep waits for longer than the settle time, and until the healthy replica has sent what the victim has not: only
// then may a victim that wakes send it twice.
func oversleep(ctx context.Context, l *lab.Lab, place string, c Cell) error {
	if err := pause(ctx, lab.Scaled().Settle*3/2); err != nil {
		return err
	}
	bound, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for len(l.Sends(simulator.Filter{Location: place})) <= c.warmups() {
		if err := pause(bound, 20*time.Millisecond); err != nil {
			return fmt.Errorf("cell %s: nobody sent what the sleeper holds: %w", c, err)
		}
	}
	return nil
}

// awake waits until a victim that slept between claim and call has done what it does then: stop, or call. One that finds no
// permit gives its claim back and says nothing.
func awake(ctx context.Context, l *lab.Lab, victim *lab.Replica, place string, c Cell) error {
	bound, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for !strings.Contains(victim.Log(), "send stopped before its call") && len(l.Sends(simulator.Filter{Location: place})) <= 1+c.warmups() {
		if pause(bound, 20*time.Millisecond) != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (c Cell) compare(ctx context.Context, l *lab.Lab, place, mark string) (string, error) {
	var state string
	err := l.Admin.QueryRow(ctx, `SELECT state FROM sync.send_intent WHERE request_id = $1`, oracle.RequestID(mark)).Scan(&state)
	if err != nil {
		return "", fmt.Errorf("cell %s: read intent: %w", c, err)
	}
	posts, taken := len(l.Sends(simulator.Filter{Location: place})), len(l.Accepted(simulator.Filter{Location: place}))
	posts, taken = posts-c.warmups(), taken-c.warmups()
	asWanted := state == c.State || (c.State == "ACCEPTED" && state == "DELIVERED")
	if !asWanted || taken != c.Taken || posts > c.Posts {
		return fmt.Sprintf("%s, %d POSTs, %d taken; want %s, %d, %d", state, posts, taken, c.State, c.Posts, c.Taken), nil
	}
	return "", nil
}

// RunCells plays cells one after another and prints a figure for each and for all.
func RunCells(ctx context.Context, binary string, cells []Cell, sheet *figure.Sheet) (err error) {
	o := oracle.New()
	l, err := lab.New(ctx, lab.Options{Binary: binary, Timing: lab.Scaled(), Simulator: simulator.Config{OnReceive: o.Observe}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	o.Use(l.Admin)
	good, marks := 0, 0
	for _, c := range cells {
		wrong, err := RunCell(ctx, l, o, marks, c)
		if err != nil {
			return err
		}
		marks += 1 + c.warmups()
		if sheet.Cell(c.String(), wrong) {
			good++
		}
	}
	result, err := o.Judge(ctx, l.Simulator, marks)
	if err != nil {
		return err
	}
	o.Print(sheet, result)
	sheet.Must("cells", good, len(cells), "as_expected")
	return nil
}
