-- +goose Up
-- What an event ends the holds for: 'dnd_cleared:sms', 'dnd_cleared' for every channel, 'lead_changed'; empty for nothing. A
-- step whose hold begins while the event is handled finds it here, and is not held for what has happened already.
ALTER TABLE lead_event ADD COLUMN wakes text NOT NULL DEFAULT '';
