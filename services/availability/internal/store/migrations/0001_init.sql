-- +goose Up
-- Calendars of workspaces. At most one default each, whoever sets it at the same time.
CREATE TABLE calendar_link (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    request_id uuid,
    display_name text NOT NULL,
    provider text NOT NULL CHECK (provider IN ('ghl')),
    external_id text NOT NULL,
    public_url text NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX calendar_link_one_default ON calendar_link (workspace_id) WHERE is_default;
CREATE UNIQUE INDEX calendar_link_request ON calendar_link (workspace_id, request_id) WHERE request_id IS NOT NULL;

-- One row per workspace: its settings, the slots last read, when to read again, and who is reading now.
CREATE TABLE availability (
    workspace_id uuid PRIMARY KEY,
    meeting_minutes integer NOT NULL DEFAULT 30 CHECK (meeting_minutes BETWEEN 5 AND 480 AND meeting_minutes % 5 = 0),
    look_ahead_seconds integer NOT NULL DEFAULT 2592000 CHECK (look_ahead_seconds BETWEEN 3600 AND 2678400),
    settings_time timestamptz,
    state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'ok', 'empty', 'unreachable', 'unconfigured')),
    reason text NOT NULL DEFAULT '',
    -- The typed reason of the last failure on the provider's side; empty after a good read.
    last_error text NOT NULL DEFAULT '',
    -- The state and reason last written to the log, so that only changes are.
    reported text NOT NULL DEFAULT 'new',
    slots timestamptz[] NOT NULL DEFAULT '{}',
    -- When the slots were read (business time); null when there are none of this configuration.
    as_of timestamptz,
    failures integer NOT NULL DEFAULT 0,
    -- When to read again (business time).
    due_time timestamptz NOT NULL DEFAULT 'epoch',
    -- Counts changes of what is read, so that a read begun before a change is not stored after it.
    config_version bigint NOT NULL DEFAULT 1,
    -- The lease of the reader at work (database clock).
    lease_token uuid,
    lease_until timestamptz
);
CREATE INDEX availability_due ON availability (due_time, workspace_id);
CREATE INDEX availability_backing_off ON availability (due_time) WHERE state = 'unreachable';

ALTER TABLE calendar_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_link FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_link USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
ALTER TABLE availability ENABLE ROW LEVEL SECURITY;
ALTER TABLE availability FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON availability USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
