package storm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/e2e/internal/oracle"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/simulator"
)

// Settling is a run without kills in which every POST has the same fault: R3 and R4 of docs/reliability.md.
type Settling struct {
	Binary string
	Sends  int
	// Fault is what the provider does to every POST of a send.
	Fault simulator.FaultKind
}

// Settled is how a settling ended.
type Settled struct {
	oracle.Result
	Oracle *oracle.Oracle
	// Early counts second POSTs that came before the settle time had passed.
	Early int
	// More counts sends with more than two POSTs.
	More int
}

// Settle runs one.
func Settle(ctx context.Context, cfg Settling) (out Settled, err error) {
	s := &Storm{oracle: oracle.New(), rng: seeded(1), open: true, cfg: Config{
		Binary: cfg.Binary, Sends: cfg.Sends, Replicas: 2, PerPerson: 1, Seed: 1,
		// A provider that answers nothing would open every breaker, and hold back what is to be settled.
		Env: []string{"RELANCE_SYNC_BREAKER_FAILURES=1000000"},
	}}
	s.lab, err = lab.New(ctx, lab.Options{Binary: cfg.Binary, Timing: lab.Scaled(), Simulator: simulator.Config{OnReceive: s.oracle.Observe}})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.lab.Close()) }()
	s.oracle.Use(s.lab.Admin)
	if err := s.prepare(ctx); err != nil {
		return out, err
	}
	defer s.clients.Close()
	s.lab.AddFault(simulator.Fault{Match: simulator.SendsTo(""), Kind: cfg.Fault})
	group, work := errgroup.WithContext(ctx)
	for w := range workers {
		group.Go(func() error {
			for n := w; n < cfg.Sends; n += workers {
				if err := s.send(work, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return out, err
	}
	if err := s.oracle.Rest(ctx, 3*time.Minute); err != nil {
		return out, err
	}
	out.Oracle = s.oracle
	if out.Result, err = s.oracle.Judge(ctx, s.lab.Simulator, cfg.Sends); err != nil {
		return out, err
	}
	for _, posts := range s.lab.SendsBy(oracle.MarkOf) {
		if len(posts) > 1 && posts[1].Time.Sub(posts[0].Time) < lab.Scaled().Settle-lab.Scaled().Write {
			out.Early++
		}
		if len(posts) > 2 {
			out.More++
		}
	}
	return out, nil
}

// Dnd is R18: contacts that do not want to be disturbed are asked again and again, through three replicas at once.
type Dnd struct {
	Binary string
	// Contacts are asked Ticks times each, every time with a new request.
	Contacts, Ticks int
}

// RunDnd prints how many POSTs there were: one for each contact. Nothing is killed here, since a refusal whose answer is
// lost is an unknown outcome and may be asked for once more; the storm has such contacts too.
func RunDnd(ctx context.Context, cfg Dnd, sheet *figure.Sheet) (err error) {
	total := cfg.Contacts * cfg.Ticks
	s := &Storm{
		oracle: oracle.New(), rng: seeded(1), dndAll: true,
		cfg: Config{Sends: cfg.Contacts, Replicas: 3, PerPerson: 1},
	}
	s.lab, err = lab.New(ctx, lab.Options{Binary: cfg.Binary, Timing: lab.Production(), Simulator: simulator.Config{OnReceive: s.oracle.Observe}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lab.Close()) }()
	s.oracle.Use(s.lab.Admin)
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer s.clients.Close()
	s.cfg.Sends = total
	if err := s.storm(ctx); err != nil {
		return err
	}
	sheet.Must("dnd_posts", len(s.lab.Sends(simulator.Filter{})), cfg.Contacts, "posts")
	sheet.Zero("dnd_taken", len(s.lab.Accepted(simulator.Filter{})), "messages", total)
	var closed int
	err = s.lab.Admin.QueryRow(ctx, `SELECT count(*) FROM sync.send_intent WHERE state IN ('REFUSED', 'SKIPPED') AND reason = 'DND_ACTIVE'`).Scan(&closed)
	if err != nil {
		return fmt.Errorf("count refusals: %w", err)
	}
	sheet.Must("dnd_recorded", closed, total, "intents")
	return nil
}

// adminOf makes admin clients for the replicas of a storm.
func (s *Storm) adminOf(targets []string) (*lab.Clients, error) {
	return s.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, targets...)
}
