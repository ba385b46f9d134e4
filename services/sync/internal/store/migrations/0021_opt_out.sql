-- +goose Up
-- Opt-outs: the proof of each, what became of it, and by its address the list of numbers and addresses not to be written
-- to, whoever has them. Rows are never deleted.
CREATE TABLE opt_out (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    -- The number or address that the lead had; empty when none was known.
    address text NOT NULL DEFAULT '',
    source text NOT NULL CHECK (source IN ('inbound_text', 'provider_dnd', 'provider_refusal', 'unsubscribe', 'person', 'earlier')),
    -- The rule of the detector that read it, and the message it was read in.
    rule text NOT NULL DEFAULT '',
    message_id uuid,
    state text NOT NULL CHECK (state IN ('ACTIVE', 'LIFTED')),
    -- NONE: clear words. PENDING: unclear words, in force until a person looks.
    review text NOT NULL CHECK (review IN ('NONE', 'PENDING', 'CONFIRMED', 'REVERSED')),
    reviewer text NOT NULL DEFAULT '',
    review_note text NOT NULL DEFAULT '',
    review_time timestamptz,
    -- Whether the provider knows: its do-not-disturb flag was set and read back.
    push text NOT NULL CHECK (push IN ('PENDING', 'VERIFIED', 'FAILED', 'NOT_NEEDED')),
    push_error text NOT NULL DEFAULT '',
    push_time timestamptz,
    opt_out_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id),
    CHECK ((review IN ('CONFIRMED', 'REVERSED')) = (reviewer <> '')),
    CHECK (state = 'ACTIVE' OR review = 'REVERSED')
);
CREATE UNIQUE INDEX opt_out_active ON opt_out (workspace_id, lead_id, channel) WHERE state = 'ACTIVE';
CREATE INDEX opt_out_address ON opt_out (workspace_id, channel, address) WHERE state = 'ACTIVE' AND address <> '';
CREATE INDEX opt_out_list ON opt_out (workspace_id, id DESC);
CREATE INDEX opt_out_pending ON opt_out (workspace_id, id DESC) WHERE review = 'PENDING';
CREATE INDEX opt_out_push ON opt_out (id) WHERE push = 'PENDING';
ALTER TABLE opt_out ENABLE ROW LEVEL SECURITY;
ALTER TABLE opt_out FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON opt_out USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

-- Opt-outs from before this table. Their push is not needed: nobody can tell which came from the provider.
SELECT set_config('relance.scope', 'system', true);
INSERT INTO opt_out (workspace_id, id, lead_id, channel, address, source, state, review, push, opt_out_time, create_time)
SELECT c.workspace_id, gen_random_uuid(), c.lead_id, c.channel, coalesce(CASE c.channel WHEN 'sms' THEN l.phone ELSE l.email END, ''),
    'earlier', 'ACTIVE', 'NONE', 'NOT_NEEDED', c.update_time, c.update_time
FROM lead_channel c JOIN lead l ON l.workspace_id = c.workspace_id AND l.id = c.lead_id WHERE c.status = 'OPTED_OUT';

-- Who lifted a block, and when.
ALTER TABLE lead ADD COLUMN unblocked_by text NOT NULL DEFAULT '', ADD COLUMN unblock_time timestamptz;

-- What a program must not undo, also one that got it wrong: an opt-out or a block is lifted by a person on record only.
-- +goose StatementBegin
CREATE FUNCTION lead_channel_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'OPTED_OUT' AND (TG_OP = 'DELETE' OR NEW.status <> 'OPTED_OUT') THEN
        IF TG_OP = 'DELETE' OR EXISTS (SELECT FROM opt_out o WHERE o.workspace_id = OLD.workspace_id AND o.lead_id = OLD.lead_id
                AND o.channel = OLD.channel AND o.state = 'ACTIVE')
            OR NOT EXISTS (SELECT FROM opt_out o WHERE o.workspace_id = OLD.workspace_id AND o.lead_id = OLD.lead_id
                AND o.channel = OLD.channel AND o.review = 'REVERSED' AND o.review_time = NEW.update_time) THEN
            RAISE EXCEPTION 'an opt-out is lifted by a person only' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE FUNCTION lead_block_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.blocked AND NOT NEW.blocked AND (NEW.unblocked_by = '' OR NEW.unblock_time IS NOT DISTINCT FROM OLD.unblock_time) THEN
        RAISE EXCEPTION 'a block is lifted by a person only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION opt_out_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'opt-outs are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.lead_id <> OLD.lead_id OR NEW.channel <> OLD.channel OR NEW.address <> OLD.address OR NEW.source <> OLD.source
        OR NEW.opt_out_time <> OLD.opt_out_time OR NEW.message_id IS DISTINCT FROM OLD.message_id
        OR (OLD.state = 'LIFTED' AND (NEW.state <> OLD.state OR NEW.review <> OLD.review OR NEW.reviewer <> OLD.reviewer)) THEN
        RAISE EXCEPTION 'the proof of an opt-out does not change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER lead_channel_guard BEFORE UPDATE OR DELETE ON lead_channel FOR EACH ROW EXECUTE FUNCTION lead_channel_guard();
CREATE TRIGGER lead_block_guard BEFORE UPDATE ON lead FOR EACH ROW EXECUTE FUNCTION lead_block_guard();
CREATE TRIGGER opt_out_guard BEFORE UPDATE OR DELETE ON opt_out FOR EACH ROW EXECUTE FUNCTION opt_out_guard();

-- +goose Down
DROP TRIGGER lead_channel_guard ON lead_channel;
DROP TRIGGER lead_block_guard ON lead;
DROP FUNCTION lead_channel_guard, lead_block_guard;
ALTER TABLE lead DROP COLUMN unblocked_by, DROP COLUMN unblock_time;
DROP TABLE opt_out;
DROP FUNCTION opt_out_guard;
