-- name: InsertWebhookSecret :exec
INSERT INTO webhook_secret (id, workspace_id, source, purpose, digest, key_enc, create_time)
VALUES (sqlc.arg(id), sqlc.arg(workspace_id), sqlc.arg(source), sqlc.arg(purpose), sqlc.arg(digest), sqlc.arg(key_enc), sqlc.arg(now));

-- name: EndOldWebhookSecrets :many
-- The secret before the newest ends at end_time or sooner, older ones now.
UPDATE webhook_secret s SET end_time = least(s.end_time, CASE WHEN s.id = (SELECT p.id FROM webhook_secret p
        WHERE p.workspace_id = sqlc.arg(workspace_id) AND p.source = sqlc.arg(source) AND p.purpose = sqlc.arg(purpose) AND p.id <> sqlc.arg(newest)
        ORDER BY p.id DESC LIMIT 1) THEN sqlc.arg(end_time)::timestamptz ELSE sqlc.arg(now)::timestamptz END)
WHERE s.workspace_id = sqlc.arg(workspace_id) AND s.source = sqlc.arg(source) AND s.purpose = sqlc.arg(purpose) AND s.id <> sqlc.arg(newest)
    AND (s.end_time IS NULL OR s.end_time > sqlc.arg(now)::timestamptz)
RETURNING s.end_time;

-- name: WorkspaceBySecret :one
SELECT workspace_id FROM webhook_secret WHERE digest = sqlc.arg(digest) AND source = sqlc.arg(source) AND purpose = 'token'
    AND (end_time IS NULL OR end_time > sqlc.arg(now)::timestamptz);

-- name: SigningKeys :many
SELECT id, key_enc FROM webhook_secret WHERE workspace_id = sqlc.arg(workspace_id) AND source = sqlc.arg(source)
    AND purpose = 'signing_key' AND (end_time IS NULL OR end_time > sqlc.arg(now)::timestamptz) ORDER BY id DESC LIMIT 2;
