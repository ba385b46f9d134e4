-- +goose Up
-- A poll asks for the appointments of a provider that begin in a range, and read all of the workspace. Bookings are few and rarely
-- written.
CREATE INDEX booking_start ON booking (workspace_id, provider, start_time);
-- The sweep counts the workspaces whose webhooks are silent.
CREATE INDEX poll_state_silent ON poll_state (workspace_id) WHERE silent_time IS NOT NULL;

-- +goose Down
DROP INDEX poll_state_silent;
DROP INDEX booking_start;
