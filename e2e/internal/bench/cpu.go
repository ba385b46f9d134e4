package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of /proc/PID/stat on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// processorTime is what a process and its children have used, user and system. Children that ended count when their parent has
// waited for them.
func processorTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	var total time.Duration
	found := false
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		// The name, in parentheses, may hold spaces.
		rest := string(raw[strings.LastIndexByte(string(raw), ')')+1:])
		fields := strings.Fields(rest)
		self := strings.HasPrefix(string(raw), strconv.Itoa(pid)+" ")
		if len(fields) < 15 || (!self && fields[1] != strconv.Itoa(pid)) {
			continue
		}
		found = found || self
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", file, err)
			}
			total += time.Duration(ticks) * tick
		}
	}
	if !found {
		return 0, fmt.Errorf("process %d is not there", pid)
	}
	return total, nil
}

// own stands for this process, without its children, in a stopwatch.
const own = 0

// stopwatch adds up the processor time of named processes.
type stopwatch struct {
	pids  map[string]int
	spent map[string]time.Duration
}

func newStopwatch(pids map[string]int) *stopwatch {
	return &stopwatch{pids: pids, spent: map[string]time.Duration{}}
}

// during adds what the processes use while fn runs. Without a stopwatch nothing is measured.
func (s *stopwatch) during(fn func() error) error {
	if s == nil {
		return fn()
	}
	before, err := s.read()
	if err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	after, err := s.read()
	for name := range after {
		s.spent[name] += after[name] - before[name]
	}
	return err
}

func (s *stopwatch) read() (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for name, pid := range s.pids {
		used, err := ownTime()
		if pid != own {
			used, err = processorTime(pid)
		}
		if err != nil {
			return nil, err
		}
		out[name] = used
	}
	return out, nil
}

// total is the time of all the processes.
func (s *stopwatch) total() (sum time.Duration) {
	for _, spent := range s.spent {
		sum += spent
	}
	return sum
}

func ownTime() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("read own processor time: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}

// each calls fn with the name and the microseconds for one of n, by name.
func (s *stopwatch) each(n int, fn func(name string, microseconds float64)) {
	var names []string
	for name := range s.spent {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fn(name, float64(s.spent[name])/float64(time.Microsecond)/float64(n))
	}
}
