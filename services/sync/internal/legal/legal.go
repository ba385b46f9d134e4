// Package legal decides whether the law lets a message leave now. One pure function, Decide, takes the contact, the
// channel, the time and what was sent before, and the rules as data (rules.go); docs/compliance.md is its manual.
//
// It is software, not legal advice: where a rule is contested the strict reading is taken.
package legal

import (
	"slices"
	"time"
)

// Channel is how the message goes.
type Channel string

// Channels.
const (
	SMS   Channel = "sms"
	Email Channel = "email"
)

// Zone is a time zone the person may be in.
type Zone struct {
	Location *time.Location
	// Source is how it was found, for people.
	Source string
	// Fallback marks a zone that is a candidate for want of better: it is left out when no time suits all zones.
	Fallback bool
}

// Revocation is an opt-out of the person.
type Revocation struct {
	Channel Channel
	At      time.Time
	// Address is true when it came from the number or address now used, whoever had it.
	Address bool
}

// Policy is what a workspace asks for beyond the law. It can only make things stricter. Nil means nothing.
type Policy struct {
	// Hours by channel hold in every candidate zone, on every day.
	Hours map[Channel]Hours `json:"hours,omitempty"`
	// DailyCap by channel is the most messages to a person in 24 hours.
	DailyCap map[Channel]int `json:"daily_cap,omitempty"`
}

// Case is all that Decide looks at.
type Case struct {
	Channel Channel
	Purpose Purpose
	// Now is when the message would leave. It may take Margin longer: the whole stretch has to be legal.
	Now    time.Time
	Margin time.Duration
	// Zones are the zones the person may be in, at least one. Jurisdictions are the laws it may live under.
	Zones         []Zone
	Jurisdictions []string
	// Sent are the times of our messages on the channel to the person, or to its number, in the last 24 hours; those whose
	// outcome is unknown are among them.
	Sent []time.Time
	// LastInbound is when the person last wrote, zero for never.
	LastInbound time.Time
	Revocations []Revocation
	Policy      *Policy
}

// Verdict is what the law says.
type Verdict string

// Verdicts.
const (
	Allow Verdict = "allow"
	Deny  Verdict = "deny"
	Defer Verdict = "defer"
)

// Kind is what a rule is about.
type Kind string

// Kinds.
const (
	KindHours Kind = "hours"
	KindCap   Kind = "cap"
	KindScope Kind = "scope"
)

// Decision is the answer, with the rule that made it.
type Decision struct {
	Verdict Verdict
	// Until is when a deferred message may leave at the earliest: asked again at that very time, with nothing else sent or
	// said in between, Decide allows it, unless NoCommonHour is set.
	Until time.Time
	// NoCommonHour is true when no hour of a fortnight suits every zone that the person may be in. Until is then only when
	// to look again.
	NoCommonHour bool
	Kind         Kind
	Rule         string
	Source       string
	// Zone and ZoneSource are those in which the rule said no; of hours only.
	Zone, ZoneSource string
	// Limit is the number of a cap. Scope is what an opt-out ended: channel or all.
	Limit int
	Scope string
}

// maxSteps bounds how often a deferral is moved. Hours move it twice at most (to an hour of the better zones, from there to
// one that suits the fallback too), a cap once and once more for each rule that comes into force meanwhile.
const maxSteps = 16

// Decide answers. It is total, has no state and takes no lock. A deferral is looked at as its caller will see it at its
// time, and moved on until it holds: a cap may end at night, and a zone that gives way today may have an hour in common
// with the others once the clocks have changed.
func Decide(c Case) Decision {
	d := decideAt(c)
	for range maxSteps {
		if d.Verdict != Defer || d.NoCommonHour {
			break
		}
		c.Now = d.Until
		next := decideAt(c)
		if next.Verdict != Defer {
			break
		}
		d.Until, d.NoCommonHour = next.Until, next.NoCommonHour
	}
	return d
}

// decideAt tells what holds at one moment.
func decideAt(c Case) Decision {
	free := exemption(c)
	if d := revoked(c); d.Verdict == Deny && !free.OptOut {
		return d
	}
	if c.Purpose == Confirmation && !free.OptOut {
		return Decision{Verdict: Deny, Kind: KindScope, Rule: "confirmation-window", Source: "the time to confirm an opt-out is over", Scope: "channel"}
	}
	hours, capped := Decision{Verdict: Allow}, Decision{Verdict: Allow}
	if !free.Hours {
		hours = quiet(c)
	}
	if !free.Caps {
		capped = overCap(c)
	}
	if capped.Verdict == Allow || (hours.Verdict == Defer && !capped.Until.After(hours.Until)) {
		return hours
	}
	return capped
}

// clockSkew is how far the provider's clock, which dates what the person wrote, may be ahead of ours.
const clockSkew = time.Minute

func exemption(c Case) Exemption {
	for _, e := range Exemptions {
		since := c.Now.Sub(c.LastInbound)
		if e.Purpose == c.Purpose && !c.LastInbound.IsZero() && since >= -clockSkew && since <= e.Within {
			return e
		}
	}
	return Exemption{}
}

// revoked looks for an opt-out that covers the channel.
func revoked(c Case) Decision {
	for _, r := range c.Revocations {
		if r.Channel == c.Channel {
			s := Scopes[0]
			return Decision{Verdict: Deny, Kind: KindScope, Rule: s.ID, Source: s.Source, Scope: addressScope(r)}
		}
	}
	for _, r := range c.Revocations {
		for _, s := range Scopes {
			if s.AllChannels && c.under(s.Jurisdiction) && !r.At.Before(s.From) {
				return Decision{Verdict: Deny, Kind: KindScope, Rule: s.ID, Source: s.Source, Scope: "all"}
			}
		}
	}
	return Decision{Verdict: Allow}
}

func addressScope(r Revocation) string {
	if r.Address {
		return "address"
	}
	return "channel"
}

// overCap tells when the next message fits under every cap. A message in the future, by a clock set back, counts.
func overCap(c Case) Decision {
	worst := Decision{Verdict: Allow}
	for _, rule := range c.caps() {
		var inside []time.Time
		for _, at := range c.Sent {
			if at.Add(rule.Period).After(c.Now) {
				inside = append(inside, at)
			}
		}
		if len(inside) < rule.Limit {
			continue
		}
		slices.SortFunc(inside, time.Time.Compare)
		// The newest Limit-1 may stay inside.
		until := inside[len(inside)-rule.Limit].Add(rule.Period)
		if worst.Verdict == Allow || until.After(worst.Until) {
			worst = Decision{Verdict: Defer, Until: until, Kind: KindCap, Rule: rule.ID, Source: rule.Source, Limit: rule.Limit}
		}
	}
	return worst
}

func (c Case) caps() []Cap {
	var out []Cap
	for _, r := range Caps {
		if c.under(r.Jurisdiction) && slices.Contains(r.Channels, c.Channel) && inForce(r.From, r.Until, c.Now) {
			out = append(out, r)
		}
	}
	if c.Policy != nil && c.Policy.DailyCap[c.Channel] > 0 {
		out = append(out, Cap{ID: "workspace-cap", Limit: c.Policy.DailyCap[c.Channel], Period: 24 * time.Hour, Source: "the workspace's policy"})
	}
	return out
}

func (c Case) under(jurisdiction string) bool {
	return jurisdiction == "*" || slices.Contains(c.Jurisdictions, jurisdiction)
}

// inForce takes a rule from the first moment that it may be in force anywhere, and to the last.
func inForce(from, until, at time.Time) bool {
	const widest = 14 * time.Hour
	return (from.IsZero() || !at.Add(widest).Before(from)) && (until.IsZero() || at.Add(-widest).Before(until))
}
