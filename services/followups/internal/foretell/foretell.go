// Package foretell looks ahead with the help of sync's gate. The gate is far away and reads much for every lead, so it is
// asked for many messages of many leads at once: a look ahead takes for granted what it does not know yet, the gate is
// asked about all of it, and the look is repeated with the answers until nothing is taken for granted any more.
package foretell

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/services/followups/internal/followup"
)

// Gate answers groups of questions. A group is of one lead, in order of time; what is let through, or put off to a named
// time, counts for the caps of those after it in the group.
type Gate func(ctx context.Context, groups [][]followup.Ask) ([][]followup.Said, error)

// Look is one enrollment's look ahead.
type Look struct {
	// In is the next step's input, now.
	In followup.Input
	// Outlook bounds the look; its Gate is replaced.
	Outlook followup.Outlook
	// Beside are other running enrollments of the lead, by id, as far as Life.Beside needs them. They are foretold with it, since
	// what they send counts for its caps.
	Beside []followup.Life
}

// Run looks ahead for all, in their order. It ends early with ctx. Errors: those of the gate.
func Run(ctx context.Context, gate Gate, looks []Look) ([][]followup.Foreseen, error) {
	all := make([]*looking, len(looks))
	open := make([]*looking, len(looks))
	for i, look := range looks {
		all[i] = &looking{Look: look, known: map[string]followup.Said{}}
		open[i] = all[i]
	}
	for len(open) > 0 {
		if err := planAll(ctx, open); err != nil {
			return nil, err
		}
		var unsure []*looking
		for _, l := range open {
			if l.unsure {
				unsure = append(unsure, l)
			}
		}
		if open = unsure; len(open) == 0 {
			break
		}
		groups := make([][]followup.Ask, len(open))
		for i, l := range open {
			groups[i] = l.asks
		}
		said, err := gate(ctx, groups)
		if err != nil {
			return nil, err
		}
		for i, l := range open {
			if len(said[i]) != len(l.asks) {
				return nil, fmt.Errorf("the gate answered %d of %d questions", len(said[i]), len(l.asks))
			}
			l.learn(said[i])
		}
	}
	out := make([][]followup.Foreseen, len(all))
	for i, l := range all {
		out[i] = l.seen
	}
	return out, nil
}

func planAll(ctx context.Context, open []*looking) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, l := range open {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			l.plan()
			return nil
		})
	}
	return group.Wait()
}

// looking is a look in progress.
type looking struct {
	Look
	// known are answers, by the message and all that left before it.
	known map[string]followup.Said
	// asks are what the last plan needed, without what was refused: a refused message counts for no cap.
	asks []followup.Ask
	// unsure tells that some of them were taken for granted.
	unsure bool
	seen   []followup.Foreseen
}

func (l *looking) plan() {
	l.asks, l.unsure = nil, false
	l.Outlook.Gate = func(ask followup.Ask, before []followup.Ask) followup.Said {
		said, known := l.known[key(ask, before)]
		if !known || said.Refusal.Reason == "" {
			l.asks = append(l.asks, ask)
		}
		l.unsure = l.unsure || !known
		return said
	}
	own, at := followup.Life{In: l.In, Outlook: l.Outlook}, 0
	lives := make([]followup.Life, 0, 1+len(l.Beside))
	for _, other := range l.Beside {
		lives = append(lives, other.Beside(own))
		if bytes.Compare(other.In.Enrollment.ID[:], own.In.Enrollment.ID[:]) < 0 {
			at = len(lives) // runs take up what is due at once by id
		}
	}
	lives = slices.Insert(lives, at, own)
	l.seen = followup.ForeseeTogether(lives)[at]
}

// learn keeps answers up to the first that was put off: the gate counts that one at a time at which it may not leave after
// all. At least the first one that was taken for granted is among them.
func (l *looking) learn(said []followup.Said) {
	var before []followup.Ask
	for i, ask := range l.asks {
		l.known[key(ask, before)] = said[i]
		switch {
		case said[i].Refusal.Reason == "":
			before = append(before, ask)
		case said[i].Waits:
			return
		}
	}
}

// key names a message and what left before it.
func key(ask followup.Ask, before []followup.Ask) string {
	var b strings.Builder
	for _, one := range append(before[:len(before):len(before)], ask) {
		b.WriteString(string(one.Channel))
		b.WriteString(strconv.FormatInt(one.At.UnixNano(), 36))
		b.WriteByte(' ')
	}
	return b.String()
}
