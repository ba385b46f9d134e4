-- name: ResolutionByRequest :one
SELECT * FROM send_resolution WHERE workspace_id = sqlc.arg(workspace_id) AND request_id = sqlc.arg(request_id);

-- name: Resolution :one
SELECT * FROM send_resolution WHERE workspace_id = sqlc.arg(workspace_id) AND intent_id = sqlc.arg(intent_id);

-- name: InsertResolution :exec
INSERT INTO send_resolution (workspace_id, intent_id, request_id, action, provider_message_id, new_intent_id, principal, create_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(intent_id), sqlc.arg(request_id), sqlc.arg(action), sqlc.arg(provider_message_id),
    sqlc.narg(new_intent_id)::uuid, sqlc.arg(principal), sqlc.arg(now));

-- name: UnsettledMessages :many
-- Sends that are not settled, newest first; parked ones only while nobody has resolved them.
SELECT sqlc.embed(m), i.state, i.reason, i.request_id, i.attempt, i.next_time, i.delivery, i.duplicate_suspected, i.replaces,
    i.provider, i.reply_to
FROM send_intent i JOIN message m ON m.workspace_id = i.workspace_id AND m.id = i.id
WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.state IN ('SENDING', 'UNKNOWN', 'RETRYABLE', 'PARKED')
    AND i.state = ANY (sqlc.arg(states)::text[]) AND (sqlc.narg(lead_id)::uuid IS NULL OR i.lead_id = sqlc.narg(lead_id)::uuid)
    AND i.id < sqlc.arg(before) AND NOT EXISTS (SELECT FROM send_resolution r WHERE r.workspace_id = i.workspace_id AND r.intent_id = i.id)
ORDER BY i.id DESC LIMIT sqlc.arg(page);

-- name: SendAttempts :many
SELECT * FROM send_attempt WHERE workspace_id = sqlc.arg(workspace_id) AND intent_id = sqlc.arg(intent_id) ORDER BY attempt LIMIT 100;

-- name: SendLooks :many
SELECT * FROM send_look WHERE workspace_id = sqlc.arg(workspace_id) AND intent_id = sqlc.arg(intent_id) ORDER BY at LIMIT 100;
