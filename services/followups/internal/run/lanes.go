package run

import (
	"sync"

	"github.com/google/uuid"
)

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
