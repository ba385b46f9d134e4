-- +goose Up
-- A second calendar of a workspace, for appointments that are made without a person choosing. Its slots have a row of their own,
-- which is there only while such a calendar is set that is not the default one. Settings and the weekly word on few free times stay
-- with the row of the default calendar.
ALTER TABLE calendar_link ADD COLUMN is_direct_book boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX calendar_link_one_direct_book ON calendar_link (workspace_id) WHERE is_direct_book;

ALTER TABLE availability
    ADD COLUMN source_kind text NOT NULL DEFAULT 'default' CHECK (source_kind IN ('default', 'direct_book')),
    DROP CONSTRAINT availability_pkey;
ALTER TABLE availability ADD PRIMARY KEY (workspace_id, source_kind);
-- Each kind is walked by itself, so that neither waits for the other.
DROP INDEX availability_due, availability_turn, availability_census;
CREATE INDEX availability_due ON availability (source_kind, due_time, workspace_id);
CREATE INDEX availability_turn ON availability (source_kind, agency, due_time, workspace_id);
CREATE INDEX availability_census ON availability (source_kind, state, as_of, workspace_id);

-- The same start may be free on both calendars: each spreads its own.
ALTER TABLE offered_start
    ADD COLUMN source_kind text NOT NULL DEFAULT 'default' CHECK (source_kind IN ('default', 'direct_book')),
    DROP CONSTRAINT offered_start_pkey;
ALTER TABLE offered_start ADD PRIMARY KEY (workspace_id, source_kind, start_time);

ALTER TABLE refresh_run
    ADD COLUMN direct_book integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT refresh_run_direct_book CHECK (direct_book BETWEEN 0 AND attempted);

-- +goose Down
ALTER TABLE refresh_run DROP CONSTRAINT refresh_run_direct_book, DROP COLUMN direct_book;
DELETE FROM offered_start WHERE source_kind <> 'default';
ALTER TABLE offered_start DROP CONSTRAINT offered_start_pkey;
ALTER TABLE offered_start DROP COLUMN source_kind, ADD PRIMARY KEY (workspace_id, start_time);
DELETE FROM availability WHERE source_kind <> 'default';
DROP INDEX availability_due, availability_turn, availability_census;
ALTER TABLE availability DROP CONSTRAINT availability_pkey;
ALTER TABLE availability DROP COLUMN source_kind, ADD PRIMARY KEY (workspace_id);
CREATE INDEX availability_due ON availability (due_time, workspace_id);
CREATE INDEX availability_turn ON availability (agency, due_time, workspace_id);
CREATE INDEX availability_census ON availability (state, as_of, workspace_id);
DROP INDEX calendar_link_one_direct_book;
ALTER TABLE calendar_link DROP COLUMN is_direct_book;
