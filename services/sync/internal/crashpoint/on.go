//go:build crashpoints

package crashpoint

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable names the point and what happens there: "C4:1:KILL" is SIGKILL at the first time C4 is passed, "C5:1:STOP" is
// SIGSTOP, after which whoever sent the process there lets it go on with SIGCONT. Other values end the process at start.
const Variable = "RELANCE_CRASH"

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
	fmt.Fprintf(os.Stderr, "crash point %s\n", point)
	_ = syscall.Kill(os.Getpid(), armed.signal)
	if armed.signal == syscall.SIGKILL {
		select {} // the signal is on its way; nothing after this point may happen
	}
}

// Reader reads b and passes C6 in its middle.
func Reader(b []byte) io.Reader {
	half := len(b) / 2
	return io.MultiReader(bytes.NewReader(b[:half]), passing{}, bytes.NewReader(b[half:]))
}

type passing struct{}

// Read passes C6 and reads nothing.
func (passing) Read([]byte) (int, error) {
	At(C6)
	return 0, io.EOF
}
