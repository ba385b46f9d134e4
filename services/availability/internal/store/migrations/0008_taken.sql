-- +goose Up
-- Times that appointments take, as far as sync knows them: what was read from a calendar before such an appointment was known says
-- nothing of it. Rows end with their time.
CREATE TABLE taken_time (
    workspace_id uuid NOT NULL,
    provider text NOT NULL,
    -- The provider's calendar or event type; empty when the provider did not tell, which takes the time on every calendar.
    calendar text NOT NULL,
    -- The provider's id of the appointment.
    appointment text NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    -- Business time at which it was learnt.
    taken_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, provider, appointment)
);
CREATE INDEX taken_time_learnt ON taken_time (workspace_id, provider, taken_time);
CREATE INDEX taken_time_end ON taken_time (end_time);
ALTER TABLE taken_time ENABLE ROW LEVEL SECURITY;
ALTER TABLE taken_time FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON taken_time USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
-- Whoever keeps slots in memory hears of it.
CREATE TRIGGER taken_time_change AFTER INSERT OR UPDATE OR DELETE ON taken_time FOR EACH ROW EXECUTE FUNCTION notify_change();

-- Where the reading of sync's feed stands: one row.
CREATE TABLE taken_feed (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    cursor text NOT NULL DEFAULT ''
);
INSERT INTO taken_feed DEFAULT VALUES;

-- +goose Down
DROP TABLE taken_feed, taken_time;
