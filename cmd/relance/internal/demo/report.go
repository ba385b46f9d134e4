package demo

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/relance/relance/simulator"
)

// report prints the receipt of every tick, who got what and why not, and the checks.
func (p *play) report(out io.Writer, verdicts []verdict, took time.Duration) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	p.printTicks(w)
	p.printPeople(w)
	failed := printVerdicts(w, verdicts)
	_, _ = fmt.Fprintf(w, "\n%d checks, %d failed, %.1f s\n", len(verdicts), failed, took.Seconds())
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	if failed > 0 {
		return ErrChecksFailed
	}
	return nil
}

func (p *play) printTicks(w io.Writer) {
	_, _ = fmt.Fprintln(w, "\nFOLLOW-UP RUNS (business time, UTC)")
	_, _ = fmt.Fprintln(w, "time\tmoment\tprocessed\tsucceeded\tfailed\tskipped\tdeferred\tunknown\twhy")
	for _, t := range p.ticks {
		if t.availOnly {
			continue
		}
		r := t.followups.object("results")
		moment := t.moment
		if t.concurrent {
			moment += " (two at once)"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", t.at.Format("Mon 15:04"), moment, r.number("processed"),
			r.number("succeeded"), r.number("failed"), r.number("skipped"), r.number("deferred"), r.number("unknown"), reasons(t.followups))
	}
	_, _ = fmt.Fprintln(w, "\nAVAILABILITY RUNS")
	_, _ = fmt.Fprintln(w, "time\tmoment\tchecked\trefreshed\tskippedNoDefault\tskippedUnsupportedDuration\tskippedBackoff\terrors")
	for _, t := range p.ticks {
		if t.availOnly {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", t.at.Format("Mon 15:04"), t.moment, t.slots.number("checked"),
				t.slots.number("refreshed"), t.slots.number("skippedNoDefault"), t.slots.number("skippedUnsupportedDuration"),
				t.slots.number("skippedBackoff"), t.slots.number("errors"))
		}
	}
}

func reasons(receipt object) string {
	var text string
	for _, r := range receipt.list("reasons") {
		if r.text("reason") != "" {
			text += fmt.Sprintf("%s×%d ", r.text("reason"), r.number("count"))
		}
	}
	return text
}

func (p *play) printPeople(w io.Writer) {
	_, _ = fmt.Fprintln(w, "\nWHO GOT WHAT (from the provider's ledger)")
	_, _ = fmt.Fprintln(w, "workspace\tpart\tleads\tSMS accepted\temails accepted\tSMS POSTs")
	for _, ws := range p.workspaces {
		for _, role := range []part{plain, seeded, dnd, noPhone, stopper, replier} {
			var leads, sms, email, posts int
			for _, who := range ws.people {
				if who.part != role {
					continue
				}
				leads++
				sms += len(p.sim.Accepted(simulator.Filter{Contact: who.contact.ID, Channel: simulator.SMS}))
				email += len(p.sim.Accepted(simulator.Filter{Contact: who.contact.ID, Channel: simulator.Email}))
				posts += len(p.sim.Sends(simulator.Filter{Contact: who.contact.ID, Channel: simulator.SMS}))
			}
			if leads > 0 {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\n", ws.title, role, leads, sms, email, posts)
			}
		}
	}
}

func printVerdicts(w io.Writer, verdicts []verdict) int {
	_, _ = fmt.Fprintln(w, "\nCHECKS")
	failed := 0
	for _, v := range verdicts {
		mark := "ok"
		if !v.ok {
			mark = "FAILED"
			failed++
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", mark, v.what, v.detail)
	}
	return failed
}
