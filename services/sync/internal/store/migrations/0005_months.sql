-- +goose Up
-- Append-only history that nothing looks up by key is kept by month, so that old months are dropped and not deleted row by
-- row: attempts and looks by the database's clock, events by the business clock. Months are made ahead by a job, and on
-- demand when one is missing. The service's role owns no table, so it makes and drops months through these functions only.
SELECT set_config('relance.scope', 'system', true);

ALTER TABLE send_attempt RENAME CONSTRAINT send_attempt_pkey TO send_attempt_whole_pkey;
ALTER TABLE send_attempt RENAME TO send_attempt_whole;
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
    -- The fence of the intent makes (intent, attempt) unique.
    PRIMARY KEY (workspace_id, intent_id, attempt, at),
    FOREIGN KEY (workspace_id, intent_id) REFERENCES send_intent (workspace_id, id)
) PARTITION BY RANGE (at);

ALTER TABLE send_look RENAME CONSTRAINT send_look_pkey TO send_look_whole_pkey;
ALTER TABLE send_look RENAME TO send_look_whole;
CREATE TABLE send_look (
    workspace_id uuid NOT NULL,
    intent_id uuid NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text NOT NULL,
    age_ms bigint NOT NULL,
    result text NOT NULL CHECK (result IN ('absent', 'found', 'several', 'different', 'failed')),
    rule text NOT NULL DEFAULT '',
    listed integer NOT NULL DEFAULT 0,
    candidates text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, intent_id, at),
    FOREIGN KEY (workspace_id, intent_id) REFERENCES send_intent (workspace_id, id)
) PARTITION BY RANGE (at);

ALTER TABLE outbox RENAME CONSTRAINT outbox_pkey TO outbox_whole_pkey;
ALTER TABLE outbox RENAME CONSTRAINT outbox_id_key TO outbox_whole_id_key;
ALTER INDEX outbox_waiting RENAME TO outbox_whole_waiting;
ALTER TABLE outbox RENAME TO outbox_whole;
CREATE SEQUENCE outbox_order;
CREATE TABLE outbox (
    seq bigint NOT NULL DEFAULT nextval('outbox_order'),
    id uuid NOT NULL,
    workspace_id uuid NOT NULL REFERENCES workspace (id),
    lead_id uuid NOT NULL,
    type text NOT NULL,
    payload jsonb NOT NULL,
    create_time timestamptz NOT NULL,
    delivered_time timestamptz,
    parked_reason text NOT NULL DEFAULT '',
    PRIMARY KEY (seq, create_time)
) PARTITION BY RANGE (create_time);
CREATE INDEX outbox_waiting ON outbox (seq) WHERE delivered_time IS NULL AND parked_reason = '';

-- +goose StatementBegin
-- ensure_months makes the months of a table from one time to another, and tells how many were missing.
CREATE FUNCTION ensure_months(parent text, first_time timestamptz, last_time timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', first_time);
    child text;
    made integer := 0;
BEGIN
    IF parent NOT IN ('send_attempt', 'send_look', 'outbox') OR last_time - first_time > interval '50 years' THEN
        RAISE EXCEPTION 'no months of %', parent;
    END IF;
    WHILE month <= last_time LOOP
        child := parent || '_' || to_char(month, 'YYYY_MM');
        IF to_regclass(quote_ident(child)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '.' || child, 0));
        END IF;
        IF to_regclass(quote_ident(child)) IS NULL THEN
            -- Made apart and attached, which lets others go on writing.
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', child);
            EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', child);
            EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
                'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', child);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, month, month + interval '1 month');
            made := made + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;

-- drop_months drops the months of a table that ended before a time, and tells how many. A month with events that have not
-- been delivered stays.
CREATE FUNCTION drop_months(parent text, before_time timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    child text;
    waiting boolean;
    dropped integer := 0;
BEGIN
    IF parent NOT IN ('send_attempt', 'send_look', 'outbox') OR before_time > now() - interval '27 days' THEN
        RAISE EXCEPTION 'months of % since % are not dropped', parent, before_time;
    END IF;
    PERFORM set_config('relance.scope', 'system', true);
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(quote_ident(parent)) AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
            AND to_timestamp(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= before_time
        ORDER BY c.relname
    LOOP
        waiting := false;
        IF parent = 'outbox' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE delivered_time IS NULL AND parked_reason = '''')', child) INTO waiting;
        END IF;
        IF NOT waiting THEN
            EXECUTE format('DROP TABLE %I', child);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['send_attempt', 'send_look', 'outbox'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- +goose StatementEnd

SELECT ensure_months('send_attempt', least((SELECT min(at) FROM send_attempt_whole), now()), now() + interval '2 months');
SELECT ensure_months('send_look', least((SELECT min(at) FROM send_look_whole), now()), now() + interval '2 months');
SELECT ensure_months('outbox', least((SELECT min(create_time) FROM outbox_whole), now()), greatest((SELECT max(create_time) FROM outbox_whole), now()) + interval '2 months');
INSERT INTO send_attempt SELECT * FROM send_attempt_whole;
INSERT INTO send_look SELECT * FROM send_look_whole;
INSERT INTO outbox SELECT * FROM outbox_whole;
SELECT setval('outbox_order', greatest((SELECT max(seq) FROM outbox), 1));
DROP TABLE send_attempt_whole, send_look_whole, outbox_whole;
CREATE TRIGGER send_attempt_guard BEFORE UPDATE OR DELETE ON send_attempt FOR EACH ROW EXECUTE FUNCTION send_attempt_guard();
CREATE TRIGGER send_look_guard BEFORE UPDATE OR DELETE ON send_look FOR EACH ROW EXECUTE FUNCTION send_look_guard();
