package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/cmd/relance/internal/sequences"
	"github.com/relance/relance/cmd/relance/internal/simulate"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

// errStuck makes `--strict` exit with 1.
var errStuck = errors.New("simulate: some leads would get stuck")

type simulateCommand struct {
	Sequence     string    `arg:"" help:"The sequence: its display name, or workspaces/<uuid>/sequences/<uuid>."`
	Workspace    string    `env:"RELANCE_WORKSPACE" help:"The workspace, workspaces/<uuid>; needed with a display name."`
	From         time.Time `help:"Begin of the simulated time, RFC 3339. Default now."`
	To           time.Time `help:"End of the simulated time, RFC 3339. Default 90 days after its begin."`
	Lead         []string  `help:"A lead of the cohort, workspaces/<uuid>/leads/<uuid>; may be repeated. Without a cohort: the running enrollments."`
	LeadsFile    string    `type:"existingfile" help:"A file with one lead a line."`
	All          bool      `help:"The cohort is every lead of the workspace that the filters choose."`
	Has          string    `enum:"sms,email," default:"" help:"With --all: only leads with a phone number (sms) or an address (email)."`
	Zone         string    `help:"With --all: only leads in this IANA zone."`
	State        string    `help:"With --all: only leads of this state, two letters."`
	CreatedSince time.Time `help:"With --all: only leads created since, RFC 3339."`
	Limit        int       `help:"With --all: at most this many leads, oldest first; 0 for all."`
	Plans        bool      `help:"Print the plan of every lead before the summary."`
	JSON         bool      `name:"json" help:"Print plans and summary as JSON, one a line."`
	Strict       bool      `help:"Exit with 1 when a lead would wait for something that time alone does not bring."`
	ShowZone     string    `default:"UTC" help:"IANA zone in which times are printed."`
	API          api.Flags `embed:""`
}

// Run simulates.
func (c simulateCommand) Run(ctx context.Context, s Streams) error {
	zone, err := time.LoadLocation(c.ShowZone)
	if err != nil {
		return fmt.Errorf("simulate: --show-zone: %w", err)
	}
	client := api.New(c.API)
	workspace, sequence, err := c.names(ctx, client)
	if err != nil {
		return err
	}
	leads, err := c.cohort(ctx, client, workspace)
	if err != nil {
		return err
	}
	bar := &simulateBar{out: s.Err}
	run := simulate.Simulation{
		Client: client, Sequence: sequence, Leads: leads, From: c.From, To: c.To, Progress: bar.set,
		Plan: func(plan *followupsv1.LeadPlan) error { return c.printPlan(s.Out, plan, zone) },
	}
	sum, err := run.Run(ctx)
	bar.end()
	// What was answered is told, also when it is not all.
	if err != nil && sum.Leads > 0 {
		_, _ = fmt.Fprintln(s.Err, "not complete; this is of the leads until then:")
	}
	if sum.Leads > 0 || err == nil {
		err = errors.Join(err, c.printSum(s.Out, sum, zone))
	}
	if ctx.Err() != nil {
		return errStopped
	}
	if err == nil && c.Strict && sum.Stuck() > 0 {
		return fmt.Errorf("%w: %d of %d", errStuck, sum.Stuck(), sum.Leads)
	}
	return err
}

func (c simulateCommand) printPlan(w io.Writer, plan *followupsv1.LeadPlan, zone *time.Location) error {
	switch {
	case c.JSON:
		return simulate.PrintPlanJSON(w, plan)
	case c.Plans:
		return simulate.PrintPlan(w, plan, zone)
	}
	return nil
}

func (c simulateCommand) printSum(w io.Writer, sum *simulate.Sum, zone *time.Location) error {
	if c.JSON {
		return sum.PrintJSON(w)
	}
	return sum.Print(w, zone)
}

// names are the workspace and the sequence.
func (c simulateCommand) names(ctx context.Context, client *api.Client) (workspace, sequence string, err error) {
	if workspace, _, ok := strings.Cut(c.Sequence, "/sequences/"); ok {
		return workspace, c.Sequence, nil
	}
	if c.Workspace == "" {
		return "", "", errors.New("simulate: give --workspace, or the sequence as workspaces/<uuid>/sequences/<uuid>")
	}
	sequence, err = sequences.Workspace{Client: client, Name: c.Workspace, Out: io.Discard}.Find(ctx, c.Sequence)
	return c.Workspace, sequence, err
}

// cohort names the leads; none means the running enrollments.
func (c simulateCommand) cohort(ctx context.Context, client *api.Client, workspace string) ([]string, error) {
	leads := c.Lead
	if c.LeadsFile != "" {
		more, err := readLines(c.LeadsFile)
		if err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
		leads = append(leads, more...)
	}
	filter := simulate.Filter{Has: c.Has, Zone: c.Zone, State: c.State, CreatedSince: c.CreatedSince, Limit: c.Limit}
	switch {
	case c.All && len(leads) > 0:
		return nil, errors.New("simulate: --all and single leads exclude each other")
	case !c.All && filter != (simulate.Filter{}):
		return nil, errors.New("simulate: the filters choose among --all")
	case !c.All && (len(leads) > 0 || c.LeadsFile == ""):
		return leads, nil
	}
	if c.All {
		var err error
		if leads, err = filter.Leads(ctx, client, workspace); err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
	}
	if len(leads) == 0 {
		return nil, errors.New("simulate: no lead is in the cohort")
	}
	return leads, nil
}

func readLines(path string) (lines []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// simulateBar shows the leads done.
type simulateBar struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func (b *simulateBar) set(done, total int) {
	if b.bar == nil {
		b.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription("leads"),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true))
	}
	_ = b.bar.Set(done) // a bar that cannot be drawn stops nothing
}

func (b *simulateBar) end() {
	if b.bar != nil {
		_ = b.bar.Exit()
		_, _ = io.WriteString(b.out, "\n")
	}
}
