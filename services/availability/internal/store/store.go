// Package store keeps calendar links, settings and slots in PostgreSQL. Leases use the database's clock, every other
// time is the business time that the caller gives.
package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Schema is the schema of the service and the suffix of its role.
const Schema = "availability"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations is what the service's database needs.
func Migrations() postgres.Migrations {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		// The directory is embedded above; it cannot be missing in a program that compiled.
		panic(err)
	}
	return postgres.Migrations{Service: Schema, FS: files, River: true}
}

// Store is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	box     *secretbox.Box
	changed func(workspace uuid.UUID)
}

// New makes a Store on a pool whose search path is Schema. The box seals addresses and tokens.
func New(pool *pgxpool.Pool, box *secretbox.Box) *Store {
	return &Store{pool: pool, box: box, changed: func(uuid.UUID) {}}
}

// Observe has fn called with each workspace that this Store changes, before the change is answered. It must be called
// before any change; changes by others are told by the database.
func (s *Store) Observe(fn func(workspace uuid.UUID)) { s.changed = fn }

// Row is what is known of the availability of one of a workspace's calendars. Settings are the workspace's.
type Row struct {
	// Workspace is whose row it is, Kind of which of its calendars.
	Workspace uuid.UUID
	Kind      slots.SourceKind
	// Meeting is the length of a meeting, LookAhead how far slots are read.
	Meeting, LookAhead time.Duration
	// Strategy and Locale are how times are chosen and said; LowThreshold is the least number of free times in 7 days that is
	// not worth telling, 0 for none.
	Strategy     slots.Strategy
	Locale       string
	LowThreshold int
	// SettingsTime is when the settings were last changed; zero for defaults.
	SettingsTime time.Time
	// State and Reason are what the last look found.
	State  slots.State
	Reason slots.Reason
	// LastError is the typed reason of the last failure at the provider.
	LastError string
	// Slots are the starts last read, sorted, at AsOf; zero when never read in this configuration.
	Slots []time.Time
	AsOf  time.Time
	// Source is the provider's door that they were read through.
	Source string
	// Due is when to look again.
	Due time.Time
	// Failures counts failed looks in a row.
	Failures int
	// Link is the link of the kind, if any; SourceDirectBook always has one.
	Link *Link

	reported string
	version  int64
	token    uuid.UUID
}

// Key is what the row is kept under.
func (r Row) Key() slots.Key { return slots.Key{Workspace: r.Workspace, Kind: r.Kind} }

// Link is a calendar of a workspace.
type Link struct {
	// Workspace and ID identify it.
	Workspace, ID uuid.UUID
	// DisplayName, ExternalID and PublicURL are as the API describes them.
	DisplayName, ExternalID, PublicURL string
	// Provider is the kind of calendar.
	Provider calendar.Kind
	// SourceURL is where slots are read; empty where the id says it. Token opens the provider's API; empty for none. Both
	// are sealed in the database.
	SourceURL, Token redact.Secret
	// Hours are the working hours of a feed.
	Hours slots.Hours
	// Resolved is what the provider remembers between looks.
	Resolved string
	// Default tells whether it is the workspace's default, DirectBook whether it is the one for direct bookings.
	Default, DirectBook bool
	// CreateTime and UpdateTime are business time.
	CreateTime, UpdateTime time.Time
}

// AddWorkspaces makes rows with default settings, due at once, for workspaces that have none.
func (s *Store) AddWorkspaces(ctx context.Context, workspaces []uuid.UUID) error {
	err := s.system(ctx, func(q *db.Queries) error { return q.AddWorkspaces(ctx, workspaces) })
	return wrap("add workspaces", err)
}

// Known reports whether the workspace has a row.
func (s *Store) Known(ctx context.Context, workspace uuid.UUID) (bool, error) {
	var known bool
	err := s.within(ctx, workspace, func(q *db.Queries) (err error) {
		known, err = q.Known(ctx, workspace)
		return err
	})
	return known, wrap("look for workspace", err)
}

// Read gives a row with its link: that of the default calendar also for SourceDirectBook, where no other calendar is set for
// it. The error is a no-rows error (postgres.IsNoRows) for a workspace without a row.
func (s *Store) Read(ctx context.Context, key slots.Key) (Row, error) {
	var row Row
	err := s.within(ctx, key.Workspace, func(q *db.Queries) error {
		record, err := q.Availability(ctx, db.AvailabilityParams{WorkspaceID: key.Workspace, SourceKind: string(key.Kind)})
		if postgres.IsNoRows(err) && key.Kind != slots.SourceDefault {
			record, err = q.Availability(ctx, defaultRow(key.Workspace))
		}
		if err != nil {
			return err
		}
		row, err = s.complete(ctx, q, record)
		return err
	})
	return row, wrap("read availability", err)
}

// BackingOff counts the workspaces that rest after a failure.
func (s *Store) BackingOff(ctx context.Context, now time.Time) (int, error) {
	var count int64
	err := s.system(ctx, func(q *db.Queries) (err error) {
		count, err = q.BackingOff(ctx, now)
		return err
	})
	return int(count), wrap("count workspaces backing off", err)
}

// Settings are the changes of UpdateSettings; nil leaves a value as it is.
type Settings struct {
	// They replace the values of the row.
	Meeting, LookAhead *time.Duration
	Strategy           *slots.Strategy
	Locale             *string
	LowThreshold       *int
	// Now is stored as the time of the change.
	Now time.Time
}

// UpdateSettings changes settings. The slots are read anew at once, unless nothing really changed.
func (s *Store) UpdateSettings(ctx context.Context, workspace uuid.UUID, change Settings) (Row, error) {
	var row Row
	err := s.configure(ctx, workspace, func(q *db.Queries, before Row) error {
		params := db.UpdateSettingsParams{WorkspaceID: workspace, Now: &change.Now, Locale: change.Locale}
		if change.Strategy != nil {
			strategy := string(*change.Strategy)
			params.OfferStrategy = &strategy
		}
		if change.LowThreshold != nil {
			threshold := int32(*change.LowThreshold)
			params.LowThreshold = &threshold
		}
		if change.Meeting != nil {
			minutes := int32(*change.Meeting / time.Minute)
			params.MeetingMinutes = &minutes
		}
		if change.LookAhead != nil {
			seconds := int32(*change.LookAhead / time.Second)
			params.LookAheadSeconds = &seconds
		}
		record, err := q.UpdateSettings(ctx, params)
		if err != nil {
			return err
		}
		row = fromRecord(record)
		if row.Meeting == before.Meeting && row.LookAhead == before.LookAhead {
			return nil
		}
		return q.Reset(ctx, db.ResetParams{WorkspaceID: workspace})
	})
	return row, wrap("update settings", err)
}

// configure runs a change of configuration with the workspace's rows locked, so that changes follow one another. The row for direct
// bookings comes or goes with what changed.
func (s *Store) configure(ctx context.Context, workspace uuid.UUID, change func(*db.Queries, Row) error) error {
	// Also after an error: the commit may have come through.
	defer s.changed(workspace)
	return s.within(ctx, workspace, func(q *db.Queries) error {
		if err := q.AddWorkspaces(ctx, []uuid.UUID{workspace}); err != nil {
			return err
		}
		locked, err := q.LockAvailability(ctx, db.LockAvailabilityParams(defaultRow(workspace)))
		if err != nil {
			return err
		}
		// Before any link, as by whoever stores what was read.
		direct := db.LockAvailabilityParams{WorkspaceID: workspace, SourceKind: string(slots.SourceDirectBook)}
		if _, err := q.LockAvailability(ctx, direct); err != nil && !postgres.IsNoRows(err) {
			return err
		}
		if err := change(q, fromRecord(locked.Availability)); err != nil {
			return err
		}
		return s.alignDirectBook(ctx, q, workspace)
	})
}

func defaultRow(workspace uuid.UUID) db.AvailabilityParams {
	return db.AvailabilityParams{WorkspaceID: workspace, SourceKind: string(slots.SourceDefault)}
}

func (s *Store) within(ctx context.Context, workspace uuid.UUID, fn func(*db.Queries) error) error {
	return postgres.InWorkspace(ctx, s.pool, workspace.String(), func(tx pgx.Tx) error { return fn(db.New(tx)) })
}

func (s *Store) system(ctx context.Context, fn func(*db.Queries) error) error {
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error { return fn(db.New(tx)) })
}

func (s *Store) complete(ctx context.Context, q *db.Queries, record db.Availability) (Row, error) {
	row := fromRecord(record)
	find := q.DefaultLink
	if row.Kind == slots.SourceDirectBook {
		find = q.DirectBookLink
		settings, err := q.Availability(ctx, defaultRow(row.Workspace))
		if err != nil {
			return Row{}, err
		}
		row.adopt(fromRecord(settings))
	}
	link, err := find(ctx, record.WorkspaceID)
	if postgres.IsNoRows(err) {
		return row, nil
	}
	if err != nil {
		return Row{}, err
	}
	known, err := s.open(link)
	if err != nil {
		return Row{}, err
	}
	row.Link = &known
	return row, nil
}

// adopt takes the settings of the workspace's default row.
func (r *Row) adopt(of Row) {
	r.Meeting, r.LookAhead, r.SettingsTime = of.Meeting, of.LookAhead, of.SettingsTime
	r.Strategy, r.Locale, r.LowThreshold = of.Strategy, of.Locale, of.LowThreshold
}

func fromRecord(r db.Availability) Row {
	row := Row{
		Workspace: r.WorkspaceID, Kind: slots.SourceKind(r.SourceKind), Meeting: time.Duration(r.MeetingMinutes) * time.Minute,
		LookAhead: time.Duration(r.LookAheadSeconds) * time.Second, State: slots.State(r.State),
		Reason: slots.Reason(r.Reason), LastError: r.LastError, Slots: r.Slots, Source: r.Source, Due: r.DueTime,
		Strategy: slots.Strategy(r.OfferStrategy), Locale: r.Locale, LowThreshold: int(r.LowThreshold),
		Failures: int(r.Failures), reported: r.Reported, version: r.ConfigVersion,
	}
	if r.SettingsTime != nil {
		row.SettingsTime = *r.SettingsTime
	}
	if r.AsOf != nil {
		row.AsOf = *r.AsOf
	}
	if r.LeaseToken != nil {
		row.token = *r.LeaseToken
	}
	return row
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
