package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/relance/relance/e2e/internal/bookings"
	"github.com/relance/relance/e2e/internal/contacts"
	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/intake"
	"github.com/relance/relance/e2e/internal/storm"
	"github.com/relance/relance/e2e/internal/tokens"
)

// runCells plays the cells of sends, bookings and contacts (C), webhooks (H) and tokens (T).
func runCells(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("crashpoints", flag.ContinueOnError)
	only := flags.String("only", "", "sends, bookings, contacts, webhooks or tokens, or the cells whose name has this in it, such as c2_kill or short_way")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted := func(group, name string) bool { return *only == group || strings.Contains(name, *only) }
	sends := slices.DeleteFunc(storm.Cells(), func(c storm.Cell) bool { return !wanted("sends", c.String()) })
	booked := slices.DeleteFunc(bookings.Cells(), func(c bookings.Cell) bool { return !wanted("bookings", c.String()) })
	linked := slices.DeleteFunc(contacts.Cells(), func(c contacts.Cell) bool { return !wanted("contacts", c.String()) })
	hooks := slices.DeleteFunc(intake.Cells(), func(c intake.Cell) bool { return !wanted("webhooks", c.String()) })
	refreshes := slices.DeleteFunc(tokens.Cells(), func(c tokens.Cell) bool { return !wanted("tokens", c.String()) })
	if len(sends)+len(booked)+len(linked)+len(hooks)+len(refreshes) == 0 {
		return fmt.Errorf("no cell is named %q", *only) // a proof that played nothing would pass
	}
	binary, clean, err := build(ctx, "crashpoints")
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	for _, group := range []struct {
		cells int
		run   func() error
	}{
		{len(sends), func() error { return storm.RunCells(ctx, binary, sends, sheet) }},
		{len(booked), func() error { return bookings.RunCells(ctx, binary, booked, sheet) }},
		{len(linked), func() error { return contacts.RunCells(ctx, binary, linked, sheet) }},
		{len(hooks), func() error { return intake.RunCells(ctx, binary, hooks, sheet) }},
		{len(refreshes), func() error { return tokens.RunCells(ctx, binary, refreshes, sheet) }},
	} {
		if group.cells == 0 {
			continue
		}
		if err := group.run(); err != nil {
			return err
		}
	}
	return sheet.Err()
}
