-- name: InsertBooking :execrows
INSERT INTO booking_intent (workspace_id, id, lead_id, request_id, provider, calendar, calendar_link, start_time, end_time, state, create_time, update_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(lead_id), sqlc.arg(request_id), sqlc.arg(provider), sqlc.arg(calendar), sqlc.arg(calendar_link),
    sqlc.arg(start_time), sqlc.arg(end_time), 'PLANNED', sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (workspace_id, request_id) DO NOTHING;

-- name: BookingByRequest :one
SELECT * FROM booking_intent WHERE workspace_id = sqlc.arg(workspace_id) AND request_id = sqlc.arg(request_id);

-- name: OneBooking :one
SELECT * FROM booking_intent WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: LockBookingIntent :one
SELECT * FROM booking_intent WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) FOR NO KEY UPDATE;

-- name: LiveBooking :one
SELECT id FROM booking_intent WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id)
    AND state IN ('CALLING', 'UNKNOWN') AND request_id <> sqlc.arg(request_id) LIMIT 1;

-- name: ClaimBooking :one
-- B1.
UPDATE booking_intent SET state = 'CALLING', attempt = attempt + 1, intent_at = now(), claim_time = sqlc.arg(now)::timestamptz,
    lease_until = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision), reason = '', reason_meta = '{}',
    looks = 0, failed_looks = 0, next_look = NULL, update_time = sqlc.arg(now)::timestamptz
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND state = ANY (sqlc.arg(sources)::text[])
RETURNING *;

-- name: MoveBooking :execrows
-- Moves a booking along an arrow; the fence is the claim's.
UPDATE booking_intent SET state = sqlc.arg(state), reason = sqlc.arg(reason), reason_meta = sqlc.arg(reason_meta), appointment = sqlc.arg(appointment),
    looks = looks + sqlc.arg(complete), failed_looks = failed_looks + sqlc.arg(failed), lease_until = NULL,
    next_look = CASE WHEN sqlc.arg(state)::text = 'UNKNOWN' THEN now() + make_interval(secs => sqlc.arg(look_seconds)::double precision) END,
    update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state = ANY (sqlc.arg(sources)::text[]);

-- name: ExpireBookingLeases :many
-- B6: the caller is gone.
UPDATE booking_intent SET state = 'UNKNOWN', lease_until = NULL, next_look = now(), update_time = sqlc.arg(now)
WHERE state = 'CALLING' AND state = ANY (sqlc.arg(sources)::text[]) AND lease_until < now() -- the literal names the index
RETURNING workspace_id, id, attempt;

-- name: CountOpenBookings :many
SELECT state, count(*) AS open FROM booking_intent WHERE state IN ('UNKNOWN', 'PARKED') GROUP BY state;

-- name: ClaimBookingLooks :many
-- Takes looks that are due, oldest first, for the length of a lease: another replica passes over them.
WITH due AS (
    SELECT d.workspace_id, d.id FROM (
        SELECT i.workspace_id, i.id, i.intent_at, row_number() OVER (PARTITION BY i.workspace_id ORDER BY i.intent_at) AS place
        FROM booking_intent i WHERE i.next_look <= now() AND i.state = 'UNKNOWN'
    ) d WHERE d.place <= sqlc.arg(per_workspace)::bigint ORDER BY d.intent_at LIMIT sqlc.arg(page)
), taken AS (
    SELECT s.workspace_id, s.id FROM booking_intent s JOIN due USING (workspace_id, id)
    WHERE s.next_look <= now() AND s.state = 'UNKNOWN' FOR UPDATE OF s SKIP LOCKED
)
UPDATE booking_intent u SET next_look = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision)
FROM taken WHERE u.workspace_id = taken.workspace_id AND u.id = taken.id
RETURNING sqlc.embed(u), extract(epoch FROM now() - u.intent_at)::double precision AS age_seconds;

-- name: DeferBookingLook :exec
-- A look that settled nothing, or could not be made: when the next one is due.
UPDATE booking_intent SET looks = looks + sqlc.arg(complete), failed_looks = failed_looks + sqlc.arg(failed),
    next_look = now() + make_interval(secs => sqlc.arg(wait_seconds)::double precision)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state = 'UNKNOWN';

-- name: AbandonBookings :many
-- B10: planned, and nobody came back for them.
UPDATE booking_intent SET state = 'REFUSED', reason = sqlc.arg(reason), update_time = sqlc.arg(now)
WHERE (workspace_id, id) IN (
    SELECT b.workspace_id, b.id FROM booking_intent b WHERE b.state = 'PLANNED' AND b.state = ANY (sqlc.arg(sources)::text[])
        AND b.state_time < now() - make_interval(secs => sqlc.arg(idle_seconds)::double precision)
    ORDER BY b.state_time LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING id;

-- name: OpenBookings :many
-- Bookings that an appointment of the lead at this time may be. The caller holds the lead.
SELECT * FROM booking_intent WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND start_time = sqlc.arg(start_time)
    AND provider = sqlc.arg(provider) AND (state IN ('CALLING', 'UNKNOWN', 'PARKED') OR reason = 'BOOKING_ABSENT')
ORDER BY create_time DESC, id FOR NO KEY UPDATE;

-- name: RecordBookingStep :exec
INSERT INTO booking_step (workspace_id, intent_id, attempt, kind, rule, code, http_status, latency_ms)
VALUES (sqlc.arg(workspace_id), sqlc.arg(intent_id), sqlc.arg(attempt), sqlc.arg(kind), sqlc.arg(rule), sqlc.arg(code), sqlc.arg(http_status), sqlc.arg(latency_ms));

-- name: StandingAppointment :one
-- The lead's appointment at a time on a calendar, when one stands.
SELECT provider_id FROM booking WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND provider = sqlc.arg(provider)
    AND calendar = ANY (sqlc.arg(calendars)::text[]) AND start_time = sqlc.arg(start_time)::timestamptz AND status = 'booked'
ORDER BY provider_time DESC LIMIT 1;

-- name: Appointments :many
SELECT * FROM booking WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id)
ORDER BY start_time DESC NULLS LAST, provider, provider_id LIMIT sqlc.arg(page);

-- name: TakenTimes :many
-- Appointments as they were stored after a place. What is over is of no use to anybody.
SELECT workspace_id, provider, provider_id, calendar, status, start_time, end_time, taken_time, stored_at FROM booking
WHERE (stored_at, workspace_id, provider, provider_id) > (sqlc.arg(stored_at)::timestamptz, sqlc.arg(after_workspace)::uuid, sqlc.arg(after_provider)::text, sqlc.arg(after_id)::text)
ORDER BY stored_at, workspace_id, provider, provider_id LIMIT sqlc.arg(page);

-- name: EnsureAppointmentPolls :exec
INSERT INTO appointment_poll (workspace_id, provider, next_time)
SELECT c.workspace_id, c.provider, sqlc.arg(now)::timestamptz FROM connection c
LEFT JOIN appointment_poll p ON p.workspace_id = c.workspace_id AND p.provider = c.provider
WHERE c.provider IN ('ghl', 'calendly') AND c.state = 'CONNECTED' AND p.workspace_id IS NULL
ON CONFLICT DO NOTHING;

-- name: ClaimAppointmentPolls :many
-- Longest overdue first, so that no workspace waits for a busier one.
UPDATE appointment_poll p SET next_time = sqlc.arg(lease)::timestamptz WHERE (p.workspace_id, p.provider) IN (
    SELECT d.workspace_id, d.provider FROM appointment_poll d WHERE d.next_time <= sqlc.arg(now)::timestamptz
    ORDER BY d.next_time, d.workspace_id LIMIT sqlc.arg(page) FOR UPDATE SKIP LOCKED)
RETURNING p.workspace_id, p.provider;

-- name: AppointmentPoll :one
SELECT * FROM appointment_poll WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider);

-- name: SaveAppointmentPoll :exec
UPDATE appointment_poll SET cursor = sqlc.arg(cursor), next_time = sqlc.arg(next_time), last_time = coalesce(sqlc.narg(last_time), last_time),
    last_error = sqlc.arg(last_error), listed = sqlc.arg(known)::integer + sqlc.arg(found)::integer + sqlc.arg(passed)::integer,
    known = sqlc.arg(known)::integer, found = sqlc.arg(found)::integer, passed = sqlc.arg(passed)::integer, failed = sqlc.arg(failed),
    round_failed = sqlc.arg(round_failed), whole_time = coalesce(sqlc.narg(whole_time), whole_time)
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider);

-- name: AppointmentPolls :many
SELECT * FROM appointment_poll WHERE workspace_id = ANY (sqlc.arg(workspaces)::uuid[]) ORDER BY workspace_id, provider;

-- name: CountFoundAppointment :exec
INSERT INTO ingestion_hour AS h (workspace_id, hour, appointments) VALUES (sqlc.arg(workspace_id), sqlc.arg(hour), 1)
ON CONFLICT (workspace_id, hour) DO UPDATE SET appointments = h.appointments + 1;

-- name: KnownAppointments :many
-- What is stored of a provider's appointments that begin in a range, or have one of these ids; each by its index.
SELECT b.provider_id, b.status, b.start_time, b.provider_time FROM booking b
WHERE b.workspace_id = sqlc.arg(workspace_id) AND b.provider = sqlc.arg(provider) AND b.provider_id = ANY (sqlc.arg(ids)::text[])
UNION
SELECT b.provider_id, b.status, b.start_time, b.provider_time FROM booking b
WHERE b.workspace_id = sqlc.arg(workspace_id) AND b.provider = sqlc.arg(provider)
    AND b.start_time BETWEEN sqlc.arg(first)::timestamptz AND sqlc.arg(last)::timestamptz;
