//go:build crashpoints

package crashpoint

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

type plan struct {
	point  Point
	left   atomic.Int64
	signal syscall.Signal
}

var armed = parse(os.Getenv(Variable))

func parse(text string) *plan {
	if text == "" {
		return nil
	}
	p := &plan{}
	parts := strings.Split(text, ":")
	signals := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP}
	if len(parts) == 3 {
		nth, err := strconv.ParseInt(parts[1], 10, 32)
		if signal, ok := signals[parts[2]]; ok && err == nil && nth > 0 {
			p.point, p.signal = Point(parts[0]), signal
			p.left.Store(nth)
			return p
		}
	}
	panic(fmt.Sprintf("%s: want point:nth:KILL or point:nth:STOP, have %q", Variable, text))
}

// At sends the process the signal when it is this point's turn.
func At(point Point) {
	if armed == nil || armed.point != point || armed.left.Add(-1) != 0 {
		return
	}
	// Another thread may take the signal, while this one goes on for a moment: nothing after this point may happen before the process
	// is dead, or was asleep and is woken.
	woken := make(chan os.Signal, 1)
	signal.Notify(woken, syscall.SIGCONT)
	defer signal.Stop(woken)
	fmt.Fprintf(os.Stderr, "crash point %s\n", point)
	_ = syscall.Kill(os.Getpid(), armed.signal)
	<-woken
}
