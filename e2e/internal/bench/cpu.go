package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
		own := strings.HasPrefix(string(raw), strconv.Itoa(pid)+" ")
		if len(fields) < 15 || (!own && fields[1] != strconv.Itoa(pid)) {
			continue
		}
		found = found || own
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
		used, err := processorTime(pid)
		if err != nil {
			return nil, err
		}
		out[name] = used
	}
	return out, nil
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
