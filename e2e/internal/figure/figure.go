// Package figure prints results, one line a figure: `figure NAME VALUE UNIT n=N`.
package figure

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Sheet prints figures and remembers whether an invariant failed.
type Sheet struct {
	out    io.Writer
	failed int
}

// NewSheet prints to out.
func NewSheet(out io.Writer) *Sheet { return &Sheet{out: out} }

// Count prints a whole number of n.
func (s *Sheet) Count(name string, value int, unit string, n int) {
	s.line(name, strconv.Itoa(value), unit, n)
}

// Value prints a measured number of n.
func (s *Sheet) Value(name string, value float64, unit string, n int) {
	s.line(name, strconv.FormatFloat(value, 'g', 4, 64), unit, n)
}

// Zero prints a number that must be zero, with its 95 % bound of 3/n, and counts it as a failure when it is not.
func (s *Sheet) Zero(name string, value int, unit string, n int) {
	note := ""
	switch {
	case value != 0:
		s.failed++
		note = " FAILED"
	case n > 0:
		note = fmt.Sprintf(" bound95=%.1e", 3/float64(n))
	}
	s.text(fmt.Sprintf("figure %s %d %s n=%d%s", name, value, unit, n, note))
}

// Must prints a number that must equal want.
func (s *Sheet) Must(name string, value, want int, unit string) {
	note := ""
	if value != want {
		s.failed++
		note = " FAILED"
	}
	s.text(fmt.Sprintf("figure %s %d %s n=%d%s", name, value, unit, want, note))
}

// Note prints a line that is not a figure.
func (s *Sheet) Note(text string) { s.text("# " + text) }

// ErrFailed says that a figure is not as it must be; the lines say which.
var ErrFailed = errors.New("an invariant failed")

// Err is ErrFailed when a figure was not as it must be.
func (s *Sheet) Err() error {
	if s.failed > 0 {
		return ErrFailed
	}
	return nil
}

func (s *Sheet) line(name, value, unit string, n int) {
	s.text(fmt.Sprintf("figure %s %s %s n=%d", name, value, unit, n))
}

func (s *Sheet) text(line string) {
	_, _ = fmt.Fprintln(s.out, line) // a result that cannot be printed has nowhere to be reported
}

// Cell prints the figure of one cell of a matrix: wrong is what was not as it must be, or "". It reports whether all was well.
func (s *Sheet) Cell(name, wrong string) bool {
	value := 0
	if wrong != "" {
		value = 1
		s.Note(name + ": " + wrong)
	}
	s.Zero("cell_"+name, value, "violations", 1)
	return value == 0
}
