-- name: EnsurePolls :exec
-- A connected location is polled from the moment it is connected on; another location begins anew. A workspace's other
-- connections are of providers without locations.
INSERT INTO poll_state AS p (workspace_id, location, cursor_time, next_time, span_seconds)
SELECT c.workspace_id, c.location, sqlc.arg(now)::timestamptz, sqlc.arg(now)::timestamptz, 0 FROM connection c
LEFT JOIN poll_state s ON s.workspace_id = c.workspace_id WHERE c.provider = 'ghl' AND s.location IS DISTINCT FROM c.location
ON CONFLICT (workspace_id) DO UPDATE SET location = excluded.location, cursor_time = excluded.cursor_time, next_time = excluded.next_time,
    last_time = NULL, last_error = '', reads = 0, failed_reads = 0, breaker_time = NULL, breaker_count = 0, found_unheard = 0, silent_time = NULL;

-- name: ClaimPolls :many
-- Longest overdue first, so that no location waits for a busier one.
UPDATE poll_state p SET next_time = sqlc.arg(lease)::timestamptz WHERE p.workspace_id IN (
    SELECT d.workspace_id FROM poll_state d WHERE d.next_time <= sqlc.arg(now)::timestamptz
    ORDER BY d.next_time, d.workspace_id LIMIT sqlc.arg(page) FOR UPDATE SKIP LOCKED)
RETURNING p.workspace_id;

-- name: PollState :one
SELECT p.*, c.last_webhook_time FROM poll_state p JOIN connection c ON c.workspace_id = p.workspace_id AND c.provider = 'ghl'
WHERE p.workspace_id = sqlc.arg(workspace_id);

-- name: SavePoll :exec
UPDATE poll_state SET cursor_time = sqlc.arg(cursor_time), next_time = sqlc.arg(next_time), span_seconds = sqlc.arg(span_seconds),
    last_time = sqlc.narg(last_time), last_error = sqlc.arg(last_error), reads = sqlc.arg(reads), failed_reads = sqlc.arg(failed_reads),
    breaker_time = sqlc.narg(breaker_time), breaker_count = sqlc.arg(breaker_count), found_unheard = sqlc.arg(found_unheard),
    silent_time = sqlc.narg(silent_time)
WHERE workspace_id = sqlc.arg(workspace_id) AND location = sqlc.arg(location);

-- name: CountSilent :one
SELECT count(*)::integer AS n FROM poll_state WHERE silent_time IS NOT NULL;

-- name: KnownMessages :many
SELECT provider_message_id::text AS provider_message_id FROM message WHERE workspace_id = sqlc.arg(workspace_id) AND provider_message_id = ANY (sqlc.arg(ids)::text[]);

-- name: NewestOfContacts :many
SELECT l.ghl_contact_id::text AS contact_id, n.message_time FROM lead l
CROSS JOIN LATERAL (SELECT m.message_time FROM message m WHERE m.workspace_id = l.workspace_id AND m.lead_id = l.id
    ORDER BY m.message_time DESC, m.id DESC LIMIT 1) n
WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.ghl_contact_id = ANY (sqlc.arg(contacts)::text[]);

-- name: PurgeIngestion :exec
DELETE FROM ingestion_hour WHERE hour < sqlc.arg(before);

-- name: IngestionHealth :many
SELECT w.id, w.display_name, c.location, c.state, c.last_webhook_time, p.last_time, p.cursor_time, p.next_time, p.last_error, p.breaker_time,
    p.silent_time, h.delivered, h.found, h.late, h.appointments,
    (SELECT count(*) FROM webhook_inbox i WHERE i.state = 'PENDING' AND i.workspace_id = w.id)::integer AS pending,
    (SELECT count(*) FROM webhook_inbox i WHERE i.state = 'PARKED' AND i.workspace_id = w.id)::integer AS parked
FROM workspace w LEFT JOIN connection c ON c.workspace_id = w.id AND c.provider = 'ghl' LEFT JOIN poll_state p ON p.workspace_id = w.id
CROSS JOIN LATERAL (SELECT coalesce(sum(x.delivered), 0)::integer AS delivered, coalesce(sum(x.found), 0)::integer AS found,
    coalesce(sum(x.late), 0)::integer AS late, coalesce(sum(x.appointments), 0)::integer AS appointments FROM ingestion_hour x WHERE x.workspace_id = w.id AND x.hour > sqlc.arg(since)::timestamptz) h
WHERE w.id > sqlc.arg(after) ORDER BY w.id LIMIT sqlc.arg(page);

-- name: AnnouncedMessages :many
SELECT provider_message_id::text AS provider_message_id FROM message WHERE workspace_id = sqlc.arg(workspace_id)
    AND provider_message_id = ANY (sqlc.arg(ids)::text[]) AND announce_time IS NOT NULL;
