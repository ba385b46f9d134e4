-- +goose Up
-- What refusals mean, by layer, as {reason: {action, max, delay}} with durations in nanoseconds; and holds, which end by
-- an event or at their maximum.
ALTER TABLE settings ADD COLUMN refusals jsonb NOT NULL DEFAULT '{}';
ALTER TABLE sequence ADD COLUMN refusals jsonb NOT NULL DEFAULT '{}';
ALTER TABLE sequence_step ADD COLUMN refusals jsonb NOT NULL DEFAULT '{}';
ALTER TABLE enrollment
    ADD COLUMN wake_on    text NOT NULL DEFAULT '',
    ADD COLUMN hold_until timestamptz,
    ADD CONSTRAINT enrollment_hold_has_end CHECK (wake_on = '' OR hold_until IS NOT NULL);
CREATE INDEX enrollment_held ON enrollment (workspace_id, lead_id) WHERE wake_on <> '';
