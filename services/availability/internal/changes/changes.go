// Package changes listens to what the database says about changes of rows. It proves all the time that it hears: each
// heartbeat is a notification of its own that must come back, and since notifications arrive in the order of their commits, one
// that came back says that everything committed before it was heard of.
package changes

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/clock"
)

const (
	// channel is what the triggers of the migrations notify, and beatPrefix begins the payload of a heartbeat.
	channel    = "relance_availability"
	beatPrefix = "beat "
	// every is the time between heartbeats. One that does not come back within Span ends the connection.
	every                = time.Second
	retryFirst, retryMax = 50 * time.Millisecond, 5 * time.Second
)

// Span is how long after a heartbeat was sent its return vouches for what is in memory: the longest that a change can go
// unseen.
const Span = 3 * time.Second

// Hearer is told of changes, by one goroutine.
type Hearer interface {
	// Changed tells a change, by what was notified.
	Changed(payload string)
	// Heard says that every change committed by the given time of the machine was told.
	Heard(since time.Time)
	// Lost says that changes may have been missed.
	Lost()
}

// Config is what Run needs; all are required.
type Config struct {
	// Pool tells how to connect; a connection of its own is held.
	Pool   *pgxpool.Pool
	Logger *slog.Logger
	Hearer Hearer
}

// Run listens until ctx ends, and connects anew whenever the connection is lost.
func Run(ctx context.Context, cfg Config) error {
	defer cfg.Hearer.Lost()
	l := listener{cfg: cfg, id: rand.Text()}
	wait := retryFirst
	for down := false; ; {
		heard, err := l.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		cfg.Hearer.Lost()
		if heard {
			wait, down = retryFirst, false
		}
		if !down {
			down = true
			cfg.Logger.WarnContext(ctx, "changes of availability are not heard; slots are read from the database meanwhile", slog.Any("error", err))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = min(2*wait, retryMax)
	}
}

type listener struct {
	cfg Config
	// id tells this process's heartbeats from those of others.
	id    string
	count int
	// sent is when the heartbeat under way was sent; zero when none is.
	sent time.Time
}

// listen serves one connection until it is lost. heard tells whether a heartbeat came back.
func (l *listener) listen(ctx context.Context) (heard bool, err error) {
	config := l.cfg.Pool.Config().ConnConfig.Copy()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(end)
	}()
	l.sent = time.Time{}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return false, fmt.Errorf("listen: %w", err)
	}
	// Whatever changed before LISTEN was not heard.
	l.cfg.Hearer.Lost()
	next := clock.System().Now()
	for {
		if l.sent.IsZero() && time.Until(next) <= 0 {
			next = clock.System().Now().Add(every)
			if err := l.beat(ctx, conn); err != nil {
				return heard, err
			}
		}
		until := next
		if !l.sent.IsZero() {
			until = l.sent.Add(Span)
		}
		payload, err := receive(ctx, conn, until)
		switch {
		case err != nil:
			return heard, err
		case payload != "":
			heard = l.take(payload) || heard
		case !l.sent.IsZero():
			return heard, errors.New("a heartbeat did not come back")
		}
	}
}

func (l *listener) beat(ctx context.Context, conn *pgx.Conn) error {
	l.count++
	l.sent = clock.System().Now()
	send, cancel := context.WithTimeout(ctx, Span)
	defer cancel()
	if _, err := conn.Exec(send, "SELECT pg_notify($1, $2)", channel, l.name()); err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	return nil
}

func (l *listener) name() string { return beatPrefix + l.id + " " + strconv.Itoa(l.count) }

// take tells a payload on, and reports whether it was the heartbeat under way.
func (l *listener) take(payload string) bool {
	if !strings.HasPrefix(payload, beatPrefix) {
		l.cfg.Hearer.Changed(payload)
		return false
	}
	if payload != l.name() || l.sent.IsZero() {
		return false
	}
	l.cfg.Hearer.Heard(l.sent)
	l.sent = time.Time{}
	return true
}

// receive gives the next payload; empty when none came until then.
func receive(ctx context.Context, conn *pgx.Conn, until time.Time) (string, error) {
	wait, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	got, err := conn.WaitForNotification(wait)
	switch {
	case err == nil:
		return got.Payload, nil
	case wait.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
		return "", nil
	default:
		return "", fmt.Errorf("wait for changes: %w", err)
	}
}
