-- +goose Up
-- Why each step was or was not sent: the rules that were asked, what they looked at, what they said. Written in the commit
-- of the outcome. A decision that repeats (deferred again for the same reason) keeps its row and counts, so that the table
-- grows with what happens and not with how often one looks.
CREATE TABLE decision (
    workspace_id     uuid NOT NULL,
    enrollment_id    uuid NOT NULL,
    sequence_version integer NOT NULL,
    position         integer NOT NULL,
    part             integer NOT NULL,
    move             text NOT NULL,
    reason           text NOT NULL,
    outcome          text NOT NULL,
    run_id           uuid,
    until_time       timestamptz,
    message          text NOT NULL,
    checks           jsonb NOT NULL,
    times            integer NOT NULL DEFAULT 1,
    first_time       timestamptz NOT NULL,
    last_time        timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, enrollment_id, sequence_version, position, part, move, reason),
    FOREIGN KEY (workspace_id, enrollment_id) REFERENCES enrollment (workspace_id, id)
);
-- For the policy that removes old ones.
CREATE INDEX decision_by_age ON decision (last_time);
ALTER TABLE decision ENABLE ROW LEVEL SECURITY;
ALTER TABLE decision FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON decision USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
