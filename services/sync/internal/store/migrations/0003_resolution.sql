-- +goose Up
-- The workspace's policy for sends with an unknown outcome.
ALTER TABLE workspace ADD COLUMN unknown_policy text NOT NULL DEFAULT 'resend' CHECK (unknown_policy IN ('resend', 'hold'));

-- What a person decided about a parked send: once per send.
CREATE TABLE send_resolution (
    workspace_id uuid NOT NULL,
    intent_id uuid NOT NULL,
    request_id uuid NOT NULL,
    action text NOT NULL CHECK (action IN ('ACCEPTED', 'NOT_SENT', 'SEND_AGAIN')),
    provider_message_id text NOT NULL DEFAULT '',
    -- The send that SEND_AGAIN planned.
    new_intent_id uuid,
    -- Who decided, as the principal's text.
    principal text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, intent_id),
    CONSTRAINT send_resolution_request UNIQUE (workspace_id, request_id),
    FOREIGN KEY (workspace_id, intent_id) REFERENCES send_intent (workspace_id, id)
);
ALTER TABLE send_resolution ENABLE ROW LEVEL SECURITY;
ALTER TABLE send_resolution FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON send_resolution USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

-- The list of what is not settled.
DROP INDEX send_intent_parked;
CREATE INDEX send_intent_unsettled ON send_intent (workspace_id, id DESC) WHERE state IN ('SENDING', 'UNKNOWN', 'RETRYABLE', 'PARKED');
