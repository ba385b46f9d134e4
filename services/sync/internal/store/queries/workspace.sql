-- name: InsertWorkspace :execrows
INSERT INTO workspace (id, request_id, display_name, time_zone, sending_disabled, unknown_policy, create_time, update_time)
VALUES (sqlc.arg(id), sqlc.arg(request_id), sqlc.arg(display_name), sqlc.arg(time_zone), sqlc.arg(sending_disabled), sqlc.arg(unknown_policy), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (request_id) DO NOTHING;

-- name: WorkspaceByRequest :one
SELECT w.*, coalesce(c.location, '')::text AS location FROM workspace w
LEFT JOIN connection c ON c.workspace_id = w.id WHERE w.request_id = sqlc.arg(request_id)::uuid;

-- name: OneWorkspace :one
SELECT w.*, coalesce(c.location, '')::text AS location FROM workspace w
LEFT JOIN connection c ON c.workspace_id = w.id WHERE w.id = sqlc.arg(id);

-- name: ListWorkspaces :many
SELECT w.*, coalesce(c.location, '')::text AS location FROM workspace w
LEFT JOIN connection c ON c.workspace_id = w.id WHERE w.id > sqlc.arg(after) ORDER BY w.id LIMIT sqlc.arg(page);

-- name: UpdateWorkspace :execrows
UPDATE workspace SET display_name = coalesce(sqlc.narg(display_name), display_name),
    time_zone = coalesce(sqlc.narg(time_zone), time_zone),
    sending_disabled = coalesce(sqlc.narg(sending_disabled), sending_disabled),
    unknown_policy = coalesce(sqlc.narg(unknown_policy), unknown_policy), update_time = sqlc.arg(now)
WHERE id = sqlc.arg(id);

-- name: UpsertConnection :exec
INSERT INTO connection (workspace_id, location, token_enc, state, state_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(location), sqlc.arg(token_enc), 'CONNECTED', sqlc.arg(now))
ON CONFLICT (workspace_id) DO UPDATE SET location = excluded.location, token_enc = excluded.token_enc,
    state = 'CONNECTED', state_time = excluded.state_time;

-- name: Connection :one
SELECT * FROM connection WHERE workspace_id = sqlc.arg(workspace_id);

-- name: ConnectionByLocation :one
SELECT * FROM connection WHERE location = sqlc.arg(location);

-- name: SetConnectionState :execrows
UPDATE connection SET state = sqlc.arg(state), state_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND state <> sqlc.arg(state);

-- name: TouchConnectionSuccess :exec
UPDATE connection SET last_success_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id)
AND (last_success_time IS NULL OR last_success_time < sqlc.arg(now)::timestamptz - interval '10 seconds');

-- name: TouchConnectionWebhook :exec
UPDATE connection SET last_webhook_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id)
AND (last_webhook_time IS NULL OR last_webhook_time < sqlc.arg(now)::timestamptz - interval '10 seconds');

-- name: LockWorkspace :one
SELECT id FROM workspace WHERE id = sqlc.arg(id) FOR NO KEY UPDATE;
