-- name: RaiseEvidence :one
-- Keeps the newest word of a provider on a lead. No row means that a newer one is known.
INSERT INTO lead_evidence AS e (workspace_id, lead_id, kind, provider_time, tags)
VALUES (sqlc.arg(workspace_id), sqlc.arg(lead_id), sqlc.arg(kind), sqlc.arg(provider_time), sqlc.arg(tags))
ON CONFLICT (workspace_id, lead_id, kind) DO UPDATE SET provider_time = excluded.provider_time, tags = excluded.tags
WHERE e.provider_time <= excluded.provider_time
RETURNING (xmax = 0)::boolean AS fresh;

-- name: Evidence :one
SELECT provider_time, tags FROM lead_evidence WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND kind = sqlc.arg(kind);

-- name: FormerContact :one
SELECT lead_id FROM former_contact WHERE workspace_id = sqlc.arg(workspace_id) AND contact_id = sqlc.arg(contact_id);

-- name: RetireContact :execrows
INSERT INTO former_contact (workspace_id, contact_id, lead_id, create_time)
SELECT l.workspace_id, l.ghl_contact_id, l.id, sqlc.arg(now)::timestamptz FROM lead l
WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.ghl_contact_id = sqlc.arg(contact_id)::text
ON CONFLICT DO NOTHING;

-- name: UnlinkContact :execrows
UPDATE lead SET ghl_contact_id = NULL, update_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND ghl_contact_id = sqlc.arg(contact_id)::text;

-- name: LockBooking :one
SELECT * FROM booking WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider) AND provider_id = sqlc.arg(provider_id) FOR UPDATE;

-- name: UpsertBooking :exec
INSERT INTO booking (workspace_id, provider, provider_id, lead_id, calendar, status, final, start_time, end_time, provider_time, settle_time, taken_time, create_time, update_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(provider), sqlc.arg(provider_id), sqlc.arg(lead_id), sqlc.arg(calendar), sqlc.arg(status), sqlc.arg(final),
    sqlc.narg(start_time), sqlc.narg(end_time), sqlc.arg(provider_time), sqlc.narg(settle_time), sqlc.narg(taken_time), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (workspace_id, provider, provider_id) DO UPDATE SET calendar = excluded.calendar, status = excluded.status, final = excluded.final,
    start_time = coalesce(excluded.start_time, booking.start_time), end_time = coalesce(excluded.end_time, booking.end_time),
    provider_time = excluded.provider_time, settle_time = excluded.settle_time, taken_time = excluded.taken_time, update_time = excluded.update_time;

-- name: UntoldCancellations :many
-- The lead's cancellations that followups was not told of; the primary appointment comes first.
SELECT * FROM booking WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND settle_time IS NOT NULL
ORDER BY start_time DESC NULLS LAST, provider_time DESC, provider, provider_id FOR UPDATE;

-- name: BookedAhead :one
SELECT EXISTS (SELECT FROM booking WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND status = 'booked'
    AND (start_time IS NULL OR start_time > sqlc.arg(now)::timestamptz));

-- name: CancellationsSettled :exec
UPDATE booking SET settle_time = NULL WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id)
    AND settle_time <= sqlc.arg(now)::timestamptz;

-- name: Announce :many
-- Whoever gets the origin is the one to tell of the message.
UPDATE message SET announce_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND announce_time IS NULL
RETURNING origin;

-- name: ArrivedLate :one
-- The webhook of a message that the poller had found.
UPDATE message SET arrival = 'late' WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND arrival = 'poll' RETURNING message_time;

-- name: CountIngested :exec
INSERT INTO ingestion_hour AS h (workspace_id, hour, delivered, found, late)
VALUES (sqlc.arg(workspace_id), sqlc.arg(hour), sqlc.arg(delivered), sqlc.arg(found), sqlc.arg(late))
ON CONFLICT (workspace_id, hour) DO UPDATE SET delivered = h.delivered + excluded.delivered, found = h.found + excluded.found, late = h.late + excluded.late;

-- name: ForgetEvidence :exec
-- The lead has another contact: what its former one was said to be at some time does not stand against it.
DELETE FROM lead_evidence WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id);
