-- +goose Up
-- What the reconciler keeps of a send (docs/send-protocol.md, §3.4). "Business" times are by the business clock, which the
-- provider's times share; all others by the database's, which measures the protocol's constants.
ALTER TABLE send_intent
    -- Business time of the first claim that may have left a message at the provider, and of the newest claim.
    ADD COLUMN claim_from timestamptz,
    ADD COLUMN claim_time timestamptz,
    -- Complete and failed looks since the newest claim; when the last was made and when the next is due.
    ADD COLUMN looks integer NOT NULL DEFAULT 0,
    ADD COLUMN failed_looks integer NOT NULL DEFAULT 0,
    ADD COLUMN look_time timestamptz,
    ADD COLUMN next_look timestamptz,
    -- The provider's newest word about delivery; ranks only rise.
    ADD COLUMN delivery text NOT NULL DEFAULT '',
    -- The provider shows more than one message of this send.
    ADD COLUMN duplicate_suspected boolean NOT NULL DEFAULT false,
    -- When the state was last changed, by the database's clock.
    ADD COLUMN state_time timestamptz NOT NULL DEFAULT now(),
    -- The parked send that a person planned again as this one.
    ADD COLUMN replaces uuid;
COMMENT ON COLUMN send_intent.ambiguous IS 'how often absence at the provider let it be sent again (T13): 0 or 1';

SELECT set_config('relance.scope', 'system', true);
UPDATE send_intent SET ambiguous = 0, claim_from = coalesce(intent_at, create_time), claim_time = coalesce(intent_at, create_time),
    next_look = CASE WHEN state = 'UNKNOWN' THEN now() END;

CREATE INDEX send_intent_look ON send_intent (next_look) WHERE next_look IS NOT NULL;
-- What waits for a person, newest first.
CREATE INDEX send_intent_parked ON send_intent (workspace_id, id DESC) WHERE state IN ('PARKED', 'UNKNOWN');
-- Sends that evidence may still settle.
CREATE INDEX send_intent_open ON send_intent (workspace_id, lead_id, channel) WHERE state IN ('SENDING', 'UNKNOWN', 'RETRYABLE', 'PARKED');

-- Every look and every piece of evidence, for the person who has to decide.
CREATE TABLE send_look (
    workspace_id uuid NOT NULL,
    intent_id uuid NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- list, claim (the look in the claim path), webhook, answer (a late answer to our own call), person.
    source text NOT NULL,
    -- Time since the claim.
    age_ms bigint NOT NULL,
    result text NOT NULL CHECK (result IN ('absent', 'found', 'several', 'different', 'failed')),
    -- The transition it led to, empty for none.
    rule text NOT NULL DEFAULT '',
    listed integer NOT NULL DEFAULT 0,
    -- Provider ids of the messages that are, or may be, the send.
    candidates text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, intent_id, at),
    FOREIGN KEY (workspace_id, intent_id) REFERENCES send_intent (workspace_id, id)
);
ALTER TABLE send_look ENABLE ROW LEVEL SECURITY;
ALTER TABLE send_look FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON send_look USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION send_intent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'send intents are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.attempt < OLD.attempt OR NEW.ambiguous < OLD.ambiguous OR NEW.request_id <> OLD.request_id OR NEW.lead_id <> OLD.lead_id
        OR NEW.channel <> OLD.channel OR NEW.content_enc <> OLD.content_enc THEN
        RAISE EXCEPTION 'send intent identity or fence moved back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.provider_message_id IS NOT NULL AND NEW.provider_message_id IS DISTINCT FROM OLD.provider_message_id THEN
        RAISE EXCEPTION 'a claimed provider message stays claimed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    NEW.state_time := now();
    IF (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'PLANNED>SENDING', 'PLANNED>SKIPPED', 'PLANNED>EXPIRED',
        'RETRYABLE>SENDING', 'RETRYABLE>SKIPPED', 'RETRYABLE>EXPIRED', 'RETRYABLE>ACCEPTED',
        'SENDING>ACCEPTED', 'SENDING>UNKNOWN', 'SENDING>REFUSED', 'SENDING>RETRYABLE', 'SENDING>PARKED',
        'UNKNOWN>ACCEPTED', 'UNKNOWN>REFUSED', 'UNKNOWN>RETRYABLE', 'UNKNOWN>PARKED',
        'ACCEPTED>DELIVERED', 'ACCEPTED>FAILED_AFTER_ACCEPT']) THEN
        RETURN NEW;
    END IF;
    IF OLD.state = 'PARKED' AND OLD.reason IN ('SEND_AMBIGUOUS', 'SEND_NEEDS_EYES') AND NEW.state = 'ACCEPTED' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'send intent may not move from % to %', OLD.state, NEW.state USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE FUNCTION send_look_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'looks are append only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER send_look_guard BEFORE UPDATE OR DELETE ON send_look FOR EACH ROW EXECUTE FUNCTION send_look_guard();
