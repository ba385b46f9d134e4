package oracle

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/simulator"
)

// Result is how a run ended.
type Result struct {
	// Planned is how many sends were asked for; the others count how they ended.
	Planned, Accepted, Refused, Parked, Skipped, Expired, Live int
	// Posts are POSTs with a mark, Again attempts beyond the first, whether or not they came to a POST.
	Posts, Again int
	// Absent is how many sends were let go again because the provider did not have them.
	Absent int
	// Unread is how many of the parked ones the provider took: its lists could not be read until the end, which the send says.
	Unread int
	// Reasons counts why sends were refused, skipped or parked.
	Reasons map[string]int
}

type intent struct {
	RequestID         uuid.UUID
	State             string
	Reason            string
	Attempt           int
	Ambiguous         int
	ProviderMessageID *string
	// Looks are how it was looked for, in order; Blind tells that the last look could not read the lists.
	Looks string
	Blind bool
}

const intents = `SELECT i.request_id, i.state, i.reason, i.attempt, i.ambiguous, i.provider_message_id, looks.all, looks.blind
	FROM sync.send_intent AS i
	CROSS JOIN LATERAL (
		SELECT coalesce(string_agg(format('%s %s %s %s ms', source, result, rule, age_ms), ', ' ORDER BY at), '') AS all,
			coalesce((array_agg(result ORDER BY at DESC))[1] = 'failed', false) AS blind
		FROM sync.send_look AS l WHERE l.workspace_id = i.workspace_id AND l.intent_id = i.id
	) AS looks`

// Rest waits until no send is on its way any more (I8). What is still there after patience is a violation.
func (o *Oracle) Rest(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		var live int
		err := o.pool.Load().QueryRow(ctx, `SELECT count(*) FROM sync.send_intent
			WHERE state IN ('PLANNED', 'SENDING', 'RETRYABLE', 'UNKNOWN')`).Scan(&live)
		if err != nil {
			return fmt.Errorf("count live sends: %w", err)
		}
		if live == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			o.add(I8, "%d sends still live after %s", live, patience)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Judge compares the ledger with the database, for the sends with the marks 0 to n-1.
func (o *Oracle) Judge(ctx context.Context, sim *simulator.Simulator, n int) (Result, error) {
	rows, err := o.pool.Load().Query(ctx, intents)
	if err != nil {
		return Result{}, fmt.Errorf("read intents: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[intent])
	if err != nil {
		return Result{}, fmt.Errorf("read intents: %w", err)
	}
	byRequest := map[uuid.UUID]intent{}
	for _, i := range list {
		byRequest[i.RequestID] = i
	}
	r := Result{Planned: n, Reasons: map[string]int{}}
	ledger := sim.SendsBy(MarkOf)
	for k := range n {
		mark := Mark(k)
		i, planned := byRequest[RequestID(mark)]
		delete(byRequest, RequestID(mark))
		if !planned {
			o.add(I7, "%s: no intent", mark)
			r.Planned--
			continue
		}
		r.count(i, ledger[mark])
		o.judge(mark, i, ledger[mark])
	}
	for id := range byRequest {
		o.add(I7, "intent of request %s was never asked for", id)
	}
	if sum := r.Accepted + r.Refused + r.Parked + r.Skipped + r.Expired + r.Live; sum != r.Planned {
		o.add(I9, "planned %d, states add up to %d", r.Planned, sum)
	}
	return r, nil
}

func (r *Result) count(i intent, posts []simulator.Entry) {
	r.Posts += len(posts)
	r.Again += max(i.Attempt-1, 0)
	if i.Ambiguous > 0 {
		r.Absent++
	}
	switch i.State {
	case "ACCEPTED", "DELIVERED", "FAILED_AFTER_ACCEPT":
		r.Accepted++
		return
	case "REFUSED":
		r.Refused++
	case "PARKED":
		r.Parked++
		if i.Blind && slices.ContainsFunc(posts, func(e simulator.Entry) bool { return e.Accepted }) {
			r.Unread++
		}
	case "SKIPPED":
		r.Skipped++
	case "EXPIRED":
		r.Expired++
	default:
		r.Live++
	}
	r.Reasons[i.State+"/"+i.Reason]++
}

func (o *Oracle) judge(mark string, i intent, posts []simulator.Entry) {
	var taken []string
	for _, e := range posts {
		if e.Accepted {
			taken = append(taken, e.MessageID)
		}
	}
	if len(taken) > 1 {
		o.add(I1, "%s: taken %d times, intent %s after %d attempts", mark, len(taken), i.State, i.Attempt)
	}
	if len(posts) > i.Attempt {
		o.add(I2, "%s: %d POSTs for %d attempts", mark, len(posts), i.Attempt)
	}
	switch i.State {
	case "ACCEPTED", "DELIVERED", "FAILED_AFTER_ACCEPT":
		switch {
		case len(taken) == 0:
			o.add(I3, "%s: %s and the provider never took it", mark, i.State)
		case i.ProviderMessageID == nil || *i.ProviderMessageID != taken[0]:
			o.add(I3, "%s: %s with another message's id", mark, i.State)
		}
	default:
		// Who could not look has not said that it did not leave: a person is asked.
		said := i.State != "SENDING" && i.State != "UNKNOWN" && (i.State != "PARKED" || !i.Blind)
		if len(taken) > 0 && said {
			o.add(I3, "%s: %s/%s after %d attempts and the provider took it; looks: %s", mark, i.State, i.Reason, i.Attempt, i.Looks)
		}
	}
}

// Print prints the result and every invariant.
func (o *Oracle) Print(sheet *figure.Sheet, r Result) {
	for _, row := range []struct {
		name  string
		value int
	}{
		{"accepted", r.Accepted},
		{"refused", r.Refused},
		{"parked", r.Parked},
		{"skipped", r.Skipped},
		{"expired", r.Expired},
		{"posts", r.Posts},
		{"attempts_again", r.Again},
		{"absent", r.Absent},
		{"parked_unread_though_taken", r.Unread},
	} {
		sheet.Count(row.name, row.value, "sends", r.Planned)
	}
	for reason, n := range r.Reasons {
		sheet.Note(fmt.Sprintf("%s: %d", reason, n))
	}
	for _, i := range Invariants() {
		found := o.Violations(i)
		sheet.Zero(string(i), len(found), "violations", r.Planned)
		for k, text := range found {
			if k == 5 {
				sheet.Note(fmt.Sprintf("%s: and %d more", i, len(found)-k))
				break
			}
			sheet.Note(string(i) + ": " + text)
		}
	}
	sheet.Zero("duplicates", len(o.Violations(I1)), "sends", r.Planned)
	sheet.Zero("lost", len(o.Violations(I7))+len(o.Violations(I3))+len(o.Violations(I8)), "sends", r.Planned)
}

// Repeated looks in the ledger, while a run goes on, for a text that was taken twice (I1) or posted again after the
// provider had refused it for good twice (I5): once may happen, to a process that was killed before it read the answer.
func (o *Oracle) Repeated(sim *simulator.Simulator) bool {
	taken, refused := map[string]bool{}, map[string]int{}
	for _, e := range sim.Sends(simulator.Filter{}) {
		mark := MarkOf(e.Text())
		switch {
		case mark == "":
			continue
		case refused[mark] >= 2:
			o.add(I5, "%s: posted again after it was refused twice", mark)
			return true
		case e.Accepted && taken[mark]:
			o.add(I1, "%s: taken twice", mark)
			return true
		}
		taken[mark] = taken[mark] || e.Accepted
		if e.Status == http.StatusBadRequest && e.Fault == "" {
			refused[mark]++
		}
	}
	return false
}
