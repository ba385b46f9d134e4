-- +goose Up
-- Where a lead may be (docs/compliance.md): the address as told, and the evidence behind time_zone.
ALTER TABLE lead
    ADD COLUMN state text NOT NULL DEFAULT '',
    ADD COLUMN country text NOT NULL DEFAULT '',
    ADD COLUMN time_zone_source text NOT NULL DEFAULT ''
        CHECK (time_zone_source IN ('', 'person', 'provider', 'state', 'area_code', 'country'));
SELECT set_config('relance.scope', 'system', true);
UPDATE lead SET time_zone_source = 'provider' WHERE time_zone <> '';

-- What the workspace asks for beyond the law: hours and caps by channel (legal.Policy), and the words of the one message
-- that confirms an opt-out, empty for none.
ALTER TABLE workspace
    ADD COLUMN contact_policy jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN opt_out_confirmation text NOT NULL DEFAULT '';

-- Why a message is sent; some rules let some purposes off.
ALTER TABLE send_intent ADD COLUMN purpose text NOT NULL DEFAULT 'follow_up'
    CHECK (purpose IN ('follow_up', 'reply', 'manual', 'opt_out_confirmation'));
-- Sends of the last day, for the caps.
CREATE INDEX send_intent_claimed ON send_intent (workspace_id, lead_id, channel, claim_time DESC) WHERE claim_time IS NOT NULL;

-- +goose Down
DROP INDEX send_intent_claimed;
ALTER TABLE send_intent DROP COLUMN purpose;
ALTER TABLE workspace DROP COLUMN contact_policy, DROP COLUMN opt_out_confirmation;
ALTER TABLE lead DROP COLUMN state, DROP COLUMN country, DROP COLUMN time_zone_source;
