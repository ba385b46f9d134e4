-- +goose Up
-- The messages that one statement adds to a conversation are one change: a page of history is one row, where each of its messages
-- had a row that was written, numbered and dropped again.
ALTER TABLE conversation_change ADD COLUMN more uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN conversation_change.more IS 'Further messages of the same change, after message_id, in their order.';

-- That a message's lead is there is held by its conversation, whose row this trigger makes with a foreign key of its own: one look
-- for each statement, where there was one for each message.
ALTER TABLE message DROP CONSTRAINT message_workspace_id_lead_id_fkey;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION message_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO conversation AS c (workspace_id, lead_id, channel, revision, next_time)
    SELECT workspace_id, lead_id, channel, count(*), max(create_time) FROM changed
    GROUP BY workspace_id, lead_id, channel ORDER BY workspace_id, lead_id, channel
    ON CONFLICT (workspace_id, lead_id, channel) DO UPDATE SET revision = c.revision + excluded.revision,
        next_time = least(c.next_time, coalesce(c.check_time + interval '15 minutes', c.next_time));
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, more, kind)
    SELECT workspace_id, lead_id, channel, ids[1], ids[2:], 'MESSAGE_ADDED'
    FROM (SELECT workspace_id, lead_id, channel, array_agg(id ORDER BY message_time, id) AS ids, min(message_time) AS since FROM changed
        GROUP BY workspace_id, lead_id, channel) n
    ORDER BY since, ids[1];
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION message_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE ids uuid[];
BEGIN
    ids := ARRAY(SELECT n.id FROM changed n JOIN was o ON o.workspace_id = n.workspace_id AND o.id = n.id
        WHERE (n.provider_message_id, n.body_hash, n.message_time, n.lead_id, n.channel)
            IS DISTINCT FROM (o.provider_message_id, o.body_hash, o.message_time, o.lead_id, o.channel));
    IF cardinality(ids) = 0 THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM changed n JOIN was o ON o.workspace_id = n.workspace_id AND o.id = n.id
        WHERE n.id = ANY (ids) AND (n.lead_id, n.channel) IS DISTINCT FROM (o.lead_id, o.channel)) THEN
        RAISE EXCEPTION 'a message stays in its conversation' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    UPDATE conversation c SET revision = c.revision + 1,
        next_time = least(c.next_time, coalesce(c.check_time + interval '15 minutes', c.next_time))
    FROM (SELECT DISTINCT workspace_id, lead_id, channel FROM changed WHERE id = ANY (ids)) t
    WHERE c.workspace_id = t.workspace_id AND c.lead_id = t.lead_id AND c.channel = t.channel;
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
    SELECT workspace_id, lead_id, channel, id, 'MESSAGE_CHANGED' FROM changed WHERE id = ANY (ids) ORDER BY message_time, id;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION message_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO conversation AS c (workspace_id, lead_id, channel, revision, next_time)
    SELECT workspace_id, lead_id, channel, count(*), max(create_time) FROM changed
    GROUP BY workspace_id, lead_id, channel ORDER BY workspace_id, lead_id, channel
    ON CONFLICT (workspace_id, lead_id, channel) DO UPDATE SET revision = c.revision + excluded.revision,
        next_time = least(c.next_time, coalesce(c.check_time + interval '15 minutes', c.next_time));
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
    SELECT workspace_id, lead_id, channel, id, 'MESSAGE_ADDED' FROM changed ORDER BY message_time, id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
ALTER TABLE message ADD CONSTRAINT message_workspace_id_lead_id_fkey FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id);
ALTER TABLE conversation_change DROP COLUMN more;
