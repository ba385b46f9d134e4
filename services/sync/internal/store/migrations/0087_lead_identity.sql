-- +goose Up
-- Every email address by which a lead is known, its own and its others: one lead an address. The one table makes two writers
-- that say the same person in different words collide, so that one of them begins anew and finds what the other made.
CREATE TABLE lead_address (
    workspace_id uuid NOT NULL,
    email text NOT NULL CHECK (email = lower(email)),
    lead_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, email),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);
CREATE INDEX lead_address_lead ON lead_address (workspace_id, lead_id);

-- Two leads that the same words may mean. Nothing is merged: a person decides.
CREATE TABLE lead_conflict (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    -- The lead that was taken, and the one that holds what was said too.
    lead_id uuid NOT NULL,
    holder_id uuid NOT NULL,
    key text NOT NULL CHECK (key IN ('email', 'phone')),
    value text NOT NULL,
    resolution text NOT NULL DEFAULT '' CHECK (resolution IN ('', 'KEPT', 'MOVED')),
    resolver text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL,
    resolve_time timestamptz,
    PRIMARY KEY (workspace_id, id),
    -- Once for all: what was decided is not asked again.
    CONSTRAINT lead_conflict_once UNIQUE (workspace_id, lead_id, holder_id, key, value),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id),
    FOREIGN KEY (workspace_id, holder_id) REFERENCES lead (workspace_id, id),
    CHECK (lead_id <> holder_id),
    CHECK ((resolution <> '') = (resolver <> ''))
);
CREATE INDEX lead_conflict_open ON lead_conflict (workspace_id, id DESC) WHERE resolution = '';

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['lead_address', 'lead_conflict']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- A lead's own address is one of those it is known by. One that it had before is free again.
CREATE FUNCTION lead_address_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.email IS NOT DISTINCT FROM OLD.email THEN
            RETURN NULL;
        END IF;
        DELETE FROM lead_address WHERE workspace_id = OLD.workspace_id AND email = OLD.email AND lead_id = OLD.id;
    END IF;
    IF NEW.email IS NOT NULL AND NOT EXISTS (SELECT FROM lead_address e WHERE e.workspace_id = NEW.workspace_id AND e.email = NEW.email AND e.lead_id = NEW.id) THEN
        INSERT INTO lead_address (workspace_id, email, lead_id) VALUES (NEW.workspace_id, NEW.email, NEW.id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
SELECT set_config('relance.scope', 'system', true);
INSERT INTO lead_address (workspace_id, email, lead_id) SELECT workspace_id, email, id FROM lead WHERE email IS NOT NULL;
CREATE TRIGGER lead_address_keep AFTER INSERT OR UPDATE OF email ON lead FOR EACH ROW EXECUTE FUNCTION lead_address_keep();

-- +goose Down
DROP TRIGGER lead_address_keep ON lead;
DROP FUNCTION lead_address_keep;
DROP TABLE lead_conflict, lead_address;
