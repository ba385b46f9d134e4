package exchange

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// Answers that are read at the same time, and one after another, keep their own bytes, whatever their buffers are used for next.
func TestAnswersKeepTheirBytes(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			var read [][]byte
			for i := range 50 {
				raw, err := readAll(strings.NewReader(strings.Repeat(string(rune('a'+n)), 1+i*977)), MaxAnswer)
				if err != nil {
					t.Error(err)
				}
				read = append(read, raw)
			}
			for i, raw := range read {
				if len(raw) != 1+i*977 || len(bytes.Trim(raw, string(rune('a'+n)))) > 0 {
					t.Errorf("answer %d of reader %d has other bytes", i, n)
				}
			}
		})
	}
	group.Wait()
}

func TestAnswersAreCutAndBreak(t *testing.T) {
	t.Parallel()
	if raw, err := readAll(strings.NewReader("0123456789"), 4); err != nil || string(raw) != "0123" {
		t.Errorf("cut: %q %v", raw, err)
	}
	broken := errors.New("reset")
	raw, err := readAll(io.MultiReader(strings.NewReader("01"), iotest.ErrReader(broken)), 4)
	if !errors.Is(err, broken) || string(raw) != "01" {
		t.Errorf("broken: %q %v", raw, err)
	}
}
