-- +goose Up
-- What was said with a lead on a channel: when it is compared with the provider next, and what the last comparison showed.
CREATE TABLE conversation (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    -- Raised by every change of what is stored. A certificate holds for one revision.
    revision bigint NOT NULL DEFAULT 0,
    -- Business time of the next comparison; the lease is by the database clock.
    next_time timestamptz NOT NULL,
    lease_until timestamptz,
    failures integer NOT NULL DEFAULT 0,
    last_reason text NOT NULL DEFAULT '',
    -- The certificate: null until the first whole comparison.
    check_time timestamptz,
    proven_time timestamptz,
    proven_revision bigint,
    listed_count integer NOT NULL DEFAULT 0,
    stored_count integer NOT NULL DEFAULT 0,
    listed_hash bytea NOT NULL DEFAULT '',
    stored_hash bytea NOT NULL DEFAULT '',
    -- Provider ids, at most 100 each.
    missing text[] NOT NULL DEFAULT '{}',
    extra text[] NOT NULL DEFAULT '{}',
    altered text[] NOT NULL DEFAULT '{}',
    difference_count integer NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, lead_id, channel),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id),
    CONSTRAINT conversation_proof CHECK (proven_revision IS NULL
        OR (difference_count = 0 AND listed_count = stored_count AND listed_hash = stored_hash))
);
CREATE INDEX conversation_due ON conversation (workspace_id, next_time);

-- The provider gave a message a new id; the old one stays known.
CREATE TABLE former_message (
    workspace_id uuid NOT NULL,
    provider_message_id text NOT NULL,
    message_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, provider_message_id)
);

-- Changes of conversations. seq is drawn under the conversation's row lock, so that it follows the commits of one
-- conversation. position is given after the commit, one writer at a time: readers see positions appear in order.
CREATE TABLE conversation_change (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position bigint,
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL,
    message_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('MESSAGE_ADDED', 'MESSAGE_CHANGED', 'MESSAGE_REMOVED', 'MESSAGE_STATE', 'MESSAGE_VERDICT')),
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversation_change_waiting ON conversation_change (seq) WHERE position IS NULL;
CREATE UNIQUE INDEX conversation_change_position ON conversation_change (position) WHERE position IS NOT NULL;
CREATE INDEX conversation_change_read ON conversation_change (workspace_id, position) WHERE position IS NOT NULL;

-- The last position given, and the last one that is not kept any more. One row.
CREATE TABLE change_position (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0 CHECK (floor <= last)
);
INSERT INTO change_position DEFAULT VALUES;

-- What a classifier outside said of a message.
CREATE TABLE message_verdict (
    workspace_id uuid NOT NULL,
    message_id uuid NOT NULL,
    verdict text NOT NULL,
    classifier text NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, message_id),
    FOREIGN KEY (workspace_id, message_id) REFERENCES message (workspace_id, id) ON DELETE CASCADE
);

-- Receipts of SyncDueConversations.
CREATE TABLE sync_run (
    id uuid PRIMARY KEY,
    checked integer NOT NULL DEFAULT 0,
    proven integer NOT NULL DEFAULT 0,
    unproven integer NOT NULL DEFAULT 0,
    deferred integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    imported integer NOT NULL DEFAULT 0,
    healed integer NOT NULL DEFAULT 0,
    finished boolean NOT NULL DEFAULT false,
    start_time timestamptz NOT NULL,
    end_time timestamptz,
    CONSTRAINT sync_run_adds_up CHECK (checked = proven + unproven + deferred + failed)
);

-- Every way in and out of the timeline raises the revision and leaves a change, whichever code wrote it.
-- +goose StatementBegin
CREATE FUNCTION message_added() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE FUNCTION conversations_touch(workspaces uuid[], leads uuid[], channels text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE conversation c SET revision = c.revision + 1,
        next_time = least(c.next_time, coalesce(c.check_time + interval '15 minutes', c.next_time))
    FROM (SELECT DISTINCT w, l, ch FROM unnest(workspaces, leads, channels) AS u (w, l, ch)) t
    WHERE c.workspace_id = t.w AND c.lead_id = t.l AND c.channel = t.ch;
$$;
CREATE FUNCTION message_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE ids uuid[];
BEGIN
    ids := ARRAY(SELECT n.id FROM changed n JOIN was o ON o.workspace_id = n.workspace_id AND o.id = n.id
        WHERE (n.provider_message_id, n.body_hash, n.message_time, n.lead_id) IS DISTINCT FROM (o.provider_message_id, o.body_hash, o.message_time, o.lead_id));
    IF cardinality(ids) = 0 THEN
        RETURN NULL;
    END IF;
    PERFORM conversations_touch(array_agg(workspace_id), array_agg(lead_id), array_agg(channel)) FROM changed WHERE id = ANY (ids);
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
    SELECT workspace_id, lead_id, channel, id, 'MESSAGE_CHANGED' FROM changed WHERE id = ANY (ids) ORDER BY message_time, id;
    RETURN NULL;
END $$;
CREATE FUNCTION message_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM was) THEN
        RETURN NULL;
    END IF;
    PERFORM conversations_touch(array_agg(workspace_id), array_agg(lead_id), array_agg(channel)) FROM was;
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
    SELECT workspace_id, lead_id, channel, id, 'MESSAGE_REMOVED' FROM was ORDER BY message_time, id;
    RETURN NULL;
END $$;
-- A send that came to its end without the provider's id, or whose delivery went on. Its acceptance shows by the id.
CREATE FUNCTION intent_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM conversation WHERE workspace_id = NEW.workspace_id AND lead_id = NEW.lead_id AND channel = NEW.channel FOR UPDATE;
    INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
    VALUES (NEW.workspace_id, NEW.lead_id, NEW.channel, NEW.id, 'MESSAGE_STATE');
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER message_added AFTER INSERT ON message REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION message_added();
CREATE TRIGGER message_changed AFTER UPDATE ON message REFERENCING NEW TABLE AS changed OLD TABLE AS was FOR EACH STATEMENT EXECUTE FUNCTION message_changed();
CREATE TRIGGER message_removed AFTER DELETE ON message REFERENCING OLD TABLE AS was FOR EACH STATEMENT EXECUTE FUNCTION message_removed();
CREATE TRIGGER intent_moved AFTER UPDATE ON send_intent FOR EACH ROW
    WHEN ((NEW.state <> OLD.state AND NEW.state NOT IN ('SENDING', 'ACCEPTED')) OR NEW.delivery IS DISTINCT FROM OLD.delivery)
    EXECUTE FUNCTION intent_moved();

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    PERFORM set_config('relance.scope', 'system', true);
    INSERT INTO conversation (workspace_id, lead_id, channel, revision, next_time)
        SELECT workspace_id, lead_id, channel, count(*), now() FROM message GROUP BY 1, 2, 3;
    FOREACH t IN ARRAY ARRAY['conversation', 'former_message', 'conversation_change', 'message_verdict']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER intent_moved ON send_intent;
DROP TRIGGER message_added ON message;
DROP TRIGGER message_changed ON message;
DROP TRIGGER message_removed ON message;
DROP FUNCTION intent_moved, message_added, message_changed, message_removed, conversations_touch;
DROP TABLE sync_run, message_verdict, change_position, conversation_change, former_message, conversation;
