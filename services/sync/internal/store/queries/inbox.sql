-- name: WaitingInboxes :many
-- The workspaces for which something is due, found by steps along the index, however much waits for each. It is the order that
-- names the index, and a limit that makes a step: an EXISTS is answered for all workspaces at once, by reading all that waits.
WITH RECURSIVE waiting AS (
    (SELECT i.workspace_id FROM webhook_inbox i WHERE i.state = 'PENDING' ORDER BY i.workspace_id, i.alone, i.next_time, i.id LIMIT 1)
    UNION ALL
    SELECT (SELECT n.workspace_id FROM webhook_inbox n WHERE n.state = 'PENDING' AND n.workspace_id > w.workspace_id
        ORDER BY n.workspace_id, n.alone, n.next_time, n.id LIMIT 1)
    FROM waiting w WHERE w.workspace_id IS NOT NULL
), due AS MATERIALIZED (
    SELECT w.workspace_id,
        coalesce((SELECT t.next_time <= now() FROM webhook_inbox t WHERE t.state = 'PENDING' AND t.workspace_id = w.workspace_id AND NOT t.alone
            ORDER BY t.next_time, t.id LIMIT 1), false) AS together,
        coalesce((SELECT a.next_time <= now() FROM webhook_inbox a WHERE a.state = 'PENDING' AND a.workspace_id = w.workspace_id AND a.alone
            ORDER BY a.next_time, a.id LIMIT 1), false) AS alone
    FROM waiting w WHERE w.workspace_id IS NOT NULL
)
SELECT workspace_id::uuid AS workspace_id, together::boolean AS together, alone::boolean AS alone FROM due WHERE together OR alone ORDER BY workspace_id;

-- name: TryInboxLock :one
-- One at a time applies a workspace's webhooks together: they change the same leads.
SELECT pg_try_advisory_xact_lock(hashtextextended('relance.sync.inbox ' || sqlc.arg(workspace_id)::uuid::text, 0))::boolean AS locked;

-- name: TakeInboxes :many
SELECT * FROM webhook_inbox WHERE state = 'PENDING' AND workspace_id = sqlc.arg(workspace_id)::uuid AND NOT alone AND next_time <= now()
ORDER BY next_time, id LIMIT sqlc.arg(page) FOR NO KEY UPDATE SKIP LOCKED;

-- name: PutAlone :exec
UPDATE webhook_inbox SET alone = true WHERE id = ANY (sqlc.arg(ids)::uuid[]) AND state = 'PENDING';

-- name: LeaseInboxes :many
UPDATE webhook_inbox i SET next_time = now() + make_interval(secs => sqlc.arg(lease_seconds)::float8), attempt = i.attempt + 1
WHERE i.id IN (
    SELECT p.id FROM webhook_inbox p WHERE p.state = 'PENDING' AND p.workspace_id = sqlc.arg(workspace_id)::uuid AND p.alone AND p.next_time <= now()
    ORDER BY p.next_time, p.id LIMIT sqlc.arg(page) FOR NO KEY UPDATE SKIP LOCKED)
RETURNING i.*;

-- name: DeferInbox :exec
-- By who has it under lease: a later lease is another's.
UPDATE webhook_inbox SET next_time = now() + make_interval(secs => sqlc.arg(wait_seconds)::float8), attempt = sqlc.arg(attempt)
WHERE id = sqlc.arg(id) AND state = 'PENDING' AND attempt = sqlc.arg(leased);

-- name: CloseInboxes :exec
UPDATE webhook_inbox SET state = sqlc.arg(state), error_reason = '', process_time = sqlc.arg(now)::timestamptz WHERE id = ANY (sqlc.arg(ids)::uuid[]) AND state = 'PENDING';

-- name: KnownContacts :many
-- Those of the contacts whose lead can be reached: nothing has to be read of them. And whether their history is or was imported.
SELECT l.ghl_contact_id::text AS contact_id,
    EXISTS (SELECT FROM history_import h WHERE h.workspace_id = l.workspace_id AND h.lead_id = l.id AND h.channel = 'sms')::boolean AS imported
FROM lead l WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.ghl_contact_id = ANY (sqlc.arg(contacts)::text[])
    AND (l.phone IS NOT NULL OR l.email IS NOT NULL);
