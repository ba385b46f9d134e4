-- +goose Up
-- What the watch asks each minute is found without reading the settled sends.
CREATE INDEX send_intent_unknown ON send_intent (intent_at) WHERE state = 'UNKNOWN';
CREATE INDEX message_own ON message (workspace_id) WHERE origin = 'OWN';
