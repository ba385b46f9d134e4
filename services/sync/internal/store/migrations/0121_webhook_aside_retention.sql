-- +goose Up
-- Bodies of webhooks that nobody acted on (IGNORED, UNROUTED) are dropped after a while too. The row stays, with the SHA-256 of what
-- was dropped, so that it can still be shown what came.
ALTER TABLE webhook_inbox ADD COLUMN body_sha256 bytea CHECK (octet_length(body_sha256) = 32);
ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_body;
-- What is not done yet, or waits for a person, always has its body. Rows from before hold this already, so they need no scan.
ALTER TABLE webhook_inbox ADD CONSTRAINT webhook_inbox_body CHECK (body_enc IS NOT NULL OR state IN ('PROCESSED', 'IGNORED', 'UNROUTED')) NOT VALID;
CREATE INDEX webhook_inbox_aside ON webhook_inbox (process_time) WHERE state IN ('IGNORED', 'UNROUTED') AND body_enc IS NOT NULL;

-- +goose Down
DROP INDEX webhook_inbox_aside;
ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_body;
SELECT set_config('relance.scope', 'system', true);
UPDATE webhook_inbox SET body_enc = '' WHERE body_enc IS NULL AND state IN ('IGNORED', 'UNROUTED');
ALTER TABLE webhook_inbox ADD CONSTRAINT webhook_inbox_body CHECK (body_enc IS NOT NULL OR state = 'PROCESSED') NOT VALID;
ALTER TABLE webhook_inbox DROP COLUMN body_sha256;
