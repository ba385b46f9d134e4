-- name: UpsertAgency :exec
-- New credentials: whatever was known of the old ones ends.
INSERT INTO agency (app, company, token_enc, refresh_enc, access_expire_time, state, state_time)
VALUES (sqlc.arg(app), sqlc.arg(company), sqlc.arg(token_enc), sqlc.arg(refresh_enc),
    now() + make_interval(secs => sqlc.arg(expires_in_seconds)::double precision), 'CONNECTED', sqlc.arg(now))
ON CONFLICT (app, company) DO UPDATE SET token_enc = excluded.token_enc, refresh_enc = excluded.refresh_enc,
    access_expire_time = excluded.access_expire_time, token_version = agency.token_version + 1, refresh_lease_until = NULL,
    refresh_time = NULL, state = 'CONNECTED', state_time = excluded.state_time;

-- name: AgencyForUse :one
SELECT sqlc.embed(agency), (access_expire_time < now() + interval '60 seconds')::boolean AS stale, (access_expire_time > now())::boolean AS alive
FROM agency WHERE app = sqlc.arg(app) AND company = sqlc.arg(company);

-- name: LeaseAgency :one
-- As LeaseRefresh.
UPDATE agency a SET refresh_lease_until = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision),
    refresh_started_version = a.token_version
FROM (SELECT p.app, p.company, p.refresh_started_version FROM agency p
    WHERE p.app = sqlc.arg(app) AND p.company = sqlc.arg(company) FOR NO KEY UPDATE) before
WHERE a.app = before.app AND a.company = before.company AND a.token_version = sqlc.arg(token_version)
    AND coalesce(a.refresh_lease_until, '-infinity') < now()
RETURNING (before.refresh_started_version = a.token_version)::boolean AS again;

-- name: StoreAgency :execrows
UPDATE agency SET token_enc = sqlc.arg(token_enc), refresh_enc = sqlc.arg(refresh_enc), token_version = token_version + 1,
    access_expire_time = now() + make_interval(secs => sqlc.arg(expires_in_seconds)::double precision),
    refresh_time = now(), refresh_lease_until = NULL, state = 'CONNECTED', state_time = sqlc.arg(now)
WHERE app = sqlc.arg(app) AND company = sqlc.arg(company) AND token_version = sqlc.arg(token_version);

-- name: FailAgency :execrows
UPDATE agency SET state = sqlc.arg(state), state_time = sqlc.arg(now), refresh_lease_until = NULL
WHERE app = sqlc.arg(app) AND company = sqlc.arg(company) AND token_version = sqlc.arg(token_version) AND state <> sqlc.arg(state);

-- name: ExpireAgency :execrows
-- As ExpireAccess.
UPDATE agency SET access_expire_time = now()
WHERE app = sqlc.arg(app) AND company = sqlc.arg(company) AND token_version = sqlc.arg(token_version)
    AND coalesce(refresh_time, '-infinity') < now() - interval '60 seconds';

-- name: ReviveMinted :execrows
-- The app came back to a location whose token an agency's mints: it is tried again at its next use.
UPDATE connection SET state = 'CONNECTED', state_time = sqlc.arg(now), access_expire_time = now(), refresh_lease_until = NULL
WHERE provider = 'ghl' AND location = sqlc.arg(location) AND auth = 'AGENCY' AND state = 'RECONNECT_NEEDED';

-- name: ConnectionsOfCompany :many
SELECT workspace_id, location FROM connection
WHERE provider = 'ghl' AND auth = 'AGENCY' AND company = sqlc.arg(company) AND workspace_id > sqlc.arg(after) ORDER BY workspace_id LIMIT sqlc.arg(page);

-- name: ExpireCompany :exec
-- The app may have left the agency: its token is asked for again before the next use, and the answer decides.
UPDATE agency SET access_expire_time = now() WHERE company = sqlc.arg(company) AND access_expire_time > now();
