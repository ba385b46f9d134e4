-- +goose Up
-- Bodies of processed webhooks are dropped after a while. The row stays: its key is what tells a late delivery from a new one.
ALTER TABLE webhook_inbox ALTER COLUMN body_enc DROP NOT NULL;
-- What is not done yet, or may be replayed, always has its body. Rows from before hold this already, so they need no scan.
ALTER TABLE webhook_inbox ADD CONSTRAINT webhook_inbox_body CHECK (body_enc IS NOT NULL OR state = 'PROCESSED') NOT VALID;
CREATE INDEX webhook_inbox_droppable ON webhook_inbox (process_time) WHERE state = 'PROCESSED' AND body_enc IS NOT NULL;

-- +goose Down
DROP INDEX webhook_inbox_droppable;
ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_body;
UPDATE webhook_inbox SET body_enc = '' WHERE body_enc IS NULL;
ALTER TABLE webhook_inbox ALTER COLUMN body_enc SET NOT NULL;
