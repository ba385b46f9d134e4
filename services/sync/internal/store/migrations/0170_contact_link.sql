-- +goose Up
-- The giving of a lead its contact at GoHighLevel: it is searched for, and made when there is none. Time in here is the
-- database's, but for create_time and update_time.
CREATE TABLE contact_link (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    -- The request that asked for it; none for one that a send asked for.
    request_id uuid,
    -- The contact that a person named, empty to search.
    wanted text NOT NULL DEFAULT '',
    state text NOT NULL CHECK (state IN ('PLANNED', 'CALLING', 'UNKNOWN', 'LINKED', 'CONFLICT', 'REFUSED')),
    -- Counts the creations, and is the fence of their outcomes.
    attempt integer NOT NULL DEFAULT 0,
    -- What the newest search looked for, and the newest creation said.
    email text NOT NULL DEFAULT '',
    phone text NOT NULL DEFAULT '',
    intent_at timestamptz,
    lease_until timestamptz,
    looks integer NOT NULL DEFAULT 0,
    -- When a PLANNED one is worked on and an UNKNOWN one looked for.
    next_time timestamptz,
    contact text NOT NULL DEFAULT '',
    how text NOT NULL DEFAULT '' CHECK (how IN ('', 'KNOWN', 'FOUND', 'CREATED', 'CHOSEN')),
    -- Why there is none. Of PLANNED: why not yet. Of UNKNOWN: what stands should nothing have been made.
    reason text NOT NULL DEFAULT '',
    reason_meta jsonb NOT NULL DEFAULT '{}',
    state_time timestamptz NOT NULL DEFAULT now(),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT contact_link_request UNIQUE (workspace_id, request_id),
    CHECK ((state = 'LINKED') = (contact <> '')),
    CHECK ((state = 'LINKED') = (how <> '')),
    CHECK (state NOT IN ('CONFLICT', 'REFUSED') OR reason <> ''),
    CHECK ((state IN ('PLANNED', 'UNKNOWN')) = (next_time IS NOT NULL)),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);
-- One at a time: a second creation cannot overtake an unresolved first one.
CREATE UNIQUE INDEX contact_link_one_live ON contact_link (workspace_id, lead_id) WHERE state IN ('PLANNED', 'CALLING', 'UNKNOWN');
CREATE INDEX contact_link_lead ON contact_link (workspace_id, lead_id, id DESC);
CREATE INDEX contact_link_due ON contact_link (next_time) WHERE state IN ('PLANNED', 'UNKNOWN');
CREATE INDEX contact_link_lease ON contact_link (lease_until) WHERE state = 'CALLING';
-- What waits for a person.
CREATE INDEX contact_link_state ON contact_link (workspace_id, state, id DESC);

-- Every search, call and look, for the person who has to decide.
CREATE TABLE contact_link_step (
    workspace_id uuid NOT NULL,
    link_id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- search: the provider was asked who is there; call: a contact was asked for; look: what became of a call; lease: the caller was gone.
    kind text NOT NULL CHECK (kind IN ('search', 'call', 'look', 'lease')),
    rule text NOT NULL DEFAULT '',
    -- A short name of what was seen; no words of the provider's.
    code text NOT NULL DEFAULT '',
    http_status integer NOT NULL DEFAULT 0,
    latency_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, link_id, seq),
    FOREIGN KEY (workspace_id, link_id) REFERENCES contact_link (workspace_id, id)
);

-- Whether a send to a lead without a contact asks for one.
ALTER TABLE workspace ADD COLUMN create_contacts boolean NOT NULL DEFAULT false;
-- Whether a lead had a contact before.
CREATE INDEX former_contact_lead ON former_contact (workspace_id, lead_id);

-- +goose StatementBegin
CREATE FUNCTION contact_link_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'links of contacts are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.attempt < OLD.attempt OR NEW.request_id IS DISTINCT FROM OLD.request_id OR NEW.lead_id <> OLD.lead_id
        OR NEW.wanted <> OLD.wanted OR (OLD.contact <> '' AND NEW.contact <> OLD.contact) THEN
        RAISE EXCEPTION 'identity, fence or contact of a link changed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    NEW.state_time := now();
    IF (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'PLANNED>CALLING', 'PLANNED>LINKED', 'PLANNED>CONFLICT', 'PLANNED>REFUSED',
        'CALLING>LINKED', 'CALLING>CONFLICT', 'CALLING>REFUSED', 'CALLING>PLANNED', 'CALLING>UNKNOWN',
        'UNKNOWN>LINKED', 'UNKNOWN>CONFLICT', 'UNKNOWN>REFUSED', 'UNKNOWN>PLANNED']) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a link may not move from % to %', OLD.state, NEW.state USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE FUNCTION contact_link_step_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'steps of links are append only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['contact_link', 'contact_link_step']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- +goose StatementEnd
CREATE TRIGGER contact_link_guard BEFORE UPDATE OR DELETE ON contact_link FOR EACH ROW EXECUTE FUNCTION contact_link_guard();
CREATE TRIGGER contact_link_step_guard BEFORE UPDATE OR DELETE ON contact_link_step FOR EACH ROW EXECUTE FUNCTION contact_link_step_guard();

-- +goose Down
DROP INDEX former_contact_lead;
ALTER TABLE workspace DROP COLUMN create_contacts;
DROP TABLE contact_link_step, contact_link;
DROP FUNCTION contact_link_guard, contact_link_step_guard;
