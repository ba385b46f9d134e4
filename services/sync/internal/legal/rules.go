package legal

import "time"

// Version names this set of rules. It is stored with every deferral, and changes whenever a row does.
const Version = "2026-11-28"

// Basis tells how well a rule is known here. It changes nothing in how the rule is applied.
type Basis string

// Bases.
const (
	// Primary: the text of the regulation or the statute.
	Primary Basis = "primary"
	// Secondary: summaries of law firms, and tables of compliance vendors.
	Secondary Basis = "secondary"
	// Unchecked: the statute as generally cited, not read for this table. Kept because the strict reading is the default.
	Unchecked Basis = "unchecked"
	// House: our own caution, no law.
	House Basis = "house"
)

// Hours are the open hours of a day in minutes after local midnight, From included and To not. The zero value is closed.
type Hours struct {
	From int `json:"from"`
	To   int `json:"to"`
}

func (h Hours) closed() bool { return h.To <= h.From }

// Window is a rule about the hours of a day at the person called.
type Window struct {
	ID string
	// Jurisdiction is where it holds: "US", "US-FL", or "*" for everywhere.
	Jurisdiction string
	Channels     []Channel
	// Days are the hours by weekday, Sunday first.
	Days [7]Hours
	// Holidays is true when federal holidays are closed; DaysOff are closed beside them.
	Holidays bool
	DaysOff  []DayOff
	// From is the first day it is in force, zero for always; Until the first day it is not any more, zero for open end.
	From, Until time.Time
	Basis       Basis
	Source      string
}

// Cap is a rule about how many messages a person may get in a rolling period.
type Cap struct {
	ID, Jurisdiction string
	Channels         []Channel
	Limit            int
	Period           time.Duration
	From, Until      time.Time
	Basis            Basis
	Source           string
}

// Scope is a rule about what an opt-out ends.
type Scope struct {
	ID, Jurisdiction string
	// AllChannels is true when an opt-out of one channel ends all; else it ends its own.
	AllChannels bool
	// From is the day from which opt-outs have this scope.
	From   time.Time
	Basis  Basis
	Source string
}

// Purpose is why a message is sent.
type Purpose string

// Purposes.
const (
	// FollowUp is automation on its own; every rule holds.
	FollowUp Purpose = "follow_up"
	// Reply answers what the person wrote.
	Reply Purpose = "reply"
	// Manual is written by a person of the agency in a live conversation.
	Manual Purpose = "manual"
	// Confirmation confirms an opt-out.
	Confirmation Purpose = "opt_out_confirmation"
)

// Exemption lets a purpose off some rules, while the person wrote not longer ago than Within.
type Exemption struct {
	Purpose     Purpose
	Within      time.Duration
	Hours, Caps bool
	// OptOut is true when it may be sent although the person opted out.
	OptOut bool
	Why    string
}

func day(year int, month time.Month, date int) time.Time {
	return time.Date(year, month, date, 0, 0, 0, 0, time.UTC)
}

func daily(from, to int) [7]Hours {
	h := Hours{from * 60, to * 60}
	return [7]Hours{h, h, h, h, h, h, h}
}

// on gives every weekday the hours of weekdays, and Saturday and Sunday theirs.
func on(sunday, weekday, saturday Hours) [7]Hours {
	return [7]Hours{sunday, weekday, weekday, weekday, weekday, weekday, saturday}
}

func hours(from, to int) Hours { return Hours{from * 60, to * 60} }

var text = []Channel{SMS}

// Windows is the table of calling hours. All rules of all jurisdictions that a person may live under hold at once.
var Windows = []Window{
	{
		ID: "default-hours", Jurisdiction: "*", Channels: text, Days: daily(8, 21), Basis: House,
		Source: "the hours of 47 CFR 64.1200(c)(1), taken everywhere",
	},
	{
		ID: "us-tcpa-hours", Jurisdiction: "US", Channels: text, Days: daily(8, 21), Basis: Primary,
		Source: "47 CFR 64.1200(c)(1): not before 8 a.m. or after 9 p.m., local time at the called party's location",
	},
	{
		ID: "us-fl-hours", Jurisdiction: "US-FL", Channels: text, Days: daily(8, 20), From: day(2021, 7, 1), Basis: Secondary,
		Source: "Fla. Stat. 501.616(6)(a)",
	},
	{
		ID: "us-tx-hours", Jurisdiction: "US-TX", Channels: text, Days: on(hours(12, 21), hours(9, 21), hours(9, 21)),
		From: day(2025, 9, 1), Basis: Secondary, Source: "Tex. Bus. & Com. Code ch. 302 and 304 as amended by SB 140 (2025)",
	},
	{
		ID: "us-ct-hours", Jurisdiction: "US-CT", Channels: text, Days: daily(9, 20), From: day(2023, 10, 1), Basis: Secondary,
		Source: "Conn. Gen. Stat. 42-288a",
	},
	{
		ID: "us-md-hours", Jurisdiction: "US-MD", Channels: text, Days: daily(8, 20), From: day(2024, 1, 1), Basis: Secondary,
		Source: "Md. Code, Com. Law 14-4501 ff. (Stop the Spam Calls Act of 2023)",
	},
	{
		ID: "us-ms-hours", Jurisdiction: "US-MS", Channels: text, Days: on(Hours{}, hours(8, 20), hours(8, 20)), Basis: Secondary,
		Source: "Miss. Code 77-3-723; that Sundays are closed is unchecked",
	},
	{
		ID: "us-nj-hours", Jurisdiction: "US-NJ", Channels: text, Days: daily(8, 20), Basis: Secondary,
		Source: "N.J. Stat. 56:8-119 ff.",
	},
	{
		ID: "us-ok-hours", Jurisdiction: "US-OK", Channels: text, Days: daily(8, 20), From: day(2022, 11, 1), Basis: Secondary,
		Source: "Okla. Stat. tit. 15, 775C.1 ff. (Telephone Solicitation Act of 2022)",
	},
	{
		ID: "us-ri-hours", Jurisdiction: "US-RI", Channels: text, Days: on(hours(10, 17), hours(9, 18), hours(10, 17)), Basis: Secondary,
		Source: "R.I. Gen. Laws 5-61-1 ff.",
	},
	{
		ID: "us-al-hours", Jurisdiction: "US-AL", Channels: text, Days: on(Hours{}, hours(8, 20), hours(8, 20)), Holidays: true,
		// Mardi Gras is a holiday in two counties. Nobody can tell the county of a number.
		DaysOff: []DayOff{
			{Name: "Mardi Gras", FromEaster: -47},
			{Name: "Confederate Memorial Day", Month: time.April, Weekday: time.Monday, Nth: 4},
			{Name: "Jefferson Davis' Birthday", Month: time.June, Weekday: time.Monday, Nth: 1},
		},
		Basis: Secondary, Source: "hours and days as published by two compliance vendors (2025), no statute with hours was found (Ala. Code 8-19A names none); " +
			"holidays of Ala. Code 1-3-8",
	},
	{
		ID: "us-la-hours", Jurisdiction: "US-LA", Channels: text, Days: on(Hours{}, hours(8, 20), hours(8, 20)), Holidays: true,
		DaysOff: []DayOff{
			{Name: "Battle of New Orleans", Month: time.January, Date: 8},
			{Name: "Mardi Gras", FromEaster: -47},
			{Name: "Good Friday", FromEaster: -2},
			{Name: "Huey P. Long Day", Month: time.August, Date: 30},
			{Name: "All Saints' Day", Month: time.November, Date: 1},
			{Name: "general election", Month: time.November, Weekday: time.Tuesday, Nth: 1, After: 1, EvenYears: true},
		},
		Basis: Primary, Source: "La. Rev. Stat. 45:811(2), (3): Monday to Saturday 8 a.m. to 8 p.m., not on state holidays; holidays of La. Rev. Stat. 1:55. " +
			"Days that a governor proclaims, and states of emergency (45:844.31), are not known to the table",
	},
	{
		ID: "us-ma-hours", Jurisdiction: "US-MA", Channels: text, Days: daily(8, 20), Basis: Primary,
		Source: "201 CMR 12.02(2): no unsolicited sales call between 8 p.m. and 8 a.m., local time at the consumer's location",
	},
	{
		ID: "us-wa-hours", Jurisdiction: "US-WA", Channels: text, Days: daily(8, 20), From: day(2022, 6, 9), Basis: Secondary,
		Source: "RCW 80.36.390 as amended by HB 1497 (2022), in force 2022-06-09: 8 a.m. to 8 p.m. at the purchaser's local time",
	},
	{
		ID: "us-sd-hours", Jurisdiction: "US-SD", Channels: text, Days: on(Hours{}, hours(9, 21), Hours{}), Basis: Primary,
		Source: "S.D. Codified Laws 37-30-28 (SL 1991, ch. 322): automated dialing on weekdays between 9 a.m. and 9 p.m. only; Saturday is taken as none",
	},
}

// Caps is the table of frequency caps. The laws count calls "on the same subject"; nobody can tell that of a text, so all
// of ours count.
var Caps = []Cap{
	{
		ID: "us-fl-cap", Jurisdiction: "US-FL", Channels: text, Limit: 3, Period: 24 * time.Hour, From: day(2021, 7, 1), Basis: Secondary,
		Source: "Fla. Stat. 501.616(6)(b)",
	},
	{
		ID: "us-ok-cap", Jurisdiction: "US-OK", Channels: text, Limit: 3, Period: 24 * time.Hour, From: day(2022, 11, 1), Basis: Secondary,
		Source: "Okla. Stat. tit. 15, 775C.1 ff.",
	},
	{
		ID: "us-md-cap", Jurisdiction: "US-MD", Channels: text, Limit: 3, Period: 24 * time.Hour, From: day(2024, 1, 1), Basis: Secondary,
		Source: "Md. Code, Com. Law 14-4501 ff.",
	},
}

// Scopes is the table of what an opt-out ends; of the rules in force when it came, any that ends all ends all.
var Scopes = []Scope{
	{ID: "channel-scope", Jurisdiction: "*", Basis: House, Source: "an opt-out ends its channel to the person and to the number or address, in the whole workspace"},
	{
		ID: "us-revoke-all", Jurisdiction: "US", AllChannels: true, From: day(2027, 1, 31), Basis: Secondary,
		Source: "47 CFR 64.1200(a)(10) as delayed by DA 26-12",
	},
}

// Exemptions is the table of what need not wait. An exemption never lets a message through to somebody who opted out,
// except the one that confirms it.
var Exemptions = []Exemption{
	{
		Purpose: Reply, Within: time.Hour, Hours: true, Caps: true,
		Why: "an answer within the hour to what the person wrote is no solicitation out of hours",
	},
	{
		Purpose: Manual, Within: 24 * time.Hour, Caps: true,
		Why: "a person in a live conversation is not automation; the hours still hold",
	},
	{
		Purpose: Confirmation, Within: ConfirmWithin, Hours: true, Caps: true, OptOut: true,
		Why: "47 CFR 64.1200(a)(12): one text that confirms an opt-out, within five minutes and without marketing",
	},
}

// ConfirmWithin is how long after an opt-out its confirmation may leave.
const ConfirmWithin = 5 * time.Minute
