-- name: SaveBooking :exec
INSERT INTO booking (workspace_id, lead_id, booking_id, state, booking_time, event_time)
VALUES (@workspace_id, @lead_id, @booking_id, @state, @booking_time, @event_time)
ON CONFLICT (workspace_id, lead_id, booking_id) DO UPDATE
SET state = excluded.state, booking_time = coalesce(excluded.booking_time, booking.booking_time), event_time = excluded.event_time
WHERE booking.event_time <= excluded.event_time;

-- name: GetBooking :one
SELECT * FROM booking WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND booking_id = @booking_id;

-- name: CancelBookings :exec
-- A cancellation tells that the lead has no appointment ahead: those before it were moved or cancelled too.
UPDATE booking SET state = 'cancelled' WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND state = 'booked'
    AND event_time <= @event_time;

-- name: HasBookingAhead :one
SELECT EXISTS (SELECT FROM booking WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND state = 'booked'
    AND (booking_time IS NULL OR booking_time > @now::timestamptz));

-- name: ListSequenceTriggers :many
SELECT id, trigger, continue_on_reply FROM sequence WHERE workspace_id = @workspace_id AND id = ANY(@ids::uuid[]);

-- name: ListRunning :many
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND sequence_id = @sequence_id AND state IN ('active', 'paused', 'awaiting_outcome') AND id > @after_id
ORDER BY id LIMIT @page_size;

-- name: ListRunningBeside :many
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND lead_id = ANY(@lead_ids::uuid[]) AND sequence_id <> @sequence_id
  AND state IN ('active', 'paused', 'awaiting_outcome')
ORDER BY lead_id, id;
