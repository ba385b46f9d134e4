-- name: InsertReplyTarget :exec
INSERT INTO reply_target (workspace_id, message_id, provider, target_enc, create_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(message_id), sqlc.arg(provider), sqlc.arg(target_enc), sqlc.arg(now)) ON CONFLICT DO NOTHING;

-- name: ReplyTarget :one
-- What it takes to answer a message of the lead.
SELECT t.message_id, t.provider, t.target_enc FROM reply_target t JOIN message m ON m.workspace_id = t.workspace_id AND m.id = t.message_id
WHERE t.workspace_id = sqlc.arg(workspace_id) AND t.message_id = sqlc.arg(message_id) AND m.lead_id = sqlc.arg(lead_id);

-- name: NewestEmails :many
-- The newest email that the lead wrote, and the newest of them that a sender brought which can answer it; they may be one.
(SELECT m.id, ''::text AS provider, m.message_time FROM message m
    WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.lead_id = sqlc.arg(lead_id) AND m.channel = 'email' AND m.direction = 'inbound'
    ORDER BY m.message_time DESC, m.id DESC LIMIT 1)
UNION ALL
(SELECT m.id, t.provider, m.message_time FROM message m JOIN reply_target t ON t.workspace_id = m.workspace_id AND t.message_id = m.id
    WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.lead_id = sqlc.arg(lead_id)
    ORDER BY m.message_time DESC, m.id DESC LIMIT 1);

-- name: ConnectedProviders :many
SELECT provider FROM connection WHERE workspace_id = sqlc.arg(workspace_id);
