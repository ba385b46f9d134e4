package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/simulator"
)

// Access is how to reach a running gateway.
type Access struct {
	// Gateway is its base URL, AdminSecret opens /v1.
	Gateway, AdminSecret string
}

// Seeded names what Seed made.
type Seeded struct {
	// Workspace, Lead and DNDLead are resource names.
	Workspace, Lead, DNDLead string
}

// Seed gives a sandbox one workspace with a calendar, a sequence, a lead and a lead on SMS do-not-disturb.
func Seed(ctx context.Context, sim *simulator.Simulator, access Access) (Seeded, error) {
	w := &workspace{title: "Acme", location: id("AcmeLocation"), token: "pit-sandbox-acme", calendar: id("AcmeCalendar")}
	w.people = []*person{somebody(w, 0, plain), somebody(w, 1, dnd)}
	if err := populate(sim, []*workspace{w}); err != nil {
		return Seeded{}, err
	}
	c := &client{base: access.Gateway, admin: access.AdminSecret, http: &http.Client{Timeout: time.Minute}}
	p := &play{sim: sim, client: c}
	if err := p.provision(ctx, w); err != nil {
		return Seeded{}, err
	}
	out := Seeded{Workspace: w.name}
	for _, who := range w.people {
		made, err := c.api(ctx, http.MethodPost, "/v1/"+w.name+"/leads", object{
			"ghlContactId": who.contact.ID, "firstName": who.contact.FirstName, "email": who.contact.Email, "phone": who.contact.Phone,
			"timeZone": noonZone(clock.System().Now()),
		})
		if err != nil {
			return Seeded{}, err
		}
		if name := made.object("lead").text("name"); who.part == dnd {
			out.DNDLead = name
		} else {
			out.Lead = name
		}
	}
	return out, nil
}

// noonZone is a zone in which it is noon now, so that a sandbox may text its people at any hour of its user.
func noonZone(now time.Time) string {
	west := now.UTC().Hour() - 12
	if west == 0 {
		return "Etc/GMT"
	}
	return fmt.Sprintf("Etc/GMT%+d", west)
}
