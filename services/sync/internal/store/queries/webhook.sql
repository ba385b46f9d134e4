-- name: InsertInbox :execrows
INSERT INTO webhook_inbox (id, workspace_id, source, webhook_id, event_type, location, body_enc, state, create_time, process_time)
VALUES (sqlc.arg(id), sqlc.arg(workspace_id), sqlc.arg(source), sqlc.arg(webhook_id), sqlc.arg(event_type), sqlc.arg(location), sqlc.arg(body_enc), sqlc.arg(state), sqlc.arg(now), sqlc.arg(process_time))
ON CONFLICT (source, webhook_id) DO NOTHING;

-- name: InboxByDelivery :one
SELECT id, state FROM webhook_inbox WHERE source = sqlc.arg(source) AND webhook_id = sqlc.arg(webhook_id);

-- name: Inbox :one
SELECT * FROM webhook_inbox WHERE id = sqlc.arg(id);

-- name: LockInbox :one
SELECT * FROM webhook_inbox WHERE id = sqlc.arg(id) FOR UPDATE;

-- name: CloseInbox :execrows
UPDATE webhook_inbox SET state = sqlc.arg(state), error_reason = sqlc.arg(error_reason), process_time = sqlc.arg(now) WHERE id = sqlc.arg(id) AND state = 'PENDING';

-- name: ListInbox :many
SELECT id, workspace_id, source, webhook_id, event_type, state, error_reason, create_time, process_time FROM webhook_inbox
WHERE (sqlc.narg(workspace_id)::uuid IS NULL OR workspace_id = sqlc.narg(workspace_id)::uuid) AND id < sqlc.arg(before)
ORDER BY id DESC LIMIT sqlc.arg(page);

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
