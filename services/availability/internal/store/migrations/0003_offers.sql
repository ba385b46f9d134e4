-- +goose Up
-- What leads were offered. An offer never changes; the same request gives the same offer for ever.
CREATE TABLE offer (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    request_id uuid NOT NULL,
    -- What was asked for, to tell another request under the same id.
    asked jsonb NOT NULL,
    time_zone text NOT NULL,
    starts timestamptz[] NOT NULL,
    labels text[] NOT NULL CHECK (cardinality(labels) = cardinality(starts)),
    state text NOT NULL,
    as_of timestamptz NOT NULL,
    public_url text NOT NULL,
    offer_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT offer_request UNIQUE (workspace_id, request_id)
);
CREATE INDEX offer_lead ON offer (workspace_id, lead_id, id);
-- How often each start was offered, over all leads.
CREATE TABLE offered_start (
    workspace_id uuid NOT NULL,
    start_time timestamptz NOT NULL,
    times integer NOT NULL,
    PRIMARY KEY (workspace_id, start_time)
);
-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['offer', 'offered_start']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- +goose StatementEnd

-- How many of the starts lie in the time that begins at a moment.
CREATE FUNCTION upcoming(starts timestamptz[], at timestamptz, span interval) RETURNS integer LANGUAGE sql STABLE AS
    'SELECT count(*)::integer FROM unnest(starts) AS s (start_time) WHERE s.start_time >= at AND s.start_time < at + span';

-- +goose Down
DROP FUNCTION upcoming;
DROP TABLE offered_start, offer;
