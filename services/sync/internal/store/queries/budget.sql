-- name: LockBudget :one
-- The row lock orders the leases; leases use the database's clock.
SELECT b.limit_calls, b.limit_interval_ms, b.tat, b.read_tat, b.hold_until, b.hold_window, b.daily_limit, b.daily_left, b.daily_time,
    clock_timestamp()::timestamptz AS now
FROM provider_budget b
WHERE b.provider = sqlc.arg(provider) AND b.app = sqlc.arg(app) AND b.account = sqlc.arg(account)
FOR NO KEY UPDATE;

-- name: InsertBudget :exec
INSERT INTO provider_budget (provider, app, account, limit_calls, limit_interval_ms, tat, read_tat)
VALUES (sqlc.arg(provider), sqlc.arg(app), sqlc.arg(account), sqlc.arg(limit_calls), sqlc.arg(limit_interval_ms), clock_timestamp(), clock_timestamp())
ON CONFLICT DO NOTHING;

-- name: UpdateBudget :exec
UPDATE provider_budget SET limit_calls = sqlc.arg(limit_calls), limit_interval_ms = sqlc.arg(limit_interval_ms),
    tat = sqlc.arg(tat), read_tat = sqlc.arg(read_tat), hold_until = sqlc.arg(hold_until), hold_window = sqlc.arg(hold_window),
    daily_limit = sqlc.arg(daily_limit), daily_left = sqlc.arg(daily_left), daily_time = sqlc.arg(daily_time)
WHERE provider = sqlc.arg(provider) AND app = sqlc.arg(app) AND account = sqlc.arg(account);

-- name: Budget :one
SELECT b.limit_calls, b.limit_interval_ms, b.tat, b.read_tat, b.hold_until, b.hold_window, b.daily_limit, b.daily_left, b.daily_time,
    clock_timestamp()::timestamptz AS now
FROM provider_budget b
WHERE b.provider = sqlc.arg(provider) AND b.app = sqlc.arg(app) AND b.account = sqlc.arg(account);
