-- +goose Up
-- The emails that can be answered through the sender that brought them, with what that takes (sealed: it holds addresses).
CREATE TABLE reply_target (
    workspace_id uuid NOT NULL,
    message_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('emailbison', 'smartlead', 'instantly')),
    target_enc bytea NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, message_id),
    FOREIGN KEY (workspace_id, message_id) REFERENCES message (workspace_id, id) ON DELETE CASCADE
);
ALTER TABLE reply_target ENABLE ROW LEVEL SECURITY;
ALTER TABLE reply_target FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reply_target USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

-- Who sends, and which message is answered. Both are fixed when the send is planned: an answer that got lost is looked for where
-- it was sent.
ALTER TABLE send_intent
    ADD COLUMN provider text NOT NULL DEFAULT 'ghl' CHECK (provider IN ('ghl', 'emailbison', 'smartlead', 'instantly')),
    ADD COLUMN reply_to uuid,
    ADD CONSTRAINT send_intent_reply CHECK ((provider = 'ghl') = (reply_to IS NULL));

-- +goose Down
ALTER TABLE send_intent DROP COLUMN provider, DROP COLUMN reply_to;
DROP TABLE reply_target;
