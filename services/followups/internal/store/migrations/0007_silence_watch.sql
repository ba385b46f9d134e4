-- +goose Up
-- Leads whose silence would start a sequence, and when. A row is taken out in the transaction that enrolls the lead, so
-- that each silence starts a sequence once.
CREATE TABLE silence_watch (
    workspace_id uuid NOT NULL,
    lead_id      uuid NOT NULL,
    sequence_id  uuid NOT NULL,
    since        timestamptz NOT NULL,
    due_time     timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, lead_id, sequence_id),
    FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequence (workspace_id, id),
    CONSTRAINT silence_lasts CHECK (due_time > since)
);
CREATE INDEX silence_watch_due ON silence_watch (due_time);
ALTER TABLE silence_watch ENABLE ROW LEVEL SECURITY;
ALTER TABLE silence_watch FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON silence_watch USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);

ALTER TABLE sequence
    DROP CONSTRAINT trigger_has_minutes,
    ADD CONSTRAINT trigger_has_minutes CHECK ((trigger IN ('no_response', 'reactivation')) = (trigger_minutes > 0));
CREATE INDEX lead_event_of_lead ON lead_event (workspace_id, lead_id, type);
