-- +goose Up
-- Whose workspace it is, for turns between agencies; and the way to what changed lately.
ALTER TABLE workspace ADD COLUMN agency text NOT NULL DEFAULT '';
CREATE INDEX workspace_changed ON workspace (update_time);

-- +goose Down
DROP INDEX workspace_changed;
ALTER TABLE workspace DROP COLUMN agency;
