-- +goose Up
-- The receipt of each run, which adds up or is not stored.
CREATE TABLE refresh_run (
    id uuid PRIMARY KEY,
    request_id uuid CONSTRAINT refresh_run_request UNIQUE,
    mode text NOT NULL CHECK (mode IN ('due', 'all')),
    checked integer NOT NULL DEFAULT 0,
    refreshed integer NOT NULL DEFAULT 0,
    no_default integer NOT NULL DEFAULT 0,
    unsupported integer NOT NULL DEFAULT 0,
    backoff integer NOT NULL DEFAULT 0,
    errors integer NOT NULL DEFAULT 0,
    attempted integer NOT NULL DEFAULT 0,
    details jsonb NOT NULL DEFAULT '[]',
    total_caches integer NOT NULL DEFAULT 0,
    due_caches integer NOT NULL DEFAULT 0,
    erroring_caches integer NOT NULL DEFAULT 0,
    oldest_as_of timestamptz,
    oldest_workspace uuid,
    finished boolean NOT NULL DEFAULT false,
    start_time timestamptz NOT NULL,
    end_time timestamptz,
    -- How long the run counts as going on (database clock).
    lease_until timestamptz NOT NULL,
    CONSTRAINT refresh_run_adds_up CHECK (checked = refreshed + no_default + unsupported + backoff + errors),
    CONSTRAINT refresh_run_attempted CHECK (attempted BETWEEN 0 AND checked)
);
CREATE INDEX refresh_run_start ON refresh_run (start_time);
-- A run covers every workspace: only system work may see it.
ALTER TABLE refresh_run ENABLE ROW LEVEL SECURITY;
ALTER TABLE refresh_run FORCE ROW LEVEL SECURITY;
CREATE POLICY system_only ON refresh_run USING (current_setting('relance.scope', true) = 'system');

-- Runs take turns between agencies.
ALTER TABLE availability ADD COLUMN agency text NOT NULL DEFAULT '';
CREATE INDEX availability_turn ON availability (agency, due_time, workspace_id);
-- Counts by state, and the oldest of each, without reading the rows.
CREATE INDEX availability_census ON availability (state, as_of, workspace_id);

-- +goose Down
DROP INDEX availability_census, availability_turn;
ALTER TABLE availability DROP COLUMN agency;
DROP TABLE refresh_run;
