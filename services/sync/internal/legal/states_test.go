package legal

import "testing"

func TestHoursOfStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, zone, wall, until, rule string
		laws                          []string
	}{
		{"Florida ends at eight", "America/New_York", "2026-01-07 19:58:00", "2026-01-08 08:00:00", "us-fl-hours", []string{"US", "US-FL"}},
		{"Texas on Sunday", "America/Chicago", "2026-01-04 09:30:00", "2026-01-04 12:00:00", "us-tx-hours", []string{"US", "US-TX"}},
		{"Texas on Monday", "America/Chicago", "2026-01-05 08:30:00", "2026-01-05 09:00:00", "us-tx-hours", []string{"US", "US-TX"}},
		{"Texas before its law", "America/Chicago", "2025-08-31 09:30:00", "", "", []string{"US", "US-TX"}},
		{"Texas from its law on", "America/Chicago", "2025-09-01 08:30:00", "2025-09-01 09:00:00", "us-tx-hours", []string{"US", "US-TX"}},
		{"Connecticut", "America/New_York", "2026-01-07 08:59:59", "2026-01-07 09:00:00", "us-ct-hours", []string{"US", "US-CT"}},
		{"Rhode Island", "America/New_York", "2026-01-09 18:00:00", "2026-01-10 10:00:00", "us-ri-hours", []string{"US", "US-RI"}},
		{"Mississippi has no Sunday", "America/Chicago", "2026-01-10 20:00:00", "2026-01-12 08:00:00", "us-ms-hours", []string{"US", "US-MS"}},
		{"Alabama keeps Christmas and the day after it is open", "America/Chicago", "2026-12-25 12:00:00", "2026-12-26 08:00:00", "us-al-hours", []string{"US", "US-AL"}},
		{"Alabama: Thanksgiving", "America/Chicago", "2026-11-26 12:00:00", "2026-11-27 08:00:00", "us-al-hours", []string{"US", "US-AL"}},
		{"Alabama: July 3rd stands for the 4th, and a Sunday follows", "America/Chicago", "2026-07-03 12:00:00", "2026-07-06 08:00:00", "us-al-hours", []string{"US", "US-AL"}},
		{"Alabama: the first Monday of June", "America/Chicago", "2026-06-01 12:00:00", "2026-06-02 08:00:00", "us-al-hours", []string{"US", "US-AL"}},
		{"Alabama: the fourth Monday of April", "America/Chicago", "2026-04-27 12:00:00", "2026-04-28 08:00:00", "us-al-hours", []string{"US", "US-AL"}},
		{"Alabama: the third is open", "America/Chicago", "2026-04-20 12:00:00", "", "", []string{"US", "US-AL"}},
		{"Louisiana ends at eight on Saturday, and Sunday is closed", "America/Chicago", "2026-05-16 19:58:00", "2026-05-18 08:00:00", "us-la-hours", []string{"US", "US-LA"}},
		{"Louisiana: Mardi Gras", "America/Chicago", "2026-02-17 12:00:00", "2026-02-18 08:00:00", "us-la-hours", []string{"US", "US-LA"}},
		{"Louisiana: Good Friday", "America/Chicago", "2026-04-03 12:00:00", "2026-04-04 08:00:00", "us-la-hours", []string{"US", "US-LA"}},
		{"Louisiana: January 8th", "America/Chicago", "2026-01-08 12:00:00", "2026-01-09 08:00:00", "us-la-hours", []string{"US", "US-LA"}},
		{"Louisiana: All Saints' on a Sunday, two days before the election", "America/Chicago", "2026-11-01 12:00:00", "2026-11-02 08:00:00", "us-la-hours", []string{"US", "US-LA"}},
		{"Louisiana: general election", "America/Chicago", "2026-11-03 12:00:00", "2026-11-04 08:00:00", "us-la-hours", []string{"US", "US-LA"}},
		{"Louisiana: no general election in odd years", "America/Chicago", "2025-11-04 12:00:00", "", "", []string{"US", "US-LA"}},
		{"Massachusetts ends at eight", "America/New_York", "2026-01-07 19:58:00", "2026-01-08 08:00:00", "us-ma-hours", []string{"US", "US-MA"}},
		{"Massachusetts has Sundays", "America/New_York", "2026-01-04 12:00:00", "", "", []string{"US", "US-MA"}},
		{"Washington ends at eight", "America/Los_Angeles", "2026-01-07 19:58:00", "2026-01-08 08:00:00", "us-wa-hours", []string{"US", "US-WA"}},
		{"Washington before its law", "America/Los_Angeles", "2022-06-08 20:30:00", "", "", []string{"US", "US-WA"}},
		{"Washington from its law on", "America/Los_Angeles", "2022-06-09 20:30:00", "2022-06-10 08:00:00", "us-wa-hours", []string{"US", "US-WA"}},
		{"South Dakota has no Saturday and no Sunday", "America/Chicago", "2026-01-10 12:00:00", "2026-01-12 09:00:00", "us-sd-hours", []string{"US", "US-SD"}},
		{"South Dakota begins at nine", "America/Denver", "2026-01-07 08:30:00", "2026-01-07 09:00:00", "us-sd-hours", []string{"US", "US-SD"}},
		{"South Dakota ends at nine", "America/Chicago", "2026-01-09 20:30:00", "", "", []string{"US", "US-SD"}},
		{"New York has the federal hours", "America/New_York", "2026-12-25 20:30:00", "", "", []string{"US", "US-NY"}},
		{"laws of both states hold", "America/New_York", "2026-01-07 08:30:00", "2026-01-07 09:00:00", "us-ct-hours", []string{"US", "US-FL", "US-CT"}},
	} {
		d := Decide(Case{Channel: SMS, Purpose: FollowUp, Now: in(t, c.zone, c.wall), Margin: margin, Zones: zones(t, c.zone), Jurisdictions: c.laws})
		if c.until == "" {
			if d.Verdict != Allow {
				t.Errorf("%s: %+v", c.name, d)
			}
			continue
		}
		if d.Verdict != Defer || d.Rule != c.rule || !d.Until.Equal(in(t, c.zone, c.until)) {
			t.Errorf("%s: %+v, want %s until %s", c.name, d, c.rule, c.until)
		}
	}
}

func TestEaster(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"2008-03-23", "2011-04-24", "2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2038-04-25", "2049-04-18", "2076-04-19"} {
		if got := easter(int(want[0]-'0')*1000 + int(want[1]-'0')*100 + int(want[2]-'0')*10 + int(want[3]-'0')).Format("2006-01-02"); got != want {
			t.Errorf("Easter = %s, want %s", got, want)
		}
	}
	for year := 1900; year < 2100; year++ {
		if got, want := easter(year).Format("2006-01-02"), gauss(year).Format("2006-01-02"); got != want {
			t.Errorf("Easter = %s, want %s", got, want)
		}
	}
}
