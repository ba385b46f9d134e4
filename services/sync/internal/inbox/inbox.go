// Package inbox decides which of the stored webhooks are processed next. The rows of the inbox are the queue. A page of a
// workspace's is applied together in one commit, and the workspaces take turns, so that one with ten thousand waiting webhooks
// does not keep another's single one waiting. What needs the provider, or failed beside others, is processed alone, a few at a
// time.
package inbox

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Page is how many webhooks are applied together at most. It bounds how long the leads of a page are locked.
const Page = 32

const (
	// lanes is how many workspaces have pages applied at once, inARow how many full pages a turn has; slots how many webhooks are
	// processed alone, slotsEach of one workspace.
	lanes     = 4
	inARow    = 4
	slots     = 8
	slotsEach = 4
	// look is how often the inbox is looked at without having been woken: for what is due again, and for what others left.
	look = time.Second
	// rest is the least time between two looks: what comes in meanwhile is seen by one. Without it every stored batch had the
	// inbox looked at, which cost as much as storing.
	rest = 10 * time.Millisecond
	// heldWait is the wait for another process that has the workspace's page.
	heldWait = 50 * time.Millisecond
	// failWait is the wait after the database failed.
	failWait = time.Second
)

// Waiting is a workspace with webhooks that are due.
type Waiting struct {
	Workspace uuid.UUID
	// Together and Alone say which kinds there are.
	Together, Alone bool
}

// Effects apply webhooks.
type Effects interface {
	// Due lists the workspaces with webhooks that are due, each once, in one order.
	Due(ctx context.Context) ([]Waiting, error)
	// Together applies the next Page of a workspace in one commit. It tells how many webhooks it dealt with: none when another
	// process is at them.
	Together(ctx context.Context, workspace uuid.UUID) (int, error)
	// Lease takes at most n webhooks that are processed alone. Each is to be called once, and ends with its context.
	Lease(ctx context.Context, workspace uuid.UUID, n int) ([]func(context.Context), error)
}

// Config is what an Inbox is made of.
type Config struct {
	Effects Effects
	Logger  *slog.Logger
	// SoftStop is how long what is under way may take at shutdown.
	SoftStop time.Duration
}

// Inbox hands waiting webhooks to their effects. Wake and Stored are safe for concurrent use.
type Inbox struct {
	cfg  Config
	bell chan struct{}

	mu    sync.Mutex
	work  sync.WaitGroup
	lanes map[uuid.UUID]bool
	// held are workspaces whose page another process has; they are left alone for heldWait.
	held  map[uuid.UUID]bool
	alone map[uuid.UUID]int
	total int
	// last is the workspace that had the last turn.
	last uuid.UUID
}

// New makes an Inbox; Run drives it.
func New(cfg Config) *Inbox {
	return &Inbox{cfg: cfg, bell: make(chan struct{}, 1), lanes: map[uuid.UUID]bool{}, held: map[uuid.UUID]bool{}, alone: map[uuid.UUID]int{}}
}

// Wake says that there may be something to do. It does not block.
func (i *Inbox) Wake() {
	select {
	case i.bell <- struct{}{}:
	default:
	}
}

// Stored says that webhooks of a workspace were committed. While its page is being applied, or is another process's, there is
// nothing to look at: whoever has it wakes the inbox when it ends. In a flood of one workspace's webhooks that spares nearly
// every look. It does not block.
func (i *Inbox) Stored(workspace uuid.UUID) {
	i.mu.Lock()
	busy := i.lanes[workspace] || i.held[workspace]
	i.mu.Unlock()
	if !busy {
		i.Wake()
	}
}

// Run works until ctx ends, and lets what is under way then come to its end.
func (i *Inbox) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer i.work.Wait()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(i.cfg.SoftStop, cancel) })()
	for {
		wait := look
		if err := i.round(ctx, work); err != nil && ctx.Err() == nil {
			i.cfg.Logger.WarnContext(ctx, "the inbox could not be looked at", "error", err)
			wait = failWait
		}
		select {
		case <-ctx.Done():
			return nil
		case <-i.bell:
		case <-time.After(wait):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
	}
}

// round gives every waiting workspace a turn, as far as there is room, beginning behind the one that had the last.
func (i *Inbox) round(ctx, work context.Context) error {
	due, err := i.cfg.Effects.Due(ctx)
	if err != nil {
		return err
	}
	for _, w := range i.inTurn(due) {
		if w.Together {
			i.together(work, w.Workspace)
		}
		if w.Alone {
			if err := i.leased(work, w.Workspace); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i *Inbox) inTurn(due []Waiting) []Waiting {
	for n, w := range due {
		if bytes.Compare(w.Workspace[:], i.last[:]) > 0 {
			return slices.Concat(due[n:], due[:n])
		}
	}
	return due
}

// together applies some pages of the workspace's, unless one is being applied or all lanes are taken.
func (i *Inbox) together(work context.Context, workspace uuid.UUID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.lanes[workspace] || i.held[workspace] || len(i.lanes) == lanes {
		return
	}
	i.lanes[workspace], i.last = true, workspace
	i.work.Go(func() {
		dealt, err := i.turn(work, workspace)
		i.mu.Lock()
		delete(i.lanes, workspace)
		if err == nil && dealt == 0 {
			i.held[workspace] = true
		}
		i.mu.Unlock()
		switch {
		case err != nil:
			i.cfg.Logger.WarnContext(work, "webhooks not applied; they wait", "workspace", workspace.String(), "error", err)
			time.AfterFunc(failWait, i.Wake)
		case dealt == 0:
			time.AfterFunc(heldWait, func() { i.letGo(workspace) })
		default:
			i.Wake() // more may have come meanwhile, and another workspace may wait for the lane
		}
	})
}

func (i *Inbox) letGo(workspace uuid.UUID) {
	i.mu.Lock()
	delete(i.held, workspace)
	i.mu.Unlock()
	i.Wake()
}

// turn applies pages until one is not full, or the turn is over, and tells how many webhooks it dealt with.
func (i *Inbox) turn(work context.Context, workspace uuid.UUID) (dealt int, err error) {
	for range inARow {
		n, err := i.cfg.Effects.Together(work, workspace)
		dealt += n
		if err != nil || n < Page || work.Err() != nil {
			return dealt, err
		}
	}
	return dealt, nil
}

// leased begins as many webhooks of the workspace's alone as there is room for.
func (i *Inbox) leased(work context.Context, workspace uuid.UUID) error {
	i.mu.Lock()
	room := min(slots-i.total, slotsEach-i.alone[workspace])
	i.mu.Unlock()
	if room <= 0 {
		return nil // Whoever ends wakes the inbox again.
	}
	begun, err := i.cfg.Effects.Lease(work, workspace, room)
	i.mu.Lock()
	i.alone[workspace] += len(begun)
	i.total += len(begun)
	i.last = workspace
	i.mu.Unlock()
	for _, one := range begun {
		i.work.Go(func() {
			one(work)
			i.mu.Lock()
			if i.alone[workspace]--; i.alone[workspace] == 0 {
				delete(i.alone, workspace)
			}
			i.total--
			i.mu.Unlock()
			i.Wake()
		})
	}
	return err
}
