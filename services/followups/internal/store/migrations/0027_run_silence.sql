-- +goose Up
-- What a run found of leads that did not answer: the watches that came to their end, by what became of them. A row is
-- counted in the transaction that takes the watch out, so a run that is killed and goes on counts each once.
CREATE TABLE run_silence (
    run_id       uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    workspace_id uuid NOT NULL,
    outcome      text NOT NULL CONSTRAINT run_silence_outcome_known
                 CHECK (outcome IN ('enrolled', 'already_running', 're_enroll_rule', 'meeting_booked', 'sequence_inactive')),
    watches      integer NOT NULL CONSTRAINT run_silence_counts CHECK (watches > 0),
    PRIMARY KEY (run_id, workspace_id, outcome)
);
ALTER TABLE run_silence ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_silence FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON run_silence USING (current_setting('relance.scope', true) = 'system'
    OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
-- Whether any active sequence waited for silence when the run ended; the receipt keeps what it said.
ALTER TABLE run ADD COLUMN silence_enabled boolean NOT NULL DEFAULT false;
