-- +goose Up
-- Channels that are switched off for the workspace, how long an answered lead may stay silent before its sequences go on, and
-- sequences that a reply does not pause.
ALTER TABLE settings
    ADD COLUMN paused_channels text[] NOT NULL DEFAULT '{}'
        CONSTRAINT paused_channels_known CHECK (paused_channels <@ ARRAY['sms', 'email', 'linkedin', 'call']),
    ADD COLUMN ghost_days integer NOT NULL DEFAULT 7 CONSTRAINT ghost_days_in_range CHECK (ghost_days BETWEEN 1 AND 90);
ALTER TABLE sequence ADD COLUMN continue_on_reply boolean NOT NULL DEFAULT false;
