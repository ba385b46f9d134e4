package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/relance/relance/e2e/internal/bookings"
	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/intake"
	"github.com/relance/relance/e2e/internal/storm"
	"github.com/relance/relance/e2e/internal/tokens"
)

// runCells plays the cells of sends (C), bookings (B), webhooks (H) and tokens (T).
func runCells(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("crashpoints", flag.ContinueOnError)
	only := flags.String("only", "", "sends, bookings, webhooks or tokens, or the cells whose name has this in it, such as c2_kill or short_way")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted := func(group, name string) bool { return *only == group || strings.Contains(name, *only) }
	sends := slices.DeleteFunc(storm.Cells(), func(c storm.Cell) bool { return !wanted("sends", c.String()) })
	booked := slices.DeleteFunc(bookings.Cells(), func(c bookings.Cell) bool { return !wanted("bookings", c.String()) })
	hooks := slices.DeleteFunc(intake.Cells(), func(c intake.Cell) bool { return !wanted("webhooks", c.String()) })
	refreshes := slices.DeleteFunc(tokens.Cells(), func(c tokens.Cell) bool { return !wanted("tokens", c.String()) })
	if len(sends)+len(booked)+len(hooks)+len(refreshes) == 0 {
		return fmt.Errorf("no cell is named %q", *only) // a proof that played nothing would pass
	}
	binary, clean, err := build(ctx, "crashpoints")
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	if len(sends) > 0 {
		if err := storm.RunCells(ctx, binary, sends, sheet); err != nil {
			return err
		}
	}
	if len(booked) > 0 {
		if err := bookings.RunCells(ctx, binary, booked, sheet); err != nil {
			return err
		}
	}
	if len(hooks) > 0 {
		if err := intake.RunCells(ctx, binary, hooks, sheet); err != nil {
			return err
		}
	}
	if len(refreshes) > 0 {
		if err := tokens.RunCells(ctx, binary, refreshes, sheet); err != nil {
			return err
		}
	}
	return sheet.Err()
}
