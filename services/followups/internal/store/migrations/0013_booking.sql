-- +goose Up
-- Appointments of leads, by evidence of a provider. A lead with one that is ahead is not enrolled.
CREATE TABLE booking (
    workspace_id uuid NOT NULL,
    lead_id      uuid NOT NULL,
    booking_id   text NOT NULL CHECK (length(booking_id) BETWEEN 1 AND 200),
    state        text NOT NULL CONSTRAINT booking_state_known CHECK (state IN ('booked', 'cancelled')),
    booking_time timestamptz,
    event_time   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, lead_id, booking_id)
);
ALTER TABLE booking ENABLE ROW LEVEL SECURITY;
ALTER TABLE booking FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON booking USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
