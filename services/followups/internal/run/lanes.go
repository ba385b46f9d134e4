package run

import (
	"sync"

	"github.com/google/uuid"
)

// Messages that are asked for at once, over all runs of a process.
const (
	sendsAtOnce = 64
	// sendsOfWorkspace keeps one workspace, whose provider may be slow, from taking all places.
	sendsOfWorkspace = 32
)

// bounds limits sends in total and by workspace. It is safe for concurrent use.
type bounds struct {
	total       chan struct{}
	mu          sync.Mutex
	byWorkspace map[uuid.UUID]*bound
}

type bound struct {
	places chan struct{}
	users  int
}

func newBounds() *bounds {
	return &bounds{total: make(chan struct{}, sendsAtOnce), byWorkspace: map[uuid.UUID]*bound{}}
}

// with runs fn when there is a place.
func (b *bounds) with(workspace uuid.UUID, fn func()) {
	own := b.enter(workspace)
	defer b.leave(workspace, own)
	own.places <- struct{}{}
	defer func() { <-own.places }()
	b.total <- struct{}{}
	defer func() { <-b.total }()
	fn()
}

func (b *bounds) enter(workspace uuid.UUID) *bound {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.byWorkspace[workspace]
	if own == nil {
		own = &bound{places: make(chan struct{}, sendsOfWorkspace)}
		b.byWorkspace[workspace] = own
	}
	own.users++
	return own
}

func (b *bounds) leave(workspace uuid.UUID, own *bound) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(b.byWorkspace, workspace)
	}
}

// lanes runs works of different leads beside each other and those of one lead in order, since sync sends one at a time
// to a person.
type lanes struct {
	bounds *bounds
	send   func(*work)
	group  sync.WaitGroup
	mu     sync.Mutex
	// waiting are the works behind the one of a lead that is under way.
	waiting map[uuid.UUID][]*work
}

func newLanes(b *bounds, send func(*work)) *lanes {
	return &lanes{bounds: b, send: send, waiting: map[uuid.UUID][]*work{}}
}

func (l *lanes) add(w *work) {
	lead := w.item.Enrollment.Lead
	l.mu.Lock()
	defer l.mu.Unlock()
	if queue, busy := l.waiting[lead]; busy {
		l.waiting[lead] = append(queue, w)
		return
	}
	l.waiting[lead] = nil
	l.group.Go(func() {
		for next := w; next != nil; next = l.next(lead) {
			l.bounds.with(next.item.Enrollment.Workspace, func() { l.send(next) })
		}
	})
}

// next takes the work behind the one that ended; nil when the lane is empty.
func (l *lanes) next(lead uuid.UUID) *work {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[lead]
	if len(queue) == 0 {
		delete(l.waiting, lead)
		return nil
	}
	l.waiting[lead] = queue[1:]
	return queue[0]
}

// wait returns when every work that was added is sent.
func (l *lanes) wait() { l.group.Wait() }
