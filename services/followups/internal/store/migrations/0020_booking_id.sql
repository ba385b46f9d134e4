-- +goose Up
-- Ids of appointments are up to 300 bytes: Calendly's are URIs, and sync keeps them whole.
ALTER TABLE booking DROP CONSTRAINT booking_booking_id_check,
    ADD CONSTRAINT booking_booking_id_check CHECK (length(booking_id) BETWEEN 1 AND 300);
