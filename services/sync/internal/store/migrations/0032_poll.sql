-- +goose Up
-- The poller's place in each location: all before cursor_time has been compared with the provider.
CREATE TABLE poll_state (
    workspace_id uuid PRIMARY KEY REFERENCES workspace (id),
    location text NOT NULL,
    cursor_time timestamptz NOT NULL,
    -- Business time of the next poll; also the lease of a poll under way.
    next_time timestamptz NOT NULL,
    -- Span that the next poll reads at most; halved while a span holds more than one poll may read.
    span_seconds integer NOT NULL,
    last_time timestamptz,
    last_error text NOT NULL DEFAULT '',
    -- Reads since the breaker was last closed.
    reads integer NOT NULL DEFAULT 0,
    failed_reads integer NOT NULL DEFAULT 0,
    breaker_time timestamptz,
    breaker_count integer NOT NULL DEFAULT 0,
    -- Found since the newest webhook.
    found_unheard integer NOT NULL DEFAULT 0,
    silent_time timestamptz
);
CREATE INDEX poll_state_due ON poll_state (next_time);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['poll_state']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE poll_state;
