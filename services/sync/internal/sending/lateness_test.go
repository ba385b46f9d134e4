package sending

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLatenessLengthens(t *testing.T) {
	t.Parallel()
	configured := Timing{
		Write: 5 * time.Second, Pause: time.Minute, Call: 15 * time.Second, Delay: 2 * time.Minute, Visible: 10 * time.Minute, Settle: 15 * time.Minute,
	}
	for name, c := range map[string]struct {
		seen           Lateness
		delay, visible time.Duration
	}{
		"in time":   {Lateness{Delay: 2 * time.Minute, Visible: 10 * time.Minute}, 2 * time.Minute, 10 * time.Minute},
		"late":      {Lateness{Delay: 3 * time.Minute}, 6 * time.Minute, 10 * time.Minute},
		"hidden":    {Lateness{Visible: 11 * time.Minute}, 2 * time.Minute, 22 * time.Minute},
		"very late": {Lateness{Delay: math.MaxInt64, Visible: math.MaxInt64}, 20 * time.Minute, 100 * time.Minute},
	} {
		got := configured.Lengthened(c.seen)
		if got.Delay != c.delay || got.Visible != c.visible {
			t.Errorf("%s: D = %s, V = %s", name, got.Delay, got.Visible)
		}
		if name == "in time" && got != configured {
			t.Errorf("in time: %+v", got)
		}
	}
}

// However late a provider was, the protocol's inequality holds for what is then assumed, and nothing gets shorter.
func TestLengthenedConstantsHoldTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string) time.Duration {
			return time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, name))
		}
		configured := Timing{Write: span("W"), Pause: span("P"), Call: span("R"), Delay: span("D"), Visible: span("V")}
		configured.Settle = configured.Least()
		seen := Lateness{
			Delay:   time.Duration(rapid.Int64Min(0).Draw(t, "delay")),
			Visible: time.Duration(rapid.Int64Min(0).Draw(t, "visible")),
		}
		got := configured.Lengthened(seen)
		if err := got.Check(); err != nil {
			t.Fatal(err)
		}
		if got.Delay < configured.Delay || got.Visible < configured.Visible || got.Settle < configured.Settle {
			t.Fatalf("%+v is shorter than %+v", got, configured)
		}
		if got.Delay > MaxStretch*configured.Delay || got.Visible > MaxStretch*configured.Visible {
			t.Fatalf("%+v is longer than allowed of %+v", got, configured)
		}
	})
}
