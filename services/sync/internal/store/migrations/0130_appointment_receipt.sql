-- +goose Up
-- Reads of one poll that failed, of calendars or events; and when all calendars were last read without any.
ALTER TABLE appointment_poll
    ADD COLUMN failed integer NOT NULL DEFAULT 0,
    ADD COLUMN round_failed integer NOT NULL DEFAULT 0,
    ADD COLUMN whole_time timestamptz;
-- Appointments that only the poll found.
ALTER TABLE ingestion_hour ADD COLUMN appointments integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE ingestion_hour DROP COLUMN appointments;
ALTER TABLE appointment_poll DROP COLUMN whole_time, DROP COLUMN round_failed, DROP COLUMN failed;
