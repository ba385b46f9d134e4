-- +goose Up
-- Telling the provider of an opt-out: what was tried, when it is tried next, and when the provider's switch was read back.
-- WITHDRAWING and WITHDRAWN: the opt-out was lifted, and our own switch at the provider is taken back.
ALTER TABLE opt_out
    DROP CONSTRAINT opt_out_push_check,
    ADD CONSTRAINT opt_out_push_check CHECK (push IN ('PENDING', 'VERIFIED', 'FAILED', 'NOT_NEEDED', 'WITHDRAWING', 'WITHDRAWN')),
    ADD COLUMN push_attempt integer NOT NULL DEFAULT 0,
    -- Attempts in a row that the provider answered with a definite no.
    ADD COLUMN push_refusals integer NOT NULL DEFAULT 0,
    -- NULL while nothing is to be done: settled, or the lead has no contact at the provider.
    ADD COLUMN push_next_time timestamptz,
    ADD COLUMN confirm_time timestamptz;
SELECT set_config('relance.scope', 'system', true);
UPDATE opt_out o SET push_next_time = o.create_time FROM lead l
WHERE o.push = 'PENDING' AND l.workspace_id = o.workspace_id AND l.id = o.lead_id AND l.ghl_contact_id IS NOT NULL;
DROP INDEX opt_out_push;
CREATE INDEX opt_out_push ON opt_out (push_next_time) WHERE push_next_time IS NOT NULL;
-- Of a lead: what waits for its contact.
CREATE INDEX opt_out_lead ON opt_out (workspace_id, lead_id);

-- The provider keeps the lead's messages from us (GoHighLevel's inbound do-not-disturb): since when, and how that was learned.
ALTER TABLE lead
    ADD COLUMN inbound_dnd_time timestamptz,
    ADD COLUMN inbound_dnd_source text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE lead DROP COLUMN inbound_dnd_time, DROP COLUMN inbound_dnd_source;
DROP INDEX opt_out_push, opt_out_lead;
SELECT set_config('relance.scope', 'system', true);
UPDATE opt_out SET push = 'NOT_NEEDED' WHERE push IN ('WITHDRAWING', 'WITHDRAWN');
ALTER TABLE opt_out
    DROP CONSTRAINT opt_out_push_check,
    ADD CONSTRAINT opt_out_push_check CHECK (push IN ('PENDING', 'VERIFIED', 'FAILED', 'NOT_NEEDED')),
    DROP COLUMN push_attempt, DROP COLUMN push_refusals, DROP COLUMN push_next_time, DROP COLUMN confirm_time;
CREATE INDEX opt_out_push ON opt_out (id) WHERE push = 'PENDING';
