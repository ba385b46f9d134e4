-- name: InsertInbox :execrows
INSERT INTO webhook_inbox (id, workspace_id, source, webhook_id, event_type, location, body_enc, state, create_time, process_time)
VALUES (sqlc.arg(id), sqlc.arg(workspace_id), sqlc.arg(source), sqlc.arg(webhook_id), sqlc.arg(event_type), sqlc.arg(location), sqlc.arg(body_enc), sqlc.arg(state), sqlc.arg(now), sqlc.arg(process_time))
ON CONFLICT (source, webhook_id) DO NOTHING;

-- name: InsertInboxes :many
-- In the order of their keys, so that two batches with the same deliveries cannot wait for each other. The nil workspace stands
-- for none. It gives those that were new.
INSERT INTO webhook_inbox (id, workspace_id, source, webhook_id, event_type, location, body_enc, state, create_time, process_time)
SELECT n.id, nullif(n.workspace_id, '00000000-0000-0000-0000-000000000000'), n.source, n.webhook_id, n.event_type, n.location, n.body_enc, n.state,
    sqlc.arg(now)::timestamptz, CASE WHEN n.state <> 'PENDING' THEN sqlc.arg(now)::timestamptz END
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(workspaces)::uuid[]) AS workspace_id, unnest(sqlc.arg(sources)::text[]) AS source,
    unnest(sqlc.arg(webhook_ids)::text[]) AS webhook_id, unnest(sqlc.arg(event_types)::text[]) AS event_type, unnest(sqlc.arg(locations)::text[]) AS location,
    unnest(sqlc.arg(bodies)::bytea[]) AS body_enc, unnest(sqlc.arg(states)::text[]) AS state) n
ORDER BY n.source, n.webhook_id
ON CONFLICT (source, webhook_id) DO NOTHING RETURNING id;

-- name: InboxByDelivery :one
SELECT id, state FROM webhook_inbox WHERE source = sqlc.arg(source) AND webhook_id = sqlc.arg(webhook_id);

-- name: Inbox :one
SELECT * FROM webhook_inbox WHERE id = sqlc.arg(id);

-- name: LockInbox :one
SELECT * FROM webhook_inbox WHERE id = sqlc.arg(id) FOR UPDATE;

-- name: CloseInbox :execrows
UPDATE webhook_inbox SET state = sqlc.arg(state), error_reason = sqlc.arg(error_reason), process_time = sqlc.arg(now) WHERE id = sqlc.arg(id) AND state = 'PENDING';

-- name: CountRepeat :exec
UPDATE webhook_inbox SET repeats = repeats + 1 WHERE id = sqlc.arg(id);

-- name: ListInbox :many
SELECT id, workspace_id, source, webhook_id, event_type, state, error_reason, create_time, process_time, repeats, replays, body_sha256 FROM webhook_inbox
WHERE (sqlc.narg(workspace_id)::uuid IS NULL OR workspace_id = sqlc.narg(workspace_id)::uuid) AND id < sqlc.arg(before)
    AND (sqlc.arg(states)::text[] = '{}' OR state = ANY (sqlc.arg(states)::text[]))
    AND (sqlc.narg(source)::text IS NULL OR source = sqlc.narg(source)::text)
    AND (sqlc.narg(error_reason)::text IS NULL OR error_reason = sqlc.narg(error_reason)::text)
    AND (sqlc.narg(event_type)::text IS NULL OR event_type = sqlc.narg(event_type)::text)
    AND (sqlc.narg(start_time)::timestamptz IS NULL OR create_time >= sqlc.narg(start_time)::timestamptz)
    AND (sqlc.narg(end_time)::timestamptz IS NULL OR create_time < sqlc.narg(end_time)::timestamptz)
ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: CountInbox :one
SELECT count(*)::integer AS n FROM webhook_inbox
WHERE (sqlc.narg(workspace_id)::uuid IS NULL OR workspace_id = sqlc.narg(workspace_id)::uuid)
    AND body_enc IS NOT NULL AND state = ANY (sqlc.arg(states)::text[])
    AND (sqlc.narg(source)::text IS NULL OR source = sqlc.narg(source)::text)
    AND (sqlc.narg(error_reason)::text IS NULL OR error_reason = sqlc.narg(error_reason)::text)
    AND (sqlc.narg(event_type)::text IS NULL OR event_type = sqlc.narg(event_type)::text)
    AND (sqlc.narg(start_time)::timestamptz IS NULL OR create_time >= sqlc.narg(start_time)::timestamptz)
    AND (sqlc.narg(end_time)::timestamptz IS NULL OR create_time < sqlc.narg(end_time)::timestamptz);

-- name: ReplayCandidates :many
-- Oldest first, so that a replay in parts goes forward.
SELECT id, workspace_id, source, location, state FROM webhook_inbox
WHERE (sqlc.narg(workspace_id)::uuid IS NULL OR workspace_id = sqlc.narg(workspace_id)::uuid)
    AND body_enc IS NOT NULL AND state = ANY (sqlc.arg(states)::text[])
    AND (sqlc.narg(source)::text IS NULL OR source = sqlc.narg(source)::text)
    AND (sqlc.narg(error_reason)::text IS NULL OR error_reason = sqlc.narg(error_reason)::text)
    AND (sqlc.narg(event_type)::text IS NULL OR event_type = sqlc.narg(event_type)::text)
    AND (sqlc.narg(start_time)::timestamptz IS NULL OR create_time >= sqlc.narg(start_time)::timestamptz)
    AND (sqlc.narg(end_time)::timestamptz IS NULL OR create_time < sqlc.narg(end_time)::timestamptz)
    AND id > sqlc.arg(after)
ORDER BY id LIMIT sqlc.arg(page);

-- name: InboxByIDs :many
SELECT id, workspace_id, source, location, state, (body_enc IS NULL)::boolean AS body_dropped FROM webhook_inbox WHERE id = ANY (sqlc.arg(ids)::uuid[])
    AND (sqlc.narg(workspace_id)::uuid IS NULL OR workspace_id = sqlc.narg(workspace_id)::uuid) ORDER BY id;

-- name: ReopenInbox :execrows
UPDATE webhook_inbox SET state = 'PENDING', error_reason = '', process_time = NULL, workspace_id = sqlc.arg(workspace_id), replays = replays + 1,
    next_time = now(), queue_time = now(), alone = false, attempt = 0
WHERE id = sqlc.arg(id) AND state IN ('PARKED', 'UNROUTED', 'IGNORED') AND body_enc IS NOT NULL;

-- name: OutdatedBodies :many
-- The oldest first; rows that another replica drops at the same time are its own. Each set of states that is asked for has an index.
SELECT id, body_enc FROM webhook_inbox WHERE state = ANY (sqlc.arg(states)::text[]) AND body_enc IS NOT NULL AND process_time < sqlc.arg(before)::timestamptz
ORDER BY process_time LIMIT sqlc.arg(page) FOR NO KEY UPDATE SKIP LOCKED;

-- name: DropBodies :exec
UPDATE webhook_inbox i SET body_enc = NULL, body_sha256 = nullif(d.digest, '')
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(digests)::bytea[]) AS digest) d WHERE i.id = d.id;

-- name: InsertOutbox :exec
INSERT INTO outbox (id, workspace_id, lead_id, type, payload, create_time)
VALUES (sqlc.arg(id), sqlc.arg(workspace_id), sqlc.arg(lead_id), sqlc.arg(type), sqlc.arg(payload), sqlc.arg(now));

-- name: WaitingOutbox :many
SELECT * FROM outbox WHERE delivered_time IS NULL AND parked_reason = '' ORDER BY seq LIMIT sqlc.arg(page);

-- name: DeliveredOutbox :exec
UPDATE outbox SET delivered_time = sqlc.arg(now) WHERE seq = ANY (sqlc.arg(seqs)::bigint[]);

-- name: ParkOutbox :exec
UPDATE outbox SET parked_reason = sqlc.arg(reason) WHERE seq = sqlc.arg(seq);

-- name: TryDeliveryLock :one
SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '.deliver_events', 0))::boolean AS locked;

-- name: DeliveryUnlock :exec
SELECT pg_advisory_unlock(hashtextextended(current_schema() || '.deliver_events', 0));
