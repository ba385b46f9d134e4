-- name: ReadBreaker :one
SELECT read_breaker_score, read_breaker_opens, read_breaker_until, read_breaker_probe_until, now()::timestamptz AS now FROM connection
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider);

-- name: LockReadBreaker :one
SELECT read_breaker_score, read_breaker_opens, read_breaker_until, read_breaker_probe_until, now()::timestamptz AS now FROM connection
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider) FOR NO KEY UPDATE;

-- name: UpdateReadBreaker :exec
UPDATE connection SET read_breaker_score = sqlc.arg(score), read_breaker_opens = sqlc.arg(opens), read_breaker_until = sqlc.narg(until),
    read_breaker_probe_until = sqlc.narg(probe_until)
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider);

-- name: CountBreakers :many
-- Connections whose breakers are not closed, by provider.
SELECT provider, count(*) FILTER (WHERE breaker_until IS NOT NULL)::bigint AS sends,
    count(*) FILTER (WHERE read_breaker_until IS NOT NULL)::bigint AS reads
FROM connection GROUP BY provider;
