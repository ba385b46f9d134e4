-- +goose Up
-- The most messages of all sequences to one lead on one channel in one day of the workspace's zone, and who has taken a
-- place of that day. A place is taken before the send is asked for, so that two runs cannot both take the last one.
ALTER TABLE settings ADD COLUMN daily_cap integer NOT NULL DEFAULT 1 CONSTRAINT daily_cap_in_range CHECK (daily_cap BETWEEN 1 AND 20);
CREATE TABLE daily_touch (
    workspace_id uuid NOT NULL,
    lead_id      uuid NOT NULL,
    channel      text NOT NULL CHECK (channel IN ('sms', 'email')),
    day          date NOT NULL,
    place        integer NOT NULL CHECK (place BETWEEN 1 AND 20),
    request_id   uuid NOT NULL,
    create_time  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, lead_id, channel, day, place),
    CONSTRAINT daily_touch_once UNIQUE (workspace_id, request_id)
);
CREATE INDEX daily_touch_age ON daily_touch (workspace_id, day);
ALTER TABLE daily_touch ENABLE ROW LEVEL SECURITY;
ALTER TABLE daily_touch FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON daily_touch USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
