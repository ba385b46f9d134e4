-- +goose Up
-- The inbox is its own queue: what waits is taken from it, and no job stands beside a stored webhook.
ALTER TABLE webhook_inbox
    -- When a waiting event may be taken next; for one that is processed alone also the end of its lease. By the database's clock.
    ADD COLUMN next_time timestamptz NOT NULL DEFAULT now(),
    -- Since when it waits; a replay begins anew.
    ADD COLUMN queue_time timestamptz NOT NULL DEFAULT now(),
    -- It needs the provider, or failed in a commit with others.
    ADD COLUMN alone boolean NOT NULL DEFAULT false,
    -- How often it was begun alone.
    ADD COLUMN attempt integer NOT NULL DEFAULT 0;
CREATE INDEX webhook_inbox_due ON webhook_inbox (workspace_id, alone, next_time, id) WHERE state = 'PENDING';
CREATE INDEX webhook_inbox_stuck ON webhook_inbox (state, workspace_id, id) WHERE state IN ('UNROUTED', 'PARKED');
DROP INDEX webhook_inbox_open;

-- +goose Down
CREATE INDEX webhook_inbox_open ON webhook_inbox (state, workspace_id, id) WHERE state IN ('PENDING', 'UNROUTED', 'PARKED');
DROP INDEX webhook_inbox_stuck;
DROP INDEX webhook_inbox_due;
ALTER TABLE webhook_inbox DROP COLUMN next_time, DROP COLUMN queue_time, DROP COLUMN alone, DROP COLUMN attempt;
