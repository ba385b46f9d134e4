-- +goose Up
-- The first time that a planned text offers. The text must not leave after it.
ALTER TABLE step_plan ADD COLUMN expire_time timestamptz;
