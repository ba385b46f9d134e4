-- +goose Up
-- The one message that confirms an opt-out, and who lifted an opt-out or a block, when, and on what ground.
ALTER TABLE opt_out
    ADD COLUMN confirmation_id uuid,
    -- A principal, or "lead" for who asked by key word to be written to again; then lift_message_id is the message.
    ADD COLUMN lifted_by text NOT NULL DEFAULT '',
    ADD COLUMN lift_reason text NOT NULL DEFAULT '',
    ADD COLUMN lift_time timestamptz,
    ADD COLUMN lift_message_id uuid;
ALTER TABLE opt_out DROP CONSTRAINT opt_out_check1;
ALTER TABLE opt_out ADD CONSTRAINT opt_out_lift CHECK (state = 'ACTIVE' OR review = 'REVERSED'
    OR (lifted_by <> '' AND lift_time IS NOT NULL AND (lift_message_id IS NOT NULL OR (lifted_by <> 'lead' AND lift_reason <> ''))));
ALTER TABLE lead ADD COLUMN unblock_reason text NOT NULL DEFAULT '';
CREATE INDEX send_intent_confirmation ON send_intent (workspace_id, lead_id) WHERE purpose = 'opt_out_confirmation';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION lead_channel_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'OPTED_OUT' AND (TG_OP = 'DELETE' OR NEW.status <> 'OPTED_OUT') THEN
        IF TG_OP = 'DELETE' OR EXISTS (SELECT FROM opt_out o WHERE o.workspace_id = OLD.workspace_id AND o.lead_id = OLD.lead_id
                AND o.channel = OLD.channel AND o.state = 'ACTIVE')
            OR NOT EXISTS (SELECT FROM opt_out o WHERE o.workspace_id = OLD.workspace_id AND o.lead_id = OLD.lead_id
                AND o.channel = OLD.channel AND ((o.review = 'REVERSED' AND o.review_time = NEW.update_time)
                    OR (o.lifted_by <> '' AND o.lift_time = NEW.update_time))) THEN
            RAISE EXCEPTION 'an opt-out is lifted by a person only' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE OR REPLACE FUNCTION opt_out_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'opt-outs are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.lead_id <> OLD.lead_id OR NEW.channel <> OLD.channel OR NEW.address <> OLD.address OR NEW.source <> OLD.source
        OR NEW.opt_out_time <> OLD.opt_out_time OR NEW.message_id IS DISTINCT FROM OLD.message_id
        OR (OLD.confirmation_id IS NOT NULL AND NEW.confirmation_id IS DISTINCT FROM OLD.confirmation_id)
        OR (OLD.state = 'LIFTED' AND (NEW.state <> OLD.state OR NEW.review <> OLD.review OR NEW.reviewer <> OLD.reviewer
            OR NEW.lifted_by <> OLD.lifted_by OR NEW.lift_reason <> OLD.lift_reason OR NEW.lift_time IS DISTINCT FROM OLD.lift_time
            OR NEW.lift_message_id IS DISTINCT FROM OLD.lift_message_id)) THEN
        RAISE EXCEPTION 'the proof of an opt-out does not change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX send_intent_confirmation;
ALTER TABLE lead DROP COLUMN unblock_reason;
ALTER TABLE opt_out DROP CONSTRAINT opt_out_lift, DROP COLUMN confirmation_id, DROP COLUMN lifted_by, DROP COLUMN lift_reason,
    DROP COLUMN lift_time, DROP COLUMN lift_message_id;
