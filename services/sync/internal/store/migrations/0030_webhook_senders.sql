-- +goose Up
-- Senders beside GoHighLevel, and secrets by sender with an end.
ALTER TABLE webhook_secret
    ADD COLUMN source text NOT NULL DEFAULT 'workflow'
        CHECK (source IN ('workflow', 'emailbison', 'smartlead', 'instantly', 'calendly')),
    -- token: presented as it is, only the digest is kept. signing_key: signs bodies, kept encrypted too.
    ADD COLUMN purpose text NOT NULL DEFAULT 'token' CHECK (purpose IN ('token', 'signing_key')),
    ADD COLUMN key_enc bytea,
    -- Valid before this time; null for no end.
    ADD COLUMN end_time timestamptz,
    ADD CONSTRAINT webhook_secret_key CHECK ((purpose = 'signing_key') = (key_enc IS NOT NULL));
SELECT set_config('relance.scope', 'system', true);
UPDATE webhook_secret SET end_time = create_time WHERE NOT active;
ALTER TABLE webhook_secret DROP COLUMN active;
-- One signing key may serve many workspaces (an OAuth app's); a token names one.
ALTER TABLE webhook_secret DROP CONSTRAINT webhook_secret_digest_key;
CREATE UNIQUE INDEX webhook_secret_token ON webhook_secret (digest) WHERE purpose = 'token';
DROP INDEX webhook_secret_workspace;
CREATE INDEX webhook_secret_workspace ON webhook_secret (workspace_id, source, purpose, id DESC);

ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_source_check;
ALTER TABLE webhook_inbox
    ADD CONSTRAINT webhook_inbox_source_check
        CHECK (source IN ('marketplace', 'workflow', 'emailbison', 'smartlead', 'instantly', 'calendly', 'poller')),
    -- The same delivery again.
    ADD COLUMN repeats integer NOT NULL DEFAULT 0,
    ADD COLUMN replays integer NOT NULL DEFAULT 0,
    -- When its lost job was last looked for.
    ADD COLUMN sweep_time timestamptz;
-- What waits, is stuck or has no workspace is little beside what is done.
CREATE INDEX webhook_inbox_open ON webhook_inbox (state, workspace_id, id) WHERE state IN ('PENDING', 'UNROUTED', 'PARKED');

-- +goose Down
DROP INDEX webhook_inbox_open;
ALTER TABLE webhook_inbox DROP COLUMN repeats, DROP COLUMN replays, DROP COLUMN sweep_time;
ALTER TABLE webhook_secret ADD COLUMN active boolean NOT NULL DEFAULT true;
DROP INDEX webhook_secret_token;
ALTER TABLE webhook_secret DROP CONSTRAINT webhook_secret_key, DROP COLUMN source, DROP COLUMN purpose, DROP COLUMN key_enc, DROP COLUMN end_time;
