package storm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/e2e/internal/oracle"
	"github.com/relance/relance/simulator"
)

// Tooth is a planted bug and the run that must find it.
type Tooth struct {
	// Bug is its name in services/sync/internal/planted.
	Bug string
	// Storm is the run, Cell the crash cell instead of one.
	Storm Config
	Cell  *Cell
}

// Teeth are the seven planted bugs. Each run goes on until the first violation.
func Teeth() []Tooth {
	lists := simulator.Match{Method: http.MethodGet, Path: "/conversations/*"}
	return []Tooth{
		{Bug: "no_intent", Storm: Config{Faults: 0.01}},
		{Bug: "retry_unknown", Storm: Config{Faults: 0.01}},
		// Taken as late as is assumed at most: a look before that finds nothing.
		{Bug: "no_settle", Storm: Config{Faults: 0.02, Extra: []simulator.Fault{
			{Match: simulator.SendsTo(""), Kind: simulator.LateAccept, Delay: lab.Scaled().Call + lab.Scaled().Delay - lab.Late/4, Probability: 0.2},
		}}},
		// The breaker of reads would put the looks off that the bug misreads.
		{Bug: "failed_read_absent", Storm: Config{Env: []string{"RELANCE_SYNC_BREAKER_FAILURES=1000000"}, Extra: []simulator.Fault{
			{Match: simulator.SendsTo(""), Kind: simulator.AcceptThenReset, Probability: 0.05},
			{Match: lists, Kind: simulator.Status5xxClean},
		}}},
		{Bug: "no_check", Cell: &Cell{"C4", "STOP", simulator.None, 1, 1, "ACCEPTED", false}},
		{Bug: "no_one_live", Storm: Config{Faults: 0.01, PerPerson: 20, Prepare: func(ctx context.Context, l *lab.Lab) error {
			_, err := l.Admin.Exec(ctx, `DROP INDEX sync.one_live`)
			return err
		}}},
		{Bug: "retry_refused", Storm: Config{Faults: 0.01}},
	}
}

// RunTeeth plants each bug in turn, or only the named one, and prints how many kills it took to find it. The control is the
// same binary without a bug.
func RunTeeth(ctx context.Context, binary, only string, sheet *figure.Sheet) error {
	var kills []int
	tried := 0
	for _, tooth := range Teeth() {
		if only != "" && only != tooth.Bug {
			continue
		}
		tried++
		n, found, err := tooth.bite(ctx, binary)
		if err != nil {
			return fmt.Errorf("%s: %w", tooth.Bug, err)
		}
		if found == "" {
			sheet.Note(tooth.Bug + " was not found")
			continue
		}
		kills = append(kills, n)
		sheet.Note(tooth.Bug + " found: " + found)
		sheet.Count("tooth_"+tooth.Bug, n, "kills", 1)
	}
	if tried == 0 {
		return fmt.Errorf("no planted bug is named %q", only)
	}
	if only == "" {
		if err := teethControl(ctx, binary, sheet); err != nil {
			return fmt.Errorf("control: %w", err)
		}
	}
	if len(kills) > 0 {
		slices.Sort(kills)
		sheet.Count("teeth_kills_median", kills[len(kills)/2], "kills", len(kills))
	}
	sheet.Must("teeth_caught", len(kills), tried, "bugs")
	return nil
}

// teethControl runs the same binary without a bug.
func teethControl(ctx context.Context, binary string, sheet *figure.Sheet) error {
	cfg := Config{Binary: binary, Sends: 100, Kills: 4, Replicas: 3, PerPerson: 1, Faults: 0.01, Patience: 2 * time.Minute, Seed: 1}
	out, err := Run(ctx, cfg)
	if err != nil {
		return err
	}
	wrong := 0
	for _, i := range oracle.Invariants() {
		wrong += len(out.Oracle.Violations(i))
	}
	sheet.Zero("teeth_control", wrong, "violations", cfg.Sends)
	return nil
}

func (t Tooth) bite(ctx context.Context, binary string) (kills int, found string, err error) {
	if t.Cell != nil {
		return t.biteCell(ctx, binary)
	}
	cfg := t.Storm
	cfg.Binary, cfg.Sends, cfg.Kills, cfg.Replicas, cfg.Seed = binary, 600, 60, 3, 1
	cfg.PerPerson, cfg.Patience, cfg.StopEarly = max(cfg.PerPerson, 1), time.Minute, true
	cfg.Env = append(slices.Clone(cfg.Env), "RELANCE_PLANTED="+t.Bug)
	out, err := Run(ctx, cfg)
	if err != nil {
		return 0, "", err
	}
	return out.Kills, first(out.Oracle), nil
}

func (t Tooth) biteCell(ctx context.Context, binary string) (kills int, found string, err error) {
	o := oracle.New()
	l, err := lab.New(ctx, lab.Options{
		Binary: binary, Timing: lab.Scaled(), Simulator: simulator.Config{OnReceive: o.Observe}, Env: []string{"RELANCE_PLANTED=" + t.Bug},
	})
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	o.Use(l.Admin)
	wrong, err := RunCell(ctx, l, o, 0, *t.Cell)
	if err != nil {
		return 0, "", err
	}
	if found := first(o); found != "" {
		return 1, found, nil
	}
	return 1, wrong, nil
}

// first is the first thing that was found.
func first(o *oracle.Oracle) string {
	for _, i := range oracle.Invariants() {
		if found := o.Violations(i); len(found) > 0 {
			return string(i) + ": " + found[0]
		}
	}
	return ""
}
