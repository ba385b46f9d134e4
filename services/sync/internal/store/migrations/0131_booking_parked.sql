-- +goose Up
-- Bookings that wait for a person are counted at every sweep.
CREATE INDEX booking_intent_parked ON booking_intent (state) WHERE state IN ('UNKNOWN', 'PARKED');

-- +goose Down
DROP INDEX booking_intent_parked;
