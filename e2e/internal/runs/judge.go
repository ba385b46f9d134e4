package runs

import (
	"context"
	"fmt"
	"strings"

	"github.com/relance/relance/simulator"
)

// verdict counts what must not be.
type verdict struct {
	// Steps were due; Posts left for them.
	Steps, Posts int
	// Twice are steps whose message left more than once, Lost those whose message did not leave, Disordered leads that got
	// the second before the first.
	Twice, Lost, Disordered int
	// Miscounted are receipts that differ from their items, and steps without exactly one success in the receipts.
	Miscounted int
}

// wrong says what was not as it must be; empty when all was.
func (v verdict) wrong() string {
	if v.Twice+v.Lost+v.Disordered+v.Miscounted == 0 {
		return ""
	}
	return fmt.Sprintf("of %d steps %d twice, %d lost, %d disordered, %d miscounted", v.Steps, v.Twice, v.Lost, v.Disordered, v.Miscounted)
}

// judge compares the provider's ledger with the steps, and the receipts with their items.
func (w *world) judge(ctx context.Context, p *place) (verdict, error) {
	v := verdict{Steps: len(p.tenant.People) * len(texts)}
	sent := map[string][]string{}
	for _, entry := range w.Accepted(simulator.Filter{Location: p.tenant.Location}) {
		v.Posts++
		for _, text := range texts {
			if strings.Contains(entry.Body, text) {
				sent[entry.Contact] = append(sent[entry.Contact], text)
			}
		}
	}
	for _, person := range p.tenant.People {
		times := map[string]int{}
		for _, text := range sent[person.Contact] {
			times[text]++
		}
		for _, text := range texts {
			switch n := times[text]; {
			case n == 0:
				v.Lost++
			case n > 1:
				v.Twice++
			}
		}
		if all := sent[person.Contact]; len(all) > 0 && all[0] != texts[0] {
			v.Disordered++
		}
	}
	// A run that died has a receipt too: what it committed counts in it, and nothing else does.
	var receipts, steps int
	err := w.Admin.QueryRow(ctx, `SELECT count(*) FROM followups.run AS r LEFT JOIN (
			SELECT run_id, count(*) FILTER (WHERE outcome NOT IN ('resumed', 'waiting')) AS processed,
				count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded FROM followups.run_item GROUP BY run_id
		) AS i ON i.run_id = r.id
		WHERE r.processed <> coalesce(i.processed, 0) OR r.succeeded <> coalesce(i.succeeded, 0)
			OR r.processed <> r.succeeded + r.failed + r.skipped + r.deferred + r.unknown`).Scan(&receipts)
	if err != nil {
		return v, fmt.Errorf("compare receipts: %w", err)
	}
	err = w.Admin.QueryRow(ctx, `SELECT abs($2 - count(*)) + count(*) FILTER (WHERE n <> 1) FROM (
			SELECT count(*) AS n FROM followups.run_item WHERE workspace_id = $1 AND outcome = 'succeeded' GROUP BY enrollment_id, position
		) AS step`, p.tenant.Workspace, v.Steps).Scan(&steps)
	if err != nil {
		return v, fmt.Errorf("count successes: %w", err)
	}
	v.Miscounted = receipts + steps
	return v, nil
}
