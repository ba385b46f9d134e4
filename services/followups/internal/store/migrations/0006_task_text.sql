-- +goose Up
-- What a person is to say, for pending tasks; and whether a person approved the message of the current step.
ALTER TABLE task
    ADD COLUMN subject text NOT NULL DEFAULT '',
    ADD COLUMN body    text NOT NULL DEFAULT '';
ALTER TABLE enrollment ADD COLUMN approved boolean NOT NULL DEFAULT false;
