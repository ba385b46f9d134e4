-- +goose Up
-- Sequences and their versions. Steps of a version never change, so that running enrollments keep theirs.
CREATE TABLE sequence (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    display_name text NOT NULL,
    active       boolean NOT NULL,
    trigger      text NOT NULL CONSTRAINT sequence_trigger_known CHECK (trigger IN ('manual', 'lead_created')),
    version      integer NOT NULL,
    request_id   uuid,
    create_time  timestamptz NOT NULL,
    update_time  timestamptz NOT NULL,
    delete_time  timestamptz,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT sequence_request_once UNIQUE (workspace_id, request_id)
);
CREATE UNIQUE INDEX sequence_name_once ON sequence (workspace_id, display_name) WHERE delete_time IS NULL;

CREATE TABLE sequence_step (
    workspace_id     uuid NOT NULL,
    sequence_id      uuid NOT NULL,
    version          integer NOT NULL,
    position         integer NOT NULL CHECK (position >= 1),
    channel          text NOT NULL CONSTRAINT step_channel_known CHECK (channel IN ('sms', 'email')),
    delay_days       integer NOT NULL CHECK (delay_days BETWEEN 0 AND 365),
    delay_minutes    integer NOT NULL CHECK (delay_minutes BETWEEN 0 AND 1439),
    subject_template text NOT NULL,
    body_template    text NOT NULL,
    PRIMARY KEY (workspace_id, sequence_id, version, position),
    FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequence (workspace_id, id)
);

-- +goose StatementBegin
CREATE FUNCTION refuse_step_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'steps of a version do not change; add a version';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER step_is_immutable BEFORE UPDATE ON sequence_step FOR EACH ROW EXECUTE FUNCTION refuse_step_change();

CREATE TABLE enrollment (
    workspace_id     uuid NOT NULL,
    id               uuid NOT NULL,
    lead_id          uuid NOT NULL,
    sequence_id      uuid NOT NULL,
    sequence_version integer NOT NULL,
    state            text NOT NULL CONSTRAINT enrollment_state_known
                     CHECK (state IN ('active', 'paused', 'completed', 'cancelled', 'awaiting_outcome')),
    reason           text NOT NULL DEFAULT '',
    position         integer NOT NULL CHECK (position >= 1),
    base_time        timestamptz NOT NULL,
    due_time         timestamptz,
    next_time        timestamptz,
    start_time       timestamptz NOT NULL,
    replied_since    timestamptz NOT NULL,
    end_time         timestamptz,
    attempts         integer NOT NULL DEFAULT 0,
    part             integer NOT NULL DEFAULT 0,
    lease_token      uuid,
    lease_until      timestamptz,
    request_id       uuid,
    create_time      timestamptz NOT NULL,
    update_time      timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT enrollment_request_once UNIQUE (workspace_id, request_id),
    CONSTRAINT enrollment_active_has_next CHECK (state <> 'active' OR next_time IS NOT NULL),
    CONSTRAINT enrollment_ended_has_end CHECK ((state IN ('completed', 'cancelled')) = (end_time IS NOT NULL)),
    FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequence (workspace_id, id)
);
CREATE UNIQUE INDEX enrollment_running_once ON enrollment (workspace_id, lead_id, sequence_id)
    WHERE state IN ('active', 'paused', 'awaiting_outcome');
CREATE INDEX enrollment_due ON enrollment (workspace_id, next_time) WHERE state = 'active';
CREATE INDEX enrollment_of_lead ON enrollment (workspace_id, lead_id);

-- The message as rendered for its first try, written before sync is asked, so that asking again after a crash asks for
-- the same content under the same id. The texts are emptied when the outcome is known.
CREATE TABLE step_plan (
    workspace_id  uuid NOT NULL,
    request_id    uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    position      integer NOT NULL,
    part          integer NOT NULL,
    subject       text NOT NULL,
    body          text NOT NULL,
    html          text NOT NULL,
    settled       text,
    settled_message text NOT NULL DEFAULT '',
    create_time   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, request_id),
    CONSTRAINT step_plan_once UNIQUE (workspace_id, enrollment_id, position, part),
    FOREIGN KEY (workspace_id, enrollment_id) REFERENCES enrollment (workspace_id, id)
);

CREATE TABLE task (
    workspace_id  uuid NOT NULL,
    id            uuid NOT NULL,
    lead_id       uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    position      integer NOT NULL,
    part          integer NOT NULL,
    channel       text NOT NULL CHECK (channel IN ('sms', 'email')),
    state         text NOT NULL CONSTRAINT task_state_known CHECK (state IN ('pending', 'completed', 'skipped', 'cancelled')),
    reason        text NOT NULL DEFAULT '',
    message       text NOT NULL DEFAULT '',
    create_time   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT task_once UNIQUE (workspace_id, enrollment_id, position, part),
    FOREIGN KEY (workspace_id, enrollment_id) REFERENCES enrollment (workspace_id, id)
);
CREATE INDEX task_of_lead ON task (workspace_id, lead_id, id);

-- Events of sync, each handled once.
CREATE TABLE lead_event (
    workspace_id uuid NOT NULL,
    event_id     uuid NOT NULL,
    lead_id      uuid NOT NULL,
    type         text NOT NULL,
    event_time   timestamptz NOT NULL,
    handle_time  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, event_id)
);

CREATE TABLE settings (
    workspace_id    uuid PRIMARY KEY,
    work_start      integer NOT NULL CHECK (work_start BETWEEN 0 AND 1439),
    work_end        integer NOT NULL CHECK (work_end BETWEEN 0 AND 1439),
    work_days       integer[] NOT NULL CHECK (cardinality(work_days) BETWEEN 1 AND 7),
    paused_until    timestamptz,
    sender_name     text NOT NULL,
    company_name    text NOT NULL,
    target_result   text NOT NULL,
    questions       text[] NOT NULL,
    update_time     timestamptz NOT NULL
);

-- Receipts. The totals are counted from the items in the statement that inserts them, and the sum is a constraint.
CREATE TABLE run (
    id          uuid PRIMARY KEY,
    request_id  uuid CONSTRAINT run_request_once UNIQUE,
    processed   integer NOT NULL DEFAULT 0,
    succeeded   integer NOT NULL DEFAULT 0,
    failed      integer NOT NULL DEFAULT 0,
    skipped     integer NOT NULL DEFAULT 0,
    deferred    integer NOT NULL DEFAULT 0,
    unknown     integer NOT NULL DEFAULT 0,
    finished    boolean NOT NULL DEFAULT false,
    start_time  timestamptz NOT NULL,
    end_time    timestamptz,
    CONSTRAINT run_adds_up CHECK (processed = succeeded + failed + skipped + deferred + unknown)
);

CREATE TABLE run_item (
    workspace_id  uuid NOT NULL,
    run_id        uuid NOT NULL REFERENCES run (id),
    id            uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    lead_id       uuid NOT NULL,
    position      integer NOT NULL,
    outcome       text NOT NULL CONSTRAINT run_item_outcome_known
                  CHECK (outcome IN ('succeeded', 'failed', 'skipped', 'deferred', 'unknown')),
    reason        text NOT NULL,
    message       text NOT NULL,
    create_time   timestamptz NOT NULL,
    PRIMARY KEY (run_id, id)
);
CREATE INDEX run_item_of_enrollment ON run_item (workspace_id, enrollment_id);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['sequence', 'sequence_step', 'enrollment', 'step_plan', 'task', 'lead_event', 'settings', 'run_item'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($p$CREATE POLICY tenant ON %I USING (current_setting('relance.scope', true) = 'system'
            OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid)$p$, t);
    END LOOP;
END
$$;
-- +goose StatementEnd
-- A run covers every workspace: only system work may see it.
ALTER TABLE run ENABLE ROW LEVEL SECURITY;
ALTER TABLE run FORCE ROW LEVEL SECURITY;
CREATE POLICY system_only ON run USING (current_setting('relance.scope', true) = 'system');
