-- name: UpsertConnection :exec
-- New credentials: whatever was known of the old ones ends. An empty provider is ghl, an empty auth TOKEN.
INSERT INTO connection (workspace_id, provider, location, base_url, token_enc, auth, app, company, refresh_enc, access_expire_time, state, state_time)
VALUES (sqlc.arg(workspace_id), coalesce(nullif(sqlc.arg(provider)::text, ''), 'ghl'), sqlc.arg(location), sqlc.arg(base_url), sqlc.arg(token_enc),
    coalesce(nullif(sqlc.arg(auth)::text, ''), 'TOKEN'), sqlc.arg(app), sqlc.arg(company), sqlc.narg(refresh_enc),
    now() + make_interval(secs => sqlc.arg(expires_in_seconds)::double precision), 'CONNECTED', sqlc.arg(now))
ON CONFLICT (workspace_id, provider) DO UPDATE SET location = excluded.location, base_url = excluded.base_url, token_enc = excluded.token_enc,
    auth = excluded.auth, app = excluded.app, company = excluded.company, refresh_enc = excluded.refresh_enc, access_expire_time = excluded.access_expire_time,
    token_version = connection.token_version + 1, refresh_lease_until = NULL, refresh_time = NULL, check_time = NULL,
    breaker_score = 0, breaker_opens = 0, breaker_until = NULL, breaker_probe_until = NULL,
    read_breaker_score = 0, read_breaker_opens = 0, read_breaker_until = NULL, read_breaker_probe_until = NULL,
    state = 'CONNECTED', state_time = excluded.state_time;

-- name: Connection :one
SELECT * FROM connection WHERE workspace_id = sqlc.arg(workspace_id) AND provider = 'ghl';

-- name: ConnectionOf :one
SELECT * FROM connection WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider);

-- name: ListConnections :many
SELECT * FROM connection WHERE workspace_id = sqlc.arg(workspace_id) ORDER BY provider;

-- name: ConnectionByLocation :one
SELECT * FROM connection WHERE location = sqlc.arg(location) AND provider = 'ghl';

-- name: ConnectionForUse :one
-- Stale: the access token ends within a minute, so that it is refreshed before a call needs it.
SELECT sqlc.embed(connection),
    (auth <> 'TOKEN' AND coalesce(access_expire_time, '-infinity') < now() + interval '60 seconds')::boolean AS stale,
    (auth = 'TOKEN' OR coalesce(access_expire_time, '-infinity') > now())::boolean AS alive
FROM connection WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider);

-- name: SetConnectionState :execrows
-- An empty provider is ghl. A connection that needs a person to reconnect is not made usable by an answer that was on its way, and
-- what was said of other credentials than the given version's says nothing of these.
UPDATE connection SET state = sqlc.arg(state), state_time = sqlc.arg(now), check_time = now()
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = coalesce(nullif(sqlc.arg(provider)::text, ''), 'ghl')
    AND state <> sqlc.arg(state) AND state <> 'RECONNECT_NEEDED' AND token_version = coalesce(sqlc.narg(token_version)::bigint, token_version);

-- name: TouchConnectionSuccess :exec
UPDATE connection SET last_success_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = coalesce(nullif(sqlc.arg(provider)::text, ''), 'ghl')
AND (last_success_time IS NULL OR last_success_time < sqlc.arg(now)::timestamptz - interval '10 seconds');

-- name: TouchConnectionWebhook :exec
UPDATE connection SET last_webhook_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = coalesce(nullif(sqlc.arg(provider)::text, ''), 'ghl')
AND (last_webhook_time IS NULL OR last_webhook_time < sqlc.arg(now)::timestamptz - interval '10 seconds');

-- name: LeaseRefresh :one
-- Single flight: one holder per version and lease. A lease that ran out without a new version was a crash or a lost answer.
UPDATE connection c SET refresh_lease_until = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision),
    refresh_started_version = c.token_version
FROM (SELECT p.workspace_id, p.provider, p.refresh_started_version FROM connection p
    WHERE p.workspace_id = sqlc.arg(workspace_id) AND p.provider = sqlc.arg(provider) FOR NO KEY UPDATE) before
WHERE c.workspace_id = before.workspace_id AND c.provider = before.provider AND c.token_version = sqlc.arg(token_version)
    AND coalesce(c.refresh_lease_until, '-infinity') < now()
RETURNING (before.refresh_started_version = c.token_version)::boolean AS again;

-- name: StoreRefresh :execrows
UPDATE connection SET token_enc = sqlc.arg(token_enc), refresh_enc = sqlc.arg(refresh_enc), token_version = token_version + 1,
    access_expire_time = now() + make_interval(secs => sqlc.arg(expires_in_seconds)::double precision),
    refresh_time = now(), refresh_lease_until = NULL,
    state_time = CASE WHEN state = 'CONNECTED' THEN state_time ELSE sqlc.arg(now)::timestamptz END, state = 'CONNECTED'
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider) AND token_version = sqlc.arg(token_version);

-- name: FailRefresh :execrows
-- The provider said no to the refresh of this version. It reports whether the state changed.
UPDATE connection SET state = sqlc.arg(state), state_time = sqlc.arg(now), refresh_lease_until = NULL, check_time = now()
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider) AND token_version = sqlc.arg(token_version) AND state <> sqlc.arg(state);

-- name: ExpireAccess :execrows
-- The provider called the access token of this version expired: the next use refreshes it. A token that was refreshed less
-- than a minute ago is not helped by another refresh.
UPDATE connection SET access_expire_time = now()
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider) AND auth <> 'TOKEN'
    AND token_version = sqlc.arg(token_version) AND coalesce(refresh_time, '-infinity') < now() - interval '60 seconds';

-- name: ForgetConnection :one
-- The app was uninstalled: the tokens end, the rest stays for the next install.
UPDATE connection SET token_enc = sqlc.arg(token_enc), refresh_enc = NULL, token_version = token_version + 1,
    refresh_lease_until = NULL, access_expire_time = now(), state = 'RECONNECT_NEEDED', state_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = 'ghl' AND auth <> 'TOKEN' AND state <> 'RECONNECT_NEEDED'
RETURNING workspace_id;

-- name: HastenCheck :execrows
UPDATE connection SET check_time = NULL
WHERE provider = 'ghl' AND location = sqlc.arg(location) AND state IN ('AUTH_REVOKED', 'LOCATION_INACTIVE');

-- name: ClaimChecks :many
-- Connections that may have come back by themselves: paused locations each quarter of an hour, refused tokens each hour.
UPDATE connection c SET check_time = now() WHERE (c.workspace_id, c.provider) IN (
    SELECT d.workspace_id, d.provider FROM connection d
    WHERE (d.state = 'LOCATION_INACTIVE' AND coalesce(d.check_time, '-infinity') < now() - interval '15 minutes')
        OR (d.state = 'AUTH_REVOKED' AND coalesce(d.check_time, '-infinity') < now() - interval '1 hour')
    ORDER BY d.check_time NULLS FIRST LIMIT 20 FOR UPDATE SKIP LOCKED)
RETURNING c.workspace_id, c.provider;

-- name: LockBreaker :one
SELECT breaker_score, breaker_opens, breaker_until, breaker_probe_until, now()::timestamptz AS now FROM connection
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider) FOR NO KEY UPDATE;

-- name: UpdateBreaker :exec
UPDATE connection SET breaker_score = sqlc.arg(breaker_score), breaker_opens = sqlc.arg(breaker_opens), breaker_until = sqlc.narg(breaker_until),
    breaker_probe_until = sqlc.narg(breaker_probe_until)
WHERE workspace_id = sqlc.arg(workspace_id) AND provider = sqlc.arg(provider);
