-- +goose Up
-- The same effects as before, by statements whose plans are kept: a function in SQL is planned again at each call.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION message_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE ids uuid[];
BEGIN
    ids := ARRAY(SELECT n.id FROM changed n JOIN was o ON o.workspace_id = n.workspace_id AND o.id = n.id
        WHERE (n.provider_message_id, n.body_hash, n.message_time, n.lead_id) IS DISTINCT FROM (o.provider_message_id, o.body_hash, o.message_time, o.lead_id));
    IF cardinality(ids) = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE conversation c SET revision = c.revision + 1,
        next_time = least(c.next_time, coalesce(c.check_time + interval '15 minutes', c.next_time))
    FROM (SELECT DISTINCT workspace_id, lead_id, channel FROM changed WHERE id = ANY (ids)) t
    WHERE c.workspace_id = t.workspace_id AND c.lead_id = t.lead_id AND c.channel = t.channel;
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
    SELECT workspace_id, lead_id, channel, id, 'MESSAGE_CHANGED' FROM changed WHERE id = ANY (ids) ORDER BY message_time, id;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION message_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM was) THEN
        RETURN NULL;
    END IF;
    UPDATE conversation c SET revision = c.revision + 1,
        next_time = least(c.next_time, coalesce(c.check_time + interval '15 minutes', c.next_time))
    FROM (SELECT DISTINCT workspace_id, lead_id, channel FROM was) t
    WHERE c.workspace_id = t.workspace_id AND c.lead_id = t.lead_id AND c.channel = t.channel;
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
    SELECT workspace_id, lead_id, channel, id, 'MESSAGE_REMOVED' FROM was ORDER BY message_time, id;
    RETURN NULL;
END $$;
DROP FUNCTION conversations_touch;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE FUNCTION conversations_touch(workspaces uuid[], leads uuid[], channels text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE conversation c SET revision = c.revision + 1,
        next_time = least(c.next_time, coalesce(c.check_time + interval '15 minutes', c.next_time))
    FROM (SELECT DISTINCT w, l, ch FROM unnest(workspaces, leads, channels) AS u (w, l, ch)) t
    WHERE c.workspace_id = t.w AND c.lead_id = t.l AND c.channel = t.ch;
$$;
-- +goose StatementEnd
