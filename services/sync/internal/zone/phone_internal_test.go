package zone

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
)

// What is remembered of a number is what the number tells, also for callers at once, and there is an end to it.
func TestNumbersAreRemembered(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, number := range []string{"+12025550123", "+14165550123", "+442079460000", "+18085550101", "no number", ""} {
				for range 2 {
					if got, want := readPhone(number), parsePhone(number); !reflect.DeepEqual(got, want) {
						t.Errorf("%q: %+v, want %+v", number, got, want)
					}
				}
			}
		})
	}
	group.Wait()
	if _, ok := phones.get("+12025550123"); !ok {
		t.Error("nothing is remembered")
	}
	var m memory
	for i := range 3 * kept {
		m.put(fmt.Sprint(i), phone{})
		if len(m.known) > kept {
			t.Fatalf("%d numbers are kept", len(m.known))
		}
	}
}
