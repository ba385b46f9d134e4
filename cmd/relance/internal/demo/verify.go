package demo

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/relance/relance/simulator"
)

// signatures are what the system this one replaces logged for ever.
func signatures() []string {
	return []string{
		"Cannot send message as DND is active for SMS", "No default calendar link configured", "Not authenticated",
		"revalidatePath",
	}
}

// verdict is one check.
type verdict struct {
	what, detail string
	ok           bool
}

// verify compares what was done with the ledger of the outside world.
func (p *play) verify(ctx context.Context, logs []byte) ([]verdict, error) {
	var out []verdict
	check := func(ok bool, what, format string, args ...any) {
		out = append(out, verdict{what: what, detail: fmt.Sprintf(format, args...), ok: ok})
	}
	p.verifySends(check)
	if err := p.verifyTasks(ctx, check); err != nil {
		return nil, err
	}
	if err := p.verifyEnrollments(ctx, check); err != nil {
		return nil, err
	}
	if err := p.verifyHistory(ctx, check); err != nil {
		return nil, err
	}
	p.verifyReceipts(check)
	verifyLogs(logs, p.workspaces[2].name, check)
	return out, nil
}

type checker func(ok bool, what, format string, args ...any)

// expected is how many SMS and emails each part gets, and how many SMS POSTs the provider may see.
func expected(w *workspace, who *person) (sms, email, posts int) {
	switch {
	case w.calendar == "":
		// Without a calendar the email with {availability} cannot be said, so the sequence waits there.
		return 1, 0, 1
	case who.part == dnd:
		return 0, 1, 1
	case who.part == noPhone:
		return 0, 1, 0
	case who.part == stopper, who.part == replier:
		return 1, 0, 1
	default:
		return 2, 1, 2
	}
}

func (p *play) verifySends(check checker) {
	var want, got, twice, extra int
	bodies := map[string]int{}
	for _, e := range p.sim.Accepted(simulator.Filter{}) {
		bodies[e.Contact+" "+e.BodyHash]++
	}
	for _, n := range bodies {
		if n > 1 {
			twice += n - 1
		}
	}
	for _, w := range p.workspaces {
		for _, who := range w.people {
			sms, email, posts := expected(w, who)
			acceptedSMS := len(p.sim.Accepted(simulator.Filter{Contact: who.contact.ID, Channel: simulator.SMS}))
			acceptedEmail := len(p.sim.Accepted(simulator.Filter{Contact: who.contact.ID, Channel: simulator.Email}))
			sent := len(p.sim.Sends(simulator.Filter{Contact: who.contact.ID, Channel: simulator.SMS}))
			want, got = want+sms+email, got+acceptedSMS+acceptedEmail
			if acceptedSMS != sms || acceptedEmail != email || sent != posts {
				extra++
				check(false, "who got what", "%s %s (%s): %d SMS, %d emails, %d SMS POSTs; want %d, %d, %d",
					w.title, who.contact.FirstName, who.part, acceptedSMS, acceptedEmail, sent, sms, email, posts)
			}
		}
	}
	check(got == want && extra == 0, "every due message accepted exactly once", "%d accepted of %d due", got, want)
	check(twice == 0, "no message twice", "%d repeats in %d accepted messages", twice, got)
	var dndPosts int
	for _, who := range p.workspaces[1].people {
		if who.part == dnd {
			dndPosts += len(p.sim.Sends(simulator.Filter{Contact: who.contact.ID, Channel: simulator.SMS}))
		}
	}
	check(dndPosts == 5, "each do-not-disturb lead was texted at once and never again", "%d SMS POSTs for 5 leads over %d ticks", dndPosts, len(p.ticks))
}

func (p *play) verifyTasks(ctx context.Context, check checker) error {
	birch := p.workspaces[1]
	tasks, err := p.client.all(ctx, "/v1/"+birch.name+"/tasks", "tasks")
	if err != nil {
		return err
	}
	var skippedDND, noPhoneTasks int
	for _, t := range tasks {
		if t.text("state") != "TASK_STATE_SKIPPED" {
			continue
		}
		switch t.text("reason") {
		case "DND_ACTIVE":
			skippedDND++
		case "NO_PHONE":
			noPhoneTasks++
		}
	}
	// Two SMS steps for each of the five leads; the second was stopped at the gate without a call.
	check(skippedDND == 10, "a skipped task with DND_ACTIVE for each refused step", "%d tasks, want 10", skippedDND)
	check(noPhoneTasks >= 1, "a skipped task for the lead without a phone", "%d tasks with NO_PHONE", noPhoneTasks)
	return nil
}

func (p *play) verifyEnrollments(ctx context.Context, check checker) error {
	for _, w := range p.workspaces {
		enrolled, err := p.client.all(ctx, "/v1/"+w.name+"/enrollments", "enrollments")
		if err != nil {
			return err
		}
		states := map[string]int{}
		for _, e := range enrolled {
			state := strings.ToLower(strings.TrimPrefix(e.text("state"), "ENROLLMENT_STATE_"))
			if state == "paused" || state == "cancelled" {
				state += " " + e.text("reason")
			}
			states[state]++
		}
		switch w.title {
		case "Acme":
			check(states["completed"] == leadsPerWorkspace, "Acme: all enrollments completed", "%v", states)
		case "Birch":
			check(states["completed"] == leadsPerWorkspace-2 && states["paused lead_replied"] == 1,
				"Birch: the replier paused, STOP cancelled, the others completed", "%v", states)
		default:
			check(states["completed"] == 0 && len(enrolled) == len(w.people), "Cedar: waits for a calendar, with the reason", "%v", states)
		}
	}
	return nil
}

func (p *play) verifyHistory(ctx context.Context, check checker) error {
	acme := p.workspaces[0]
	messages, err := p.client.all(ctx, "/v1/"+acme.name+"/messages", "messages")
	if err != nil {
		return err
	}
	var imported, want int
	for _, m := range messages {
		if m.text("state") == "MESSAGE_STATE_IMPORTED" {
			imported++
		}
	}
	for _, who := range acme.people {
		want += who.history
	}
	check(imported == want, "history imported with no user anywhere", "%d of %d earlier messages", imported, want)
	return nil
}

func (p *play) verifyReceipts(check checker) {
	var processed, sum, noDefault, runs int
	for _, t := range p.ticks {
		if t.availOnly {
			noDefault += t.slots.number("skippedNoDefault")
			continue
		}
		runs++
		r := t.followups.object("results")
		processed += r.number("processed")
		for _, outcome := range []string{"succeeded", "failed", "skipped", "deferred", "unknown"} {
			sum += r.number(outcome)
		}
	}
	check(processed == sum && processed > 0, "receipts add up", "processed %d = %d outcomes over %d runs", processed, sum, runs)
	check(noDefault >= 1, "Cedar is counted as skippedNoDefault", "%d", noDefault)
}

func verifyLogs(logs []byte, cedar string, check checker) {
	lines := bytes.Count(logs, []byte("\n"))
	for _, signature := range signatures() {
		n := bytes.Count(logs, []byte(signature))
		check(n == 0, "old signature absent: "+signature, "%d in %d log lines", n, lines)
	}
	var unconfigured, failures int
	for line := range bytes.Lines(logs) {
		if bytes.Contains(line, []byte(strings.TrimPrefix(cedar, "workspaces/"))) && bytes.Contains(line, []byte("NO_DEFAULT_CALENDAR")) {
			unconfigured++
		}
		if bytes.Contains(line, []byte(`"level":"ERROR"`)) {
			failures++
		}
	}
	check(unconfigured == 1, "one log line says that Cedar has no calendar", "%d lines", unconfigured)
	check(failures == 0, "no error in the logs", "%d in %d log lines", failures, lines)
}
