-- +goose Up
-- Step kinds, anchors, conditions; versions that the database keeps from changing.
SELECT set_config('relance.scope', 'system', true);

ALTER TABLE sequence ADD COLUMN description text NOT NULL DEFAULT '';

-- A version is written whole in one transaction and sealed in it; from then on nothing of it changes.
CREATE TABLE sequence_version (
    workspace_id uuid NOT NULL,
    sequence_id  uuid NOT NULL,
    version      integer NOT NULL CHECK (version >= 1),
    sealed       boolean NOT NULL DEFAULT false,
    create_time  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, sequence_id, version),
    FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequence (workspace_id, id)
);
ALTER TABLE sequence_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE sequence_version FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sequence_version USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

INSERT INTO sequence_version (workspace_id, sequence_id, version, sealed, create_time)
SELECT s.workspace_id, s.id, n, true, s.update_time FROM sequence AS s CROSS JOIN LATERAL generate_series(1, s.version) AS n;

ALTER TABLE sequence_step
    ADD COLUMN step_id           text,
    ADD COLUMN anchor            text NOT NULL DEFAULT 'previous' CONSTRAINT step_anchor_known CHECK (anchor IN ('previous', 'start')),
    ADD COLUMN condition         text NOT NULL DEFAULT 'always' CONSTRAINT step_condition_known
        CHECK (condition IN ('always', 'phone_provided', 'email_provided', 'no_response', 'linkedin_connected')),
    ADD COLUMN expression        text NOT NULL DEFAULT '',
    ADD COLUMN requires_approval boolean NOT NULL DEFAULT false,
    ADD COLUMN send_within_minutes integer NOT NULL DEFAULT 0 CHECK (send_within_minutes BETWEEN 0 AND 525600),
    DROP CONSTRAINT step_channel_known,
    ADD CONSTRAINT step_channel_known CHECK (channel IN ('sms', 'email', 'linkedin', 'call', 'wait'));
DROP TRIGGER step_is_immutable ON sequence_step;
UPDATE sequence_step SET step_id = 'step-' || position;
ALTER TABLE sequence_step
    ALTER COLUMN step_id SET NOT NULL,
    ADD CONSTRAINT step_id_once UNIQUE (workspace_id, sequence_id, version, step_id),
    ADD CONSTRAINT step_of_version FOREIGN KEY (workspace_id, sequence_id, version)
        REFERENCES sequence_version (workspace_id, sequence_id, version);
ALTER TABLE enrollment ADD CONSTRAINT enrollment_of_version FOREIGN KEY (workspace_id, sequence_id, sequence_version)
    REFERENCES sequence_version (workspace_id, sequence_id, version);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse_step_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND EXISTS (SELECT FROM sequence_version AS v WHERE v.workspace_id = NEW.workspace_id
            AND v.sequence_id = NEW.sequence_id AND v.version = NEW.version AND NOT v.sealed) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'steps of a version do not change; add a version' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE FUNCTION refuse_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NOT OLD.sealed AND NEW.sealed
            AND (NEW.workspace_id, NEW.sequence_id, NEW.version) = (OLD.workspace_id, OLD.sequence_id, OLD.version) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a version does not change; add a version' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE FUNCTION refuse_open_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM sequence_version AS v WHERE v.workspace_id = NEW.workspace_id AND v.sequence_id = NEW.sequence_id
            AND v.version = NEW.version AND NOT v.sealed) THEN
        RAISE EXCEPTION 'a version must be sealed in the transaction that writes it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER step_is_immutable BEFORE INSERT OR UPDATE OR DELETE ON sequence_step
    FOR EACH ROW EXECUTE FUNCTION refuse_step_change();
CREATE TRIGGER version_is_immutable BEFORE UPDATE OR DELETE ON sequence_version
    FOR EACH ROW EXECUTE FUNCTION refuse_version_change();
CREATE CONSTRAINT TRIGGER version_is_sealed AFTER INSERT ON sequence_version
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_open_version();

-- A migrated enrollment counts its positions in another version: plans and tasks are of a version.
ALTER TABLE step_plan ADD COLUMN version integer;
UPDATE step_plan AS p SET version = e.sequence_version FROM enrollment AS e WHERE e.workspace_id = p.workspace_id AND e.id = p.enrollment_id;
ALTER TABLE step_plan
    ALTER COLUMN version SET NOT NULL,
    DROP CONSTRAINT step_plan_once,
    ADD CONSTRAINT step_plan_once UNIQUE (workspace_id, enrollment_id, version, position, part);
ALTER TABLE task ADD COLUMN version integer;
UPDATE task AS t SET version = e.sequence_version FROM enrollment AS e WHERE e.workspace_id = t.workspace_id AND e.id = t.enrollment_id;
ALTER TABLE task
    ALTER COLUMN version SET NOT NULL,
    DROP CONSTRAINT task_once,
    ADD CONSTRAINT task_once UNIQUE (workspace_id, enrollment_id, version, position, part),
    DROP CONSTRAINT task_channel_check,
    ADD CONSTRAINT task_channel_known CHECK (channel IN ('sms', 'email', 'linkedin', 'call'));
