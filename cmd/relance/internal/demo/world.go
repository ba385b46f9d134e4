// Package demo plays the main job end to end against the simulator and checks every send against its ledger: three
// workspaces, their webhooks, a sequence of SMS, email and SMS, and the cron routes, on a clock that jumps.
package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/relance/relance/simulator"
)

// leadsPerWorkspace is how many contacts enter each of Acme and Birch.
const leadsPerWorkspace = 20

// Start is when the demo begins: a Monday morning in New York, inside business hours.
func Start() time.Time { return time.Date(2026, time.January, 5, 14, 30, 0, 0, time.UTC) }

// part is what a contact does in the story.
type part string

const (
	plain   part = "plain"
	dnd     part = "sms dnd"
	noPhone part = "no phone"
	stopper part = "texts STOP"
	replier part = "replies"
	seeded  part = "has history"
)

type person struct {
	contact simulator.Contact
	part    part
	history int
}

type workspace struct {
	title    string
	location string
	token    string
	calendar string
	people   []*person
	// name is the resource name, secret the workflow-webhook secret.
	name, secret string
}

// calendarID is the calendar's id at the provider; a workspace without a calendar has had it.
func (w *workspace) calendarID() string {
	if w.calendar != "" {
		return w.calendar
	}
	return id(w.title + "Calendar")
}

func cast() []*workspace {
	acme := &workspace{title: "Acme", location: id("AcmeLocation"), token: "pit-demo-acme", calendar: id("AcmeCalendar")}
	birch := &workspace{title: "Birch", location: id("BirchLocation"), token: "pit-demo-birch", calendar: id("BirchCalendar")}
	cedar := &workspace{title: "Cedar", location: id("CedarLocation"), token: "pit-demo-cedar"}
	for n := range leadsPerWorkspace {
		acme.people = append(acme.people, somebody(acme, n, acmePart(n)))
		birch.people = append(birch.people, somebody(birch, n, birchPart(n)))
	}
	for n := range 5 {
		cedar.people = append(cedar.people, somebody(cedar, n, plain))
	}
	return []*workspace{acme, birch, cedar}
}

func acmePart(n int) part {
	if n < 4 {
		return seeded
	}
	return plain
}

func birchPart(n int) part {
	switch {
	case n < 5:
		return dnd
	case n == 5:
		return noPhone
	case n == 6:
		return stopper
	case n == 7:
		return replier
	default:
		return plain
	}
}

func somebody(w *workspace, n int, role part) *person {
	letter := strings.ToLower(w.title)
	p := &person{part: role, contact: simulator.Contact{
		ID: id(fmt.Sprintf("%sContact%02d", w.title, n)), FirstName: fmt.Sprintf("Lead%02d", n), LastName: w.title,
		Email: fmt.Sprintf("lead%02d@%s.example.com", n, letter), Timezone: "America/New_York",
		// 555-01xx numbers are reserved for fiction; the area code tells the workspaces apart.
		Phone:     fmt.Sprintf("+1%d55501%02d", map[string]int{"Acme": 202, "Birch": 212, "Cedar": 415}[w.title], n),
		DateAdded: Start().Add(-24 * time.Hour),
	}}
	switch role {
	case dnd:
		p.contact.DND = map[string]string{simulator.SMS: simulator.DNDActive}
	case noPhone:
		p.contact.Phone = ""
	case seeded:
		p.history = 3
	case plain, stopper, replier:
	}
	return p
}

// id makes a GHL-shaped id of 20 letters and digits.
func id(seed string) string { return (seed + strings.Repeat("0", 20))[:20] }

// populate puts the cast into the simulator.
func populate(sim *simulator.Simulator, workspaces []*workspace) error {
	for _, w := range workspaces {
		err := sim.AddLocation(simulator.Location{ID: w.location, Name: w.title, Timezone: "America/New_York", Token: w.token})
		if err != nil {
			return err
		}
		if err := sim.AddCalendar(w.location, simulator.Calendar{ID: w.calendarID(), Name: w.title + " calls"}); err != nil {
			return err
		}
		for _, p := range w.people {
			if _, err := sim.AddContact(w.location, p.contact); err != nil {
				return err
			}
			for n := range p.history {
				h := simulator.HistoryMessage{Body: fmt.Sprintf("earlier text %d", n+1), At: Start().Add(time.Duration(n-10) * time.Hour)}
				if _, err := sim.AddHistory(w.location, p.contact.ID, h); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
