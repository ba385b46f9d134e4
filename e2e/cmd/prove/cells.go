package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/storm"
)

func runCells(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("crashpoints", flag.ContinueOnError)
	only := flags.String("only", "", "play the cells whose name has this in it, such as c2_kill or short_way")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cells := slices.DeleteFunc(storm.Cells(), func(c storm.Cell) bool { return !strings.Contains(c.String(), *only) })
	if len(cells) == 0 {
		return fmt.Errorf("no cell is named %q", *only) // a proof that played nothing would pass
	}
	binary, clean, err := build(ctx, "crashpoints")
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	if err := storm.RunCells(ctx, binary, cells, sheet); err != nil {
		return err
	}
	return sheet.Err()
}
