package postgres

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// IsNoRows reports whether a query that needed a row found none.
func IsNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// IsUnique reports whether err breaks the named unique constraint or index; any when constraint is empty.
func IsUnique(err error, constraint string) bool { return breaks(err, "23505", constraint) }

// IsForeignKey reports whether err breaks the named foreign key; any when constraint is empty.
func IsForeignKey(err error, constraint string) bool { return breaks(err, "23503", constraint) }

func breaks(err error, state, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == state && (constraint == "" || pg.ConstraintName == constraint)
}

// IsUnstorable reports whether a text has a character that no column of text can hold: NUL.
func IsUnstorable(err error) bool { return breaks(err, "22021", "") || breaks(err, "22P05", "") }

// IsNoPartition reports whether a row found no partition to live in. The transaction is undone then, and may run again once
// the partition is made.
func IsNoPartition(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23514" && pg.ConstraintName == "" && strings.HasPrefix(pg.Message, "no partition of relation")
}

// IsRetryable reports whether running the whole transaction again makes sense: serialization failure, deadlock, lock
// timeout.
func IsRetryable(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "40001", "40P01", "55P03":
		return true
	default:
		return false
	}
}

// IsUnavailable reports whether the database is away, as opposed to refusing what it was asked: connection failures,
// shutdown and start-up, too many connections.
func IsUnavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P") || pg.Code == "53300"
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return true
	}
	// A caller's deadline is a net.Error too, but tells nothing about the database.
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "unexpected EOF") ||
		strings.Contains(err.Error(), "conn closed")
}
