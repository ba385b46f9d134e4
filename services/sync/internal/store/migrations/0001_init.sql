-- +goose Up
CREATE TABLE workspace (
    id uuid PRIMARY KEY,
    request_id uuid UNIQUE,
    display_name text NOT NULL,
    time_zone text NOT NULL,
    sending_disabled boolean NOT NULL DEFAULT false,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);

-- One provider connection per workspace. A location belongs to one workspace only.
CREATE TABLE connection (
    workspace_id uuid PRIMARY KEY REFERENCES workspace (id),
    location text NOT NULL CONSTRAINT connection_location_key UNIQUE,
    token_enc bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('CONNECTED', 'AUTH_REVOKED', 'LOCATION_INACTIVE')),
    state_time timestamptz NOT NULL,
    last_webhook_time timestamptz,
    last_success_time timestamptz
);

-- Digests of workflow-dialect secrets; the two newest of a workspace are active.
CREATE TABLE webhook_secret (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace (id),
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    active boolean NOT NULL,
    create_time timestamptz NOT NULL
);
CREATE INDEX webhook_secret_workspace ON webhook_secret (workspace_id, id);

CREATE TABLE lead (
    workspace_id uuid NOT NULL REFERENCES workspace (id),
    id uuid NOT NULL,
    ghl_contact_id text,
    first_name text NOT NULL DEFAULT '',
    last_name text NOT NULL DEFAULT '',
    email text CHECK (email = lower(email)),
    phone text,
    time_zone text NOT NULL DEFAULT '',
    company_name text NOT NULL DEFAULT '',
    blocked boolean NOT NULL DEFAULT false,
    last_inbound_time timestamptz,
    last_outbound_time timestamptz,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX lead_contact ON lead (workspace_id, ghl_contact_id) WHERE ghl_contact_id IS NOT NULL;
CREATE UNIQUE INDEX lead_email ON lead (workspace_id, lower(email)) WHERE email IS NOT NULL;
CREATE UNIQUE INDEX lead_phone ON lead (workspace_id, phone) WHERE phone IS NOT NULL;

-- Flags of channels that are not simply open.
CREATE TABLE lead_channel (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    status text NOT NULL CHECK (status IN ('OPEN', 'DND', 'DND_PERMANENT', 'OPTED_OUT')),
    source text NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, lead_id, channel),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);

-- The timeline. An outbound message of ours has the id of its intent.
CREATE TABLE message (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    -- OWN: the state is the intent's.
    origin text NOT NULL CHECK (origin IN ('OWN', 'RECEIVED', 'IMPORTED')),
    subject_enc bytea,
    body_enc bytea NOT NULL,
    body_hash bytea NOT NULL,
    provider_message_id text,
    -- Key of the webhook that brought it, when the provider gave no message id there.
    webhook_key text,
    message_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);
CREATE UNIQUE INDEX message_provider ON message (workspace_id, provider_message_id) WHERE provider_message_id IS NOT NULL;
CREATE UNIQUE INDEX message_webhook ON message (workspace_id, webhook_key) WHERE webhook_key IS NOT NULL;
CREATE INDEX message_lead ON message (workspace_id, lead_id, message_time DESC, id DESC);
CREATE INDEX message_time ON message (workspace_id, message_time DESC, id DESC);

-- Send intents: the permanent dedupe of outbound messages (docs/send-protocol.md).
CREATE TABLE send_intent (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    request_id uuid NOT NULL,
    content_enc bytea NOT NULL,
    subject_hash bytea NOT NULL,
    body_hash bytea NOT NULL,
    html_hash bytea NOT NULL,
    policy text NOT NULL CHECK (policy IN ('resend', 'hold')),
    replied_since timestamptz,
    expire_time timestamptz,
    state text NOT NULL CHECK (state IN ('PLANNED', 'SENDING', 'ACCEPTED', 'DELIVERED', 'FAILED_AFTER_ACCEPT', 'REFUSED',
        'RETRYABLE', 'UNKNOWN', 'PARKED', 'SKIPPED', 'EXPIRED')),
    reason text NOT NULL DEFAULT '',
    reason_meta jsonb NOT NULL DEFAULT '{}',
    -- Number of claims; also the fence.
    attempt integer NOT NULL DEFAULT 0,
    -- Counted failures: attempts that were provably not accepted for a transient cause.
    failures integer NOT NULL DEFAULT 0,
    ambiguous integer NOT NULL DEFAULT 0,
    next_time timestamptz NOT NULL,
    intent_at timestamptz,
    lease_until timestamptz,
    provider_message_id text,
    conversation_id text,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT send_intent_request UNIQUE (workspace_id, request_id),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);
CREATE UNIQUE INDEX one_live ON send_intent (workspace_id, lead_id, channel) WHERE state IN ('SENDING', 'UNKNOWN');
CREATE UNIQUE INDEX one_claim ON send_intent (workspace_id, provider_message_id) WHERE provider_message_id IS NOT NULL;
CREATE INDEX send_intent_lease ON send_intent (lease_until) WHERE state = 'SENDING';
CREATE INDEX send_intent_due ON send_intent (next_time) WHERE state IN ('PLANNED', 'RETRYABLE');

CREATE TABLE send_attempt (
    workspace_id uuid NOT NULL,
    intent_id uuid NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    outcome text,
    http_status integer,
    wrote boolean,
    trace_id text,
    latency_ms bigint,
    evidence jsonb,
    PRIMARY KEY (workspace_id, intent_id, attempt),
    FOREIGN KEY (workspace_id, intent_id) REFERENCES send_intent (workspace_id, id)
);

CREATE TABLE webhook_inbox (
    id uuid PRIMARY KEY,
    workspace_id uuid REFERENCES workspace (id),
    source text NOT NULL CHECK (source IN ('marketplace', 'workflow')),
    webhook_id text NOT NULL,
    event_type text NOT NULL,
    location text NOT NULL DEFAULT '',
    body_enc bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'PROCESSED', 'IGNORED', 'UNROUTED', 'PARKED')),
    error_reason text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL,
    process_time timestamptz,
    CONSTRAINT webhook_inbox_delivery UNIQUE (source, webhook_id)
);
CREATE INDEX webhook_inbox_workspace ON webhook_inbox (workspace_id, id DESC);

-- Domain events to followups, in commit order per lead (the lead row is locked when one is written).
CREATE TABLE outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    workspace_id uuid NOT NULL REFERENCES workspace (id),
    lead_id uuid NOT NULL,
    type text NOT NULL,
    payload jsonb NOT NULL,
    create_time timestamptz NOT NULL,
    delivered_time timestamptz,
    parked_reason text NOT NULL DEFAULT ''
);
CREATE INDEX outbox_waiting ON outbox (seq) WHERE delivered_time IS NULL AND parked_reason = '';

-- Progress of the history import of one lead.
CREATE TABLE history_import (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    cursor text NOT NULL DEFAULT '',
    pages integer NOT NULL DEFAULT 0,
    imported integer NOT NULL DEFAULT 0,
    repeated integer NOT NULL DEFAULT 0,
    done_time timestamptz,
    PRIMARY KEY (workspace_id, lead_id, channel),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);

-- Tenancy: every row is visible to its workspace and to system work only.
-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['connection', 'webhook_secret', 'lead', 'lead_channel', 'message', 'send_intent', 'send_attempt',
        'webhook_inbox', 'outbox', 'history_import']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
    ALTER TABLE workspace ENABLE ROW LEVEL SECURITY;
    ALTER TABLE workspace FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON workspace USING (current_setting('relance.scope', true) = 'system'
        OR id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
END $$;
-- +goose StatementEnd

-- States move along the arrows of the protocol only, also for a program that got it wrong.
-- +goose StatementBegin
CREATE FUNCTION send_intent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'send intents are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.attempt < OLD.attempt OR NEW.request_id <> OLD.request_id OR NEW.lead_id <> OLD.lead_id THEN
        RAISE EXCEPTION 'send intent identity or fence moved back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'PLANNED>SENDING', 'PLANNED>SKIPPED', 'PLANNED>EXPIRED',
        'RETRYABLE>SENDING', 'RETRYABLE>SKIPPED', 'RETRYABLE>EXPIRED', 'RETRYABLE>ACCEPTED',
        'SENDING>ACCEPTED', 'SENDING>UNKNOWN', 'SENDING>REFUSED', 'SENDING>RETRYABLE', 'SENDING>PARKED',
        'UNKNOWN>ACCEPTED', 'UNKNOWN>REFUSED', 'UNKNOWN>RETRYABLE', 'UNKNOWN>PARKED',
        'ACCEPTED>DELIVERED', 'ACCEPTED>FAILED_AFTER_ACCEPT']) THEN
        RETURN NEW;
    END IF;
    IF OLD.state = 'PARKED' AND OLD.reason = 'AMBIGUOUS' AND NEW.state = 'ACCEPTED' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'send intent may not move from % to %', OLD.state, NEW.state USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE FUNCTION send_attempt_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.outcome IS NOT NULL OR NEW.at <> OLD.at OR NEW.attempt <> OLD.attempt
        OR NEW.intent_id <> OLD.intent_id THEN
        RAISE EXCEPTION 'send attempts are append only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER send_intent_guard BEFORE UPDATE OR DELETE ON send_intent FOR EACH ROW EXECUTE FUNCTION send_intent_guard();
CREATE TRIGGER send_attempt_guard BEFORE UPDATE OR DELETE ON send_attempt FOR EACH ROW EXECUTE FUNCTION send_attempt_guard();

-- +goose Down
DROP TABLE history_import, outbox, webhook_inbox, send_attempt, send_intent, message, lead_channel, lead, webhook_secret,
    connection, workspace;
DROP FUNCTION send_intent_guard, send_attempt_guard;
