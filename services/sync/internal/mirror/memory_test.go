package mirror_test

import (
	"runtime"
	"strings"
	"testing"
)

// A huge conversation goes through in pages: its texts are 40 MB, and what is kept of them is a few bytes a message.
func TestMemoryOfOneHugeConversation(t *testing.T) {
	const all, size = 20_000, 2000
	d := &desk{exported: all, text: func(n int) string { return strings.Repeat(string(rune('a'+n%26)), size) }}
	var begin, most uint64
	d.refuse = func(string, string) (int, bool) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if begin == 0 {
			begin = m.HeapAlloc
		}
		most = max(most, m.HeapAlloc)
		return 0, false
	}
	r := newRig(t, d)
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil {
		t.Fatal(err)
	}
	r.whole(got, all)
	grown := float64(most-begin) / (1 << 20)
	t.Logf("heap grew by %.1f MiB over %d messages with %d MB of text, %d pages", grown, all, all*size/1_000_000, got.Pages)
	if grown > 16 {
		t.Errorf("heap grew by %.1f MiB; the texts must not be kept", grown)
	}
}
