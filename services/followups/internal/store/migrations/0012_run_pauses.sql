-- +goose Up
-- Pauses that a run looked at: over, or not yet. They are no steps, so they are counted beside them, and add up as well.
ALTER TABLE run
    ADD COLUMN checked integer NOT NULL DEFAULT 0,
    ADD COLUMN resumed integer NOT NULL DEFAULT 0,
    ADD COLUMN waiting integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT run_checks_add_up CHECK (checked = resumed + waiting);
ALTER TABLE run_item
    DROP CONSTRAINT run_item_outcome_known,
    ADD CONSTRAINT run_item_outcome_known
        CHECK (outcome IN ('succeeded', 'failed', 'skipped', 'deferred', 'unknown', 'resumed', 'waiting'));
