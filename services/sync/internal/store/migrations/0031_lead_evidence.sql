-- +goose Up
-- When the domain event of a message went out: whichever way a message comes first, and however often, it is told once.
ALTER TABLE message
    ADD COLUMN announce_time timestamptz,
    -- Which way it came first; late: by the poller, and by its webhook after all.
    ADD COLUMN arrival text NOT NULL DEFAULT 'import' CHECK (arrival IN ('webhook', 'poll', 'late', 'import', 'send'));

-- What a provider said of a lead, with the provider's time of saying it: what is older than the newest changes nothing.
CREATE TABLE lead_evidence (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    -- contact: the contact as a whole; tags: its tags; dnd: its do-not-disturb switches.
    kind text NOT NULL CHECK (kind IN ('contact', 'tags', 'dnd')),
    provider_time timestamptz NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, lead_id, kind),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);

-- Contacts that the provider deleted or merged, and whose lead they were.
CREATE TABLE former_contact (
    workspace_id uuid NOT NULL,
    contact_id text NOT NULL,
    lead_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, contact_id),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);

-- Appointments as their providers tell; evidence that a lead booked.
CREATE TABLE booking (
    workspace_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('ghl', 'calendly')),
    provider_id text NOT NULL,
    lead_id uuid NOT NULL,
    calendar text NOT NULL DEFAULT '',
    status text NOT NULL CHECK (status IN ('booked', 'cancelled', 'moved')),
    -- No later word changes the status.
    final boolean NOT NULL,
    start_time timestamptz,
    end_time timestamptz,
    provider_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, provider, provider_id),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);
CREATE INDEX booking_lead ON booking (workspace_id, lead_id, start_time DESC);

-- Messages of GoHighLevel by hour and by the way they came first; what no webhook brought is the gap.
CREATE TABLE ingestion_hour (
    workspace_id uuid NOT NULL REFERENCES workspace (id),
    hour timestamptz NOT NULL,
    delivered integer NOT NULL DEFAULT 0,
    found integer NOT NULL DEFAULT 0,
    -- Of found, those whose webhook came after all.
    late integer NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, hour)
);
CREATE INDEX ingestion_hour_time ON ingestion_hour (hour);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['lead_evidence', 'former_contact', 'booking', 'ingestion_hour']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE ingestion_hour, booking, former_contact, lead_evidence;
ALTER TABLE message DROP COLUMN announce_time, DROP COLUMN arrival;
