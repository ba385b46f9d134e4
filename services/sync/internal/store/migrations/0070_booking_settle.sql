-- +goose Up
-- A cancelled appointment may be one half of a reschedule. It is told after a grace only; NULL when nothing is to be told.
ALTER TABLE booking ADD COLUMN settle_time timestamptz;

-- +goose Down
ALTER TABLE booking DROP COLUMN settle_time;
