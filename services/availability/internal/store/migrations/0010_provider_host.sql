-- +goose Up
-- Calendar hosts that failed lately; one that answers has no row. It belongs to no workspace.
CREATE TABLE provider_host (
    host text PRIMARY KEY CHECK (length(host) BETWEEN 1 AND 300),
    failures integer NOT NULL DEFAULT 0,
    since timestamptz,
    window_time timestamptz,
    window_calls integer NOT NULL DEFAULT 0,
    window_failed integer NOT NULL DEFAULT 0,
    -- Until when nobody asks it; null while it may be asked.
    open_until timestamptz,
    last_error text NOT NULL DEFAULT '',
    update_time timestamptz NOT NULL,
    -- The lease of the one look that finds out whether it answers again (database clock).
    probe_until timestamptz
);
-- The host that was asked last, and whether the row waits for it to answer again.
ALTER TABLE availability ADD COLUMN host text NOT NULL DEFAULT '', ADD COLUMN waiting boolean NOT NULL DEFAULT false;
CREATE INDEX availability_waiting ON availability (host, due_time) WHERE waiting;

-- +goose Down
DROP INDEX availability_waiting;
ALTER TABLE availability DROP COLUMN host, DROP COLUMN waiting;
DROP TABLE provider_host;
