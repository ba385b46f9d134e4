package snooze

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestDate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	tests := []struct{ text, want string }{
		{"reach out after Jan 13th", "2026-01-13T14:00:00Z"},
		{"back until 3 February please", "2026-02-03T14:00:00Z"},
		{"Not before the 1st of April, thanks!", "2026-04-01T13:00:00Z"},
		{"please contact me from March 3 on", "2026-03-03T14:00:00Z"},
		{"I am away until Nov 20", "2026-11-20T14:00:00Z"},
		{"I am away until Jan 5", ""},
		{"I am away until Jan 5 2027", "2027-01-05T14:00:00Z"},
		{"call me after December 1, 2026", "2026-12-01T14:00:00Z"},
		{"after Feb 29, 2028", ""},
		{"reach out after Jan 13th. Yes, after January 13", "2026-01-13T14:00:00Z"},
		{"after January", ""},
		{"not before spring", ""},
		{"we moved from March 3 on", ""},
		{"the offer is from March 3", ""},
		{"contact me after Feb 31", ""},
		{"I was in hospital until March 3", ""},
		{"after March 3 or after April 3", ""},
		{"after Jan 7", ""},
		{"No.\nOn Tue someone wrote:\n> reach out after Jan 13th", ""},
		{"no thanks\n> call after March 3", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got, ok := Date(tt.text, now, zone(t, "America/New_York"))
		text := ""
		if ok {
			text = got.Format(time.RFC3339)
		}
		if text != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, text, tt.want)
		}
	}
}

func FuzzDate(f *testing.F) {
	for _, text := range []string{"reach out after Jan 13th", "until 31 feb", "from may 5, 9999", "after dec 0", "after 99 jan", "> on x wrote:"} {
		f.Add(text, int64(1767798000))
	}
	loc := zone(f, "Europe/London")
	f.Fuzz(func(t *testing.T, text string, at int64) {
		if at < 0 || at > 4e9 {
			return
		}
		now := time.Unix(at, 0)
		date, ok := Date(text, now, loc)
		if !ok {
			return
		}
		if local := date.In(loc); local.Hour() != atHour || local.Minute() != 0 || !date.After(now.Add(leastAhead)) || date.Sub(now) > mostWithYear {
			t.Fatalf("%q at %v gives %v", text, now, date)
		}
	})
}
