package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/cmd/relance/internal/sequences"
	"github.com/relance/relance/services/followups/sequencefile"
)

// defaultPrefix names an embedded sequence where a file is asked for.
const defaultPrefix = "default:"

type sequenceCommand struct {
	Import  importCommand  `cmd:"" help:"Bring the sequences of files into a workspace: create new names, update known ones."`
	Export  exportCommand  `cmd:"" help:"Print a workspace's sequences as YAML."`
	Diff    diffCommand    `cmd:"" help:"Print how files differ from a workspace; exit 1 when they do."`
	Default defaultCommand `cmd:"" help:"Print the default sequences as YAML, to be read and changed."`
}

type target struct {
	Workspace string    `required:"" env:"RELANCE_WORKSPACE" help:"The workspace, workspaces/<uuid>."`
	API       api.Flags `embed:""`
}

func (t target) open(s Streams) sequences.Workspace {
	return sequences.Workspace{Client: api.New(t.API), Name: t.Workspace, Out: s.Out}
}

type importCommand struct {
	Files    []string `arg:"" help:"YAML files, or default:<name> for a default sequence, or default:all."`
	DryRun   bool     `help:"Change nothing; print what would change and who would move."`
	Migrate  bool     `help:"Move running enrollments to the new version."`
	Activate bool     `help:"Make the sequences active, whatever the files say."`
	Target   target   `embed:""`
}

// Run imports.
func (c importCommand) Run(ctx context.Context, s Streams) error {
	return eachFile(c.Files, func(text []byte) error {
		return c.Target.open(s).Import(ctx, text, sequences.Import{DryRun: c.DryRun, Migrate: c.Migrate, Activate: c.Activate})
	})
}

type exportCommand struct {
	Names  []string `arg:"" optional:"" help:"Display names of the sequences; all without any."`
	Target target   `embed:""`
}

// Run exports.
func (c exportCommand) Run(ctx context.Context, s Streams) error {
	return c.Target.open(s).Export(ctx, c.Names)
}

type diffCommand struct {
	Files  []string `arg:"" help:"YAML files, or default:<name>, or default:all."`
	Target target   `embed:""`
}

// Run compares every file before it answers that some differ.
func (c diffCommand) Run(ctx context.Context, s Streams) error {
	differs := false
	err := eachFile(c.Files, func(text []byte) error {
		err := c.Target.open(s).Diff(ctx, text)
		if errors.Is(err, sequences.ErrDiffers) {
			differs = true
			return nil
		}
		return err
	})
	if err == nil && differs {
		return sequences.ErrDiffers
	}
	return err
}

type defaultCommand struct {
	Names []string `arg:"" optional:"" help:"Names of default sequences; all without any."`
}

// Run prints.
func (c defaultCommand) Run(s Streams) error {
	names := c.Names
	if len(names) == 0 {
		names = sequencefile.Defaults()
	}
	for i, name := range names {
		text, err := sequencefile.Default(name)
		if err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := s.Out.Write(text); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// eachFile reads the files one after the other; errors name theirs.
func eachFile(files []string, do func(text []byte) error) error {
	for _, file := range expand(files) {
		text, err := readSequences(file)
		if err == nil {
			err = do(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func expand(files []string) []string {
	var out []string
	for _, file := range files {
		if file != defaultPrefix+"all" {
			out = append(out, file)
			continue
		}
		for _, name := range sequencefile.Defaults() {
			out = append(out, defaultPrefix+name)
		}
	}
	return out
}

func readSequences(file string) ([]byte, error) {
	if name, ok := strings.CutPrefix(file, defaultPrefix); ok {
		return sequencefile.Default(name)
	}
	return os.ReadFile(file)
}
