-- +goose Up
-- The comparing of appointments with their providers, by connection. Times are business time.
CREATE TABLE appointment_poll (
    workspace_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('ghl', 'calendly')),
    -- The calendar after which the next poll goes on; empty to begin anew.
    cursor text NOT NULL DEFAULT '',
    -- When the next poll is due; also the lease of one under way.
    next_time timestamptz NOT NULL,
    last_time timestamptz,
    last_error text NOT NULL DEFAULT '',
    -- What the newest poll saw: every appointment listed is known as it is, found to be new or changed, or passed over since it
    -- names nobody.
    listed integer NOT NULL DEFAULT 0,
    known integer NOT NULL DEFAULT 0,
    found integer NOT NULL DEFAULT 0,
    passed integer NOT NULL DEFAULT 0,
    CHECK (listed = known + found + passed),
    PRIMARY KEY (workspace_id, provider),
    FOREIGN KEY (workspace_id) REFERENCES workspace (id)
);
CREATE INDEX appointment_poll_due ON appointment_poll (next_time);
ALTER TABLE appointment_poll ENABLE ROW LEVEL SECURITY;
ALTER TABLE appointment_poll FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON appointment_poll USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

-- +goose Down
DROP TABLE appointment_poll;
