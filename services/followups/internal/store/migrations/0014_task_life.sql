-- +goose Up
-- Tasks that are not a step: an appointment to be made anew, a follow-up at a date that a person set, a question about the
-- date. Who does a task, when it is due, and what became of it.
ALTER TABLE task
    ALTER COLUMN enrollment_id DROP NOT NULL,
    ALTER COLUMN version DROP NOT NULL,
    ALTER COLUMN position DROP NOT NULL,
    ALTER COLUMN channel DROP NOT NULL,
    ADD COLUMN kind        text NOT NULL DEFAULT 'step' CONSTRAINT task_kind_known
        CHECK (kind IN ('step', 'reschedule', 'scheduled', 'window_notice', 'recontact', 'clarification')),
    ADD COLUMN about       text NOT NULL DEFAULT '',
    ADD COLUMN title       text NOT NULL DEFAULT '',
    ADD COLUMN due_time    timestamptz,
    ADD COLUMN assignee    text NOT NULL DEFAULT '',
    ADD COLUMN note        text NOT NULL DEFAULT '',
    ADD COLUMN finish_time timestamptz,
    ADD CONSTRAINT task_step_is_whole CHECK (kind <> 'step'
        OR (enrollment_id IS NOT NULL AND version IS NOT NULL AND position IS NOT NULL AND channel IS NOT NULL));
-- One pending task of a kind about one thing: an appointment by its id, otherwise the lead.
CREATE UNIQUE INDEX task_pending_once ON task (workspace_id, lead_id, kind, about) WHERE kind <> 'step' AND state = 'pending';
CREATE INDEX task_pending ON task (workspace_id, id) WHERE state = 'pending';
