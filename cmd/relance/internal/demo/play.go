package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/simulator"
)

// play is one run of the story.
type play struct {
	sim        *simulator.Simulator
	client     *client
	clock      *clock.Flowing
	workspaces []*workspace
	ticks      []tick
}

// tick is what one call of the cron routes answered.
type tick struct {
	at                    time.Time
	followups, slots      object
	moment                string
	concurrent, availOnly bool
}

// steps of the sequence: a text, an email with two offered slots, a text.
func steps() []object {
	return []object{
		{"channel": "STEP_CHANNEL_SMS", "delayMinutes": 5, "bodyTemplate": "Hi {firstName}, thanks for your interest! Any questions I can answer?"},
		{
			"channel": "STEP_CHANNEL_EMAIL", "delayDays": 1, "subjectTemplate": "A time to talk, {firstName}?",
			"bodyTemplate": "Hi {firstName},\n\nwould {availability} work for you? Or pick any time: {calendarLink}",
		},
		{"channel": "STEP_CHANNEL_SMS", "delayDays": 2, "bodyTemplate": "Hi {firstName}, shall I close your file, or is there a better time?"},
	}
}

func (p *play) run(ctx context.Context) error {
	for _, w := range p.workspaces {
		if err := p.provision(ctx, w); err != nil {
			return err
		}
	}
	if err := p.tickSlots(ctx, "start"); err != nil {
		return err
	}
	if err := p.enter(ctx); err != nil {
		return err
	}
	// Nothing is due yet: the control that a tick by itself sends nothing.
	if err := p.due(ctx, "before anything is due", Start().Add(3*time.Minute)); err != nil {
		return err
	}
	if err := p.due(ctx, "step 1, SMS", Start().Add(10*time.Minute)); err != nil {
		return err
	}
	if err := p.answer(ctx); err != nil {
		return err
	}
	if err := p.due(ctx, "night: outside business hours", Start().Add(14*time.Hour)); err != nil {
		return err
	}
	if err := p.due(ctx, "step 2, email", Start().Add(24*time.Hour+20*time.Minute)); err != nil {
		return err
	}
	if err := p.due(ctx, "step 3, SMS", Start().Add(3*24*time.Hour+30*time.Minute)); err != nil {
		return err
	}
	return p.due(ctx, "afterwards", Start().Add(8*24*time.Hour))
}

func (p *play) provision(ctx context.Context, w *workspace) error {
	made, err := p.client.api(ctx, http.MethodPost, "/api/admin/workspaces", object{
		"name": w.title, "ghlLocationId": w.location, "ghlPrivateKey": w.token, "timezone": "America/New_York",
	})
	if err != nil {
		return err
	}
	w.name = made.object("workspace").text("resourceName")
	secret, err := p.client.api(ctx, http.MethodPost, "/v1/"+w.name+":rotateWebhookSecret", object{})
	if err != nil {
		return err
	}
	w.secret = secret.text("secret")
	calendar := w.calendarID()
	link, err := p.client.api(ctx, http.MethodPost, "/v1/"+w.name+"/calendarLinks", object{
		"displayName": "Calls", "provider": "CALENDAR_PROVIDER_GHL", "externalId": calendar,
		"publicUrl": "https://book.example.com/" + calendar,
	})
	if err != nil {
		return err
	}
	_, err = p.client.api(ctx, http.MethodPost, "/v1/"+w.name+"/sequences", object{
		"displayName": "New lead", "active": true, "trigger": "TRIGGER_LEAD_CREATED", "steps": steps(),
	})
	if err != nil || w.calendar != "" {
		return err
	}
	// Without a calendar the sequence could not have been made active: the workspace loses it.
	_, err = p.client.api(ctx, http.MethodDelete, "/v1/"+link.object("calendarLink").text("name"), nil)
	return err
}

// enter brings every contact in by a webhook, in turn by each of the ways, and delivers each marketplace webhook twice.
func (p *play) enter(ctx context.Context) error {
	for _, w := range p.workspaces {
		for n, who := range w.people {
			if err := p.webhook(ctx, w, who, n); err != nil {
				return fmt.Errorf("%s %s: %w", w.title, who.contact.ID, err)
			}
		}
	}
	return eventually(ctx, "every lead to be enrolled", func() (bool, error) {
		for _, w := range p.workspaces {
			enrolled, err := p.client.all(ctx, "/v1/"+w.name+"/enrollments", "enrollments")
			if err != nil || len(enrolled) < len(w.people) {
				return false, err
			}
		}
		return true, nil
	})
}

func (p *play) webhook(ctx context.Context, w *workspace, who *person, n int) error {
	switch n % 3 {
	case 0:
		payload, err := p.sim.ContactWebhook(w.location, who.contact.ID, "ContactCreate")
		if err != nil {
			return err
		}
		return p.deliver(ctx, payload, 2)
	case 1:
		return p.inbound(ctx, w, who, "Hello, tell me more", 2)
	default:
		const text = "Tell me more please"
		// A workflow's webhook is a hint: the message has to be at the provider.
		if _, err := p.sim.AddInboundMessage(w.location, who.contact.ID, simulator.SMS, text); err != nil {
			return err
		}
		payload, err := p.sim.WorkflowWebhook(w.location, who.contact.ID, simulator.WorkflowMessage{Body: text})
		if err != nil {
			return err
		}
		header := http.Header{"X-Relance-Secret": {w.secret}, "Content-Type": {"application/json"}}
		answer, err := p.sim.DeliverWorkflow(ctx, p.client.base+"/api/webhooks/ghl/sms", payload, header)
		return accepted(answer, err)
	}
}

func (p *play) inbound(ctx context.Context, w *workspace, who *person, text string, times int) error {
	message, err := p.sim.AddInboundMessage(w.location, who.contact.ID, simulator.SMS, text)
	if err != nil {
		return err
	}
	return p.deliver(ctx, message.Webhook, times)
}

func (p *play) deliver(ctx context.Context, payload simulator.Payload, times int) error {
	for range times {
		if err := accepted(p.sim.Deliver(ctx, p.client.base+"/api/webhooks/ghl", payload)); err != nil {
			return err
		}
	}
	return nil
}

func accepted(answer simulator.Delivery, err error) error {
	if err != nil {
		return err
	}
	if !answer.OK() {
		return fmt.Errorf("webhook answered %d: %s", answer.Status(), answer.Attempts[len(answer.Attempts)-1].Body)
	}
	return nil
}

// answer has one lead text STOP and one reply.
func (p *play) answer(ctx context.Context) error {
	birch := p.workspaces[1]
	for _, who := range birch.people {
		text := map[part]string{stopper: "STOP please", replier: "Sounds good, call me tomorrow"}[who.part]
		if text == "" {
			continue
		}
		if err := p.inbound(ctx, birch, who, text, 1); err != nil {
			return err
		}
	}
	return eventually(ctx, "STOP and the reply to take effect", func() (bool, error) {
		enrolled, err := p.client.all(ctx, "/v1/"+birch.name+"/enrollments", "enrollments")
		var paused, cancelled int
		for _, e := range enrolled {
			switch e.text("state") {
			case "ENROLLMENT_STATE_PAUSED":
				paused++
			case "ENROLLMENT_STATE_CANCELLED":
				cancelled++
			}
		}
		return paused >= 1 && cancelled >= 1, err
	})
}

// due moves the clock and calls the cron routes: slots, then follow-ups twice at once, then twice more.
func (p *play) due(ctx context.Context, moment string, at time.Time) error {
	p.clock.Set(at)
	if err := p.tickSlots(ctx, moment); err != nil {
		return err
	}
	answers := make([]object, 2)
	group, gctx := errgroup.WithContext(ctx)
	for i := range answers {
		group.Go(func() (err error) {
			answers[i], err = p.client.tick(gctx, "followups")
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, answer := range answers {
		p.ticks = append(p.ticks, tick{at: at, followups: answer, moment: moment, concurrent: true})
	}
	for range 2 {
		answer, err := p.client.tick(ctx, "followups")
		if err != nil {
			return err
		}
		p.ticks = append(p.ticks, tick{at: at, followups: answer, moment: moment})
	}
	return nil
}

func (p *play) tickSlots(ctx context.Context, moment string) error {
	answer, err := p.client.tick(ctx, "availability")
	if err != nil {
		return err
	}
	p.ticks = append(p.ticks, tick{at: p.clock.Now(), slots: answer, moment: moment, availOnly: true})
	return nil
}
