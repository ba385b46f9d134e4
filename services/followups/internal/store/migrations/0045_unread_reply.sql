-- +goose Up
-- Replies that were told while sync could not give their text: they stopped the sequences, and the date that they may name is
-- taken when the text can be read. A row is taken out in the transaction that acts on the date.
CREATE TABLE unread_reply (
    workspace_id uuid NOT NULL,
    event_id     uuid NOT NULL,
    lead_id      uuid NOT NULL,
    message      text NOT NULL,
    event_time   timestamptz NOT NULL,
    next_time    timestamptz NOT NULL,
    end_time     timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, event_id)
);
CREATE INDEX unread_reply_due ON unread_reply (next_time);
ALTER TABLE unread_reply ENABLE ROW LEVEL SECURITY;
ALTER TABLE unread_reply FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON unread_reply USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

-- +goose Down
DROP TABLE unread_reply;
