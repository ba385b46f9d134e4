-- +goose Up
-- Reads have a breaker of their own: lists that fail must not hold sends back, and sends that fail must not blind the looks that
-- settle them.
ALTER TABLE connection
    ADD COLUMN read_breaker_score integer NOT NULL DEFAULT 0,
    ADD COLUMN read_breaker_opens integer NOT NULL DEFAULT 0,
    ADD COLUMN read_breaker_until timestamptz,
    ADD COLUMN read_breaker_probe_until timestamptz;

-- +goose Down
ALTER TABLE connection DROP COLUMN read_breaker_score, DROP COLUMN read_breaker_opens, DROP COLUMN read_breaker_until,
    DROP COLUMN read_breaker_probe_until;
