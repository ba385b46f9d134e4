package legal

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata"
)

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func zones(t testing.TB, names ...string) []Zone {
	t.Helper()
	out := make([]Zone, len(names))
	for i, n := range names {
		out[i] = Zone{Location: location(t, n), Source: "state"}
	}
	return out
}

// in reads a wall time of a zone, which the cases below choose so that it exists once.
func in(t testing.TB, zone, wall string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05", wall, location(t, zone))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

const margin = 200 * time.Second // W+P+R+D of the send protocol

func TestLastSecondOfTheDay(t *testing.T) {
	t.Parallel()
	// To the second, with the margin: a message decided on at 20:56:40 may leave until 21:00:00, one of a second later not.
	for _, zone := range []string{
		"America/New_York", "America/Los_Angeles", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Adelaide", "Australia/Lord_Howe",
		"Pacific/Chatham", "America/St_Johns", "Pacific/Honolulu", "Pacific/Kiritimati", "Australia/Eucla", "Pacific/Marquesas",
	} {
		for _, c := range []struct {
			wall  string
			allow bool
			until string
		}{
			{"2026-05-13 07:59:59", false, "2026-05-13 08:00:00"},
			{"2026-05-13 08:00:00", true, ""},
			{"2026-05-13 12:00:00", true, ""},
			{"2026-05-13 20:56:39", true, ""},
			{"2026-05-13 20:56:40", true, ""},
			{"2026-05-13 20:56:41", false, "2026-05-14 08:00:00"},
			{"2026-05-13 20:59:59", false, "2026-05-14 08:00:00"},
			{"2026-05-13 21:00:00", false, "2026-05-14 08:00:00"},
			{"2026-05-13 21:01:00", false, "2026-05-14 08:00:00"},
			{"2026-05-13 00:00:00", false, "2026-05-13 08:00:00"},
			{"2026-05-13 23:59:59", false, "2026-05-14 08:00:00"},
		} {
			d := Decide(Case{Channel: SMS, Purpose: FollowUp, Now: in(t, zone, c.wall), Margin: margin, Zones: zones(t, zone)})
			if (d.Verdict == Allow) != c.allow || (!c.allow && !d.Until.Equal(in(t, zone, c.until))) {
				t.Errorf("%s %s: %+v", zone, c.wall, d)
			}
			if !c.allow && (d.Rule != "default-hours" || d.Zone != zone || d.ZoneSource != "state" || d.Kind != KindHours) {
				t.Errorf("%s %s: %+v", zone, c.wall, d)
			}
		}
	}
}

func TestChangesOfTheClock(t *testing.T) {
	t.Parallel()
	utc := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct{ name, zone, now, until string }{
		// The obvious way, time.Date, gives a time before the gap here.
		{"New York springs forward", "America/New_York", "2026-03-08T06:30:00Z", "2026-03-08T12:00:00Z"},
		{"New York falls back", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T13:00:00Z"},
		{"Santiago has no midnight", "America/Santiago", "2026-09-06T03:30:00Z", "2026-09-06T11:00:00Z"},
		{"Lord Howe moves by half an hour", "Australia/Lord_Howe", "2026-10-03T15:20:00Z", "2026-10-03T21:00:00Z"},
		{"Apia has no 30 December 2011", "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-30T18:00:00Z"},
		{"Pyongyang went half an hour back", "Asia/Pyongyang", "2015-08-14T14:59:00Z", "2015-08-14T23:30:00Z"},
		{"Caracas went half an hour forward", "America/Caracas", "2016-05-01T06:00:00Z", "2016-05-01T12:00:00Z"},
	} {
		d := Decide(Case{Channel: SMS, Purpose: FollowUp, Now: utc(c.now), Margin: margin, Zones: zones(t, c.zone)})
		if d.Verdict != Defer || !d.Until.Equal(utc(c.until)) {
			t.Errorf("%s: %s until %s, want %s", c.name, d.Verdict, d.Until.UTC(), c.until)
		}
	}
}

func TestUnknownZoneTakesTheIntersection(t *testing.T) {
	t.Parallel()
	c := Case{Channel: SMS, Purpose: FollowUp, Now: in(t, "America/New_York", "2026-01-07 09:00:00"), Margin: margin, Zones: zones(t, "America/New_York", "America/Los_Angeles")}
	if d := Decide(c); d.Zone != "America/Los_Angeles" || !d.Until.Equal(in(t, "America/New_York", "2026-01-07 11:00:00")) {
		t.Errorf("%+v", d)
	}
	c.Now = in(t, "America/Los_Angeles", "2026-01-07 19:00:00")
	if d := Decide(c); d.Zone != "America/New_York" || !d.Until.Equal(in(t, "America/New_York", "2026-01-08 11:00:00")) {
		t.Errorf("%+v", d)
	}
	// Rhode Island and Guam share no hour on a summer weekday: the fallback gives way, evidence does not.
	c = Case{
		Channel: SMS, Purpose: FollowUp, Now: in(t, "America/New_York", "2026-06-03 12:00:00"), Margin: margin,
		Zones: zones(t, "America/New_York", "Asia/Kolkata"), Jurisdictions: []string{"US", "US-RI"},
	}
	if d := Decide(c); d.Verdict != Defer || !d.Until.Equal(c.Now.Add(24*time.Hour)) {
		t.Errorf("no common hour: %+v", d)
	}
	c.Zones[1].Fallback = true
	if d := Decide(c); d.Verdict != Allow {
		t.Errorf("the fallback does not give way: %+v", d)
	}
}

func TestCaps(t *testing.T) {
	t.Parallel()
	now := in(t, "America/New_York", "2026-01-07 12:00:00")
	ago := func(hours ...float64) (out []time.Time) {
		for _, h := range hours {
			out = append(out, now.Add(-time.Duration(h*float64(time.Hour))))
		}
		return out
	}
	for _, c := range []struct {
		name  string
		sent  []time.Time
		laws  []string
		after time.Duration
	}{
		{"two are fine", ago(1, 2), []string{"US", "US-FL"}, 0},
		{"the fourth waits for the first to be a day old", ago(2, 20, 1), []string{"US", "US-FL"}, 4 * time.Hour},
		{"exactly a day old does not count", ago(1, 2, 24), []string{"US", "US-FL"}, 0},
		{"more than the cap", ago(1, 2, 3, 22), []string{"US", "US-OK"}, 21 * time.Hour},
		{"elsewhere is no cap", ago(1, 2, 3, 4), []string{"US", "US-NY"}, 0},
		{"a clock set back", ago(-1, -2, 3), []string{"US", "US-MD"}, 21 * time.Hour},
	} {
		d := Decide(Case{Channel: SMS, Purpose: FollowUp, Now: now, Zones: zones(t, "America/New_York"), Jurisdictions: c.laws, Sent: c.sent})
		if c.after == 0 && d.Verdict != Allow {
			t.Errorf("%s: %+v", c.name, d)
		}
		if c.after > 0 && (d.Kind != KindCap || d.Limit != 3 || !d.Until.Equal(now.Add(c.after))) {
			t.Errorf("%s: %+v, want after %s", c.name, d, c.after)
		}
	}
	strict := &Policy{DailyCap: map[Channel]int{SMS: 1}}
	d := Decide(Case{Channel: SMS, Purpose: FollowUp, Now: now, Zones: zones(t, "America/New_York"), Sent: ago(3), Policy: strict})
	if d.Rule != "workspace-cap" || d.Limit != 1 {
		t.Errorf("workspace cap: %+v", d)
	}
	// Both say no: the later of the two times is told.
	d = Decide(Case{Channel: SMS, Purpose: FollowUp, Now: now.Add(10 * time.Hour), Zones: zones(t, "America/New_York"), Sent: ago(0), Policy: strict})
	if d.Kind != KindCap || !d.Until.Equal(now.Add(24*time.Hour)) {
		t.Errorf("cap and hours: %+v", d)
	}
}

func TestExemptions(t *testing.T) {
	t.Parallel()
	night := in(t, "America/New_York", "2026-01-07 22:00:00")
	base := Case{Channel: SMS, Now: night, Margin: margin, Zones: zones(t, "America/New_York"), Jurisdictions: []string{"US", "US-FL"}}
	sent := []time.Time{night.Add(-time.Hour), night.Add(-time.Hour), night.Add(-time.Hour)}
	for _, c := range []struct {
		name    string
		purpose Purpose
		inbound time.Duration // ago; negative for never
		sent    []time.Time
		revoked bool
		want    Verdict
	}{
		{"automation waits", FollowUp, time.Minute, nil, false, Defer},
		{"an answer within the hour", Reply, time.Hour, sent, false, Allow},
		{"an answer later", Reply, time.Hour + time.Second, nil, false, Defer},
		{"an answer to nobody", Reply, -1, nil, false, Defer},
		{"a person keeps the hours", Manual, time.Minute, nil, false, Defer},
		{"an answer to somebody who opted out", Reply, time.Minute, nil, true, Deny},
		{"the confirmation", Confirmation, 5 * time.Minute, sent, true, Allow},
		{"the confirmation too late", Confirmation, 5*time.Minute + time.Second, nil, true, Deny},
		{"a confirmation too late is nothing else", Confirmation, 6 * time.Minute, nil, false, Deny},
	} {
		in := base
		in.Purpose, in.Sent = c.purpose, c.sent
		if c.inbound >= 0 {
			in.LastInbound = night.Add(-c.inbound)
		}
		if c.revoked {
			in.Revocations = []Revocation{{Channel: SMS, At: night}}
		}
		if d := Decide(in); d.Verdict != c.want {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
	day := base
	day.Purpose, day.Now, day.Sent, day.LastInbound = Manual, in(t, "America/New_York", "2026-01-07 12:00:00"), nil, in(t, "America/New_York", "2026-01-07 11:00:00")
	day.Sent = []time.Time{day.Now, day.Now, day.Now}
	if d := Decide(day); d.Verdict != Allow {
		t.Errorf("a person is not capped: %+v", d)
	}
}

func TestRevocationScope(t *testing.T) {
	t.Parallel()
	switchDay := day(2027, 1, 31)
	for _, c := range []struct {
		name string
		to   Channel
		r    Revocation
		laws []string
		want Verdict
	}{
		{"its own channel", SMS, Revocation{Channel: SMS, At: switchDay.AddDate(-1, 0, 0)}, []string{"US"}, Deny},
		{"another channel, before revoke-all", Email, Revocation{Channel: SMS, At: switchDay.Add(-time.Second)}, []string{"US"}, Allow},
		{"another channel, from revoke-all on", Email, Revocation{Channel: SMS, At: switchDay}, []string{"US"}, Deny},
		{"another channel abroad", Email, Revocation{Channel: SMS, At: switchDay}, []string{"GB"}, Allow},
	} {
		d := Decide(Case{Channel: c.to, Purpose: FollowUp, Now: in(t, "America/New_York", "2027-03-03 12:00:00"), Zones: zones(t, "America/New_York"), Jurisdictions: c.laws, Revocations: []Revocation{c.r}})
		if d.Verdict != c.want {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestEmailHasNoHours(t *testing.T) {
	t.Parallel()
	night := in(t, "America/New_York", "2026-01-07 03:00:00")
	c := Case{Channel: Email, Purpose: FollowUp, Now: night, Zones: zones(t, "America/New_York"), Jurisdictions: []string{"US", "US-RI"}}
	if d := Decide(c); d.Verdict != Allow {
		t.Errorf("%+v", d)
	}
	c.Policy = &Policy{Hours: map[Channel]Hours{Email: {9 * 60, 17 * 60}}}
	if d := Decide(c); d.Rule != "workspace-hours" || !d.Until.Equal(in(t, "America/New_York", "2026-01-07 09:00:00")) {
		t.Errorf("%+v", d)
	}
}

func TestRulesAreWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	check := func(id, jurisdiction, source string, basis Basis) {
		if id == "" || seen[id] || jurisdiction == "" || source == "" || !slices.Contains([]Basis{Primary, Secondary, Unchecked, House}, basis) {
			t.Errorf("rule %q of %q is not whole, or is there twice", id, jurisdiction)
		}
		seen[id] = true
	}
	for _, w := range Windows {
		check(w.ID, w.Jurisdiction, w.Source, w.Basis)
		for i, h := range w.Days {
			if h.From < 0 || h.To > 24*60 || (!h.closed() && h.To-h.From < 60) {
				t.Errorf("%s day %d: %v", w.ID, i, h)
			}
			// Nothing is looser than the default.
			if w.Jurisdiction != "*" && !h.closed() && (h.From < 8*60 || h.To > 21*60) {
				t.Errorf("%s day %d is looser than the default: %v", w.ID, i, h)
			}
		}
	}
	for _, r := range Caps {
		check(r.ID, r.Jurisdiction, r.Source, r.Basis)
		if r.Limit < 1 || r.Period <= 0 {
			t.Errorf("%s", r.ID)
		}
	}
	for _, r := range Scopes {
		check(r.ID, r.Jurisdiction, r.Source, r.Basis)
	}
}

// A time to come back at is one at which the message may leave, whatever put it off.
func TestADeferralHolds(t *testing.T) {
	t.Parallel()
	florida := Case{Channel: SMS, Purpose: FollowUp, Margin: margin, Zones: zones(t, "America/New_York"), Jurisdictions: []string{"US", "US-FL"}}
	// Three texts of the evening before: the first leaves the cap at 19:58, when the hours leave no time for the margin.
	florida.Now = in(t, "America/New_York", "2026-05-13 19:00:00")
	for _, wall := range []string{"2026-05-12 19:58:00", "2026-05-12 19:58:30", "2026-05-12 19:59:00"} {
		florida.Sent = append(florida.Sent, in(t, "America/New_York", wall))
	}
	// In winter these have no hour in common; from the morning when the clocks of the first go forward they do.
	far := Case{Channel: SMS, Purpose: FollowUp, Margin: margin, Zones: zones(t, "America/New_York", "Asia/Tokyo", "Europe/London")}
	far.Zones[2].Fallback = true
	far.Now = in(t, "America/New_York", "2026-02-21 20:57:00")
	for name, c := range map[string]Case{"cap into the night": florida, "zone that gives way": far} {
		d := Decide(c)
		if d.Verdict != Defer || d.NoCommonHour {
			t.Errorf("%s: %+v", name, d)
			continue
		}
		c.Now = d.Until
		if again := Decide(c); again.Verdict != Allow {
			t.Errorf("%s: back at %s, and %+v", name, d.Until, again)
		}
	}
	if d := Decide(florida); !d.Until.Equal(in(t, "America/New_York", "2026-05-14 08:00:00")) || d.Kind != KindCap {
		t.Errorf("cap into the night: %+v", d)
	}
	hopeless := Case{Channel: SMS, Purpose: FollowUp, Margin: margin, Now: far.Now, Zones: zones(t, "America/New_York", "Asia/Tokyo", "Europe/London")}
	if d := Decide(hopeless); d.Verdict != Defer || !d.NoCommonHour || !d.Until.Equal(far.Now.Add(24*time.Hour)) {
		t.Errorf("without a common hour: %+v", d)
	}
}
