-- +goose Up
-- A reading of all lists of a conversation that is too long for one run: what it has seen so far, so that the next run goes on with
-- it and the certificate is over the whole. Short conversations have none. Its times are business time.
CREATE TABLE history_walk (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    -- Who adds to it: a run that takes it over gives it a new one, and the run before adds nothing more.
    id uuid NOT NULL,
    -- What is read: with another contact, or other conversations, what was seen proves nothing.
    contact text NOT NULL,
    conversations text[] NOT NULL,
    begin_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, lead_id, channel),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX history_walk_age ON history_walk (begin_time);

CREATE TABLE history_walk_part (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL,
    part integer NOT NULL,
    -- The place behind what the part has seen, and the conversation's revision when that was stored.
    place text NOT NULL,
    revision bigint NOT NULL,
    -- The messages that were listed, packed; their ids, directions, times and hashes, no texts.
    listed bytea NOT NULL,
    PRIMARY KEY (workspace_id, lead_id, channel, part),
    FOREIGN KEY (workspace_id, lead_id, channel) REFERENCES history_walk ON DELETE CASCADE
);
ALTER TABLE history_walk_part ALTER COLUMN listed SET STORAGE EXTERNAL; -- ids and hashes do not compress

ALTER TABLE history_walk ENABLE ROW LEVEL SECURITY;
ALTER TABLE history_walk FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON history_walk USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
ALTER TABLE history_walk_part ENABLE ROW LEVEL SECURITY;
ALTER TABLE history_walk_part FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON history_walk_part USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

-- +goose Down
DROP TABLE history_walk_part, history_walk;
