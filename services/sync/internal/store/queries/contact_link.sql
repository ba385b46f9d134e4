-- name: InsertLink :execrows
-- None when the lead has a live one, or the request one already.
INSERT INTO contact_link (workspace_id, id, lead_id, request_id, wanted, state, next_time, create_time, update_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(lead_id), sqlc.narg(request_id), sqlc.arg(wanted), 'PLANNED',
    now() + make_interval(secs => sqlc.arg(wait_seconds)::double precision), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT DO NOTHING;

-- name: LinkByRequest :one
SELECT * FROM contact_link WHERE workspace_id = sqlc.arg(workspace_id) AND request_id = sqlc.arg(request_id)::uuid;

-- name: OneLink :one
SELECT * FROM contact_link WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: LockLink :one
SELECT * FROM contact_link WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) FOR NO KEY UPDATE;

-- name: NewestLink :one
-- The live one, else the last.
SELECT * FROM contact_link WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) ORDER BY state IN ('PLANNED', 'CALLING', 'UNKNOWN') DESC, id DESC LIMIT 1;

-- name: LiveLink :one
-- The link that the lead's contact is on its way by. Locks nothing: who only joins it must not hold up who works on it.
SELECT * FROM contact_link WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND state IN ('PLANNED', 'CALLING', 'UNKNOWN');

-- name: HadContact :one
-- Whether the lead had a contact that the provider does not have any more.
SELECT EXISTS (SELECT FROM former_contact WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id));

-- name: ListLinks :many
-- A page of each state, and the newest of these: a state that few links have is not looked for among all others.
SELECT contact_link.* FROM unnest(sqlc.arg(states)::text[]) AS s(state) CROSS JOIN LATERAL (
    SELECT l.* FROM contact_link l WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.state = s.state AND l.id < sqlc.arg(before)
    ORDER BY l.id DESC LIMIT sqlc.arg(page)) contact_link
ORDER BY contact_link.id DESC LIMIT sqlc.arg(page);

-- name: ClaimLink :one
-- K1. The fence is what the search began with: whoever searched before the newest call may not make one after it.
UPDATE contact_link SET state = 'CALLING', attempt = attempt + 1, intent_at = now(), email = sqlc.arg(email), phone = sqlc.arg(phone),
    lease_until = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision), reason = '', reason_meta = '{}',
    looks = 0, next_time = NULL, update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state = ANY (sqlc.arg(sources)::text[])
RETURNING *;

-- name: MoveLink :execrows
-- Moves a link along an arrow; the fence is the claim's.
UPDATE contact_link SET state = sqlc.arg(state), reason = sqlc.arg(reason), reason_meta = sqlc.arg(reason_meta), contact = sqlc.arg(contact),
    how = sqlc.arg(how), email = sqlc.arg(email), phone = sqlc.arg(phone), looks = looks + sqlc.arg(complete), lease_until = NULL,
    next_time = CASE WHEN sqlc.arg(state)::text IN ('PLANNED', 'UNKNOWN') THEN now() + make_interval(secs => sqlc.arg(wait_seconds)::double precision) END,
    update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state = ANY (sqlc.arg(sources)::text[]);

-- name: DeferLink :exec
-- Nothing came of it yet: when it is worked on or looked for again, and why a PLANNED one waits.
UPDATE contact_link SET looks = looks + sqlc.arg(complete),
    reason = CASE WHEN state = 'PLANNED' THEN sqlc.arg(reason)::text ELSE reason END,
    reason_meta = CASE WHEN state = 'PLANNED' THEN sqlc.arg(reason_meta)::jsonb ELSE reason_meta END,
    next_time = now() + make_interval(secs => sqlc.arg(wait_seconds)::double precision)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state IN ('PLANNED', 'UNKNOWN');

-- name: ExpireLinkLeases :many
-- K8: the caller is gone.
UPDATE contact_link SET state = 'UNKNOWN', lease_until = NULL, next_time = now(), update_time = sqlc.arg(now)
WHERE state = 'CALLING' AND state = ANY (sqlc.arg(sources)::text[]) AND lease_until < now() -- the literal names the index
RETURNING workspace_id, id, attempt;

-- name: CountLinks :many
SELECT state, count(*) AS open
FROM contact_link WHERE state IN ('PLANNED', 'CALLING', 'UNKNOWN') GROUP BY state;

-- name: ClaimDueLinks :many
-- Takes what is due, longest overdue first, for the length of a lease: another replica passes over it.
WITH due AS (
    SELECT d.workspace_id, d.id FROM (
        SELECT l.workspace_id, l.id, l.next_time, row_number() OVER (PARTITION BY l.workspace_id ORDER BY l.next_time) AS place
        FROM contact_link l WHERE l.next_time <= now() AND l.state IN ('PLANNED', 'UNKNOWN')
    ) d WHERE d.place <= sqlc.arg(per_workspace)::bigint ORDER BY d.next_time LIMIT sqlc.arg(page)
), taken AS (
    SELECT s.workspace_id, s.id FROM contact_link s JOIN due USING (workspace_id, id)
    WHERE s.next_time <= now() AND s.state IN ('PLANNED', 'UNKNOWN') FOR UPDATE OF s SKIP LOCKED
)
UPDATE contact_link u SET next_time = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision)
FROM taken WHERE u.workspace_id = taken.workspace_id AND u.id = taken.id
RETURNING sqlc.embed(u), coalesce(extract(epoch FROM now() - u.intent_at), 0)::double precision AS age_seconds;

-- name: RecordLinkStep :exec
INSERT INTO contact_link_step (workspace_id, link_id, attempt, kind, rule, code, http_status, latency_ms)
VALUES (sqlc.arg(workspace_id), sqlc.arg(link_id), sqlc.arg(attempt), sqlc.arg(kind), sqlc.arg(rule), sqlc.arg(code), sqlc.arg(http_status), sqlc.arg(latency_ms));

-- name: SetContact :execrows
UPDATE lead SET ghl_contact_id = sqlc.arg(contact)::text, update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND ghl_contact_id IS NULL;

-- name: ClaimDueLink :one
-- ClaimDueLinks of one.
UPDATE contact_link SET next_time = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND next_time <= now() AND state IN ('PLANNED', 'UNKNOWN')
RETURNING sqlc.embed(contact_link), coalesce(extract(epoch FROM now() - intent_at), 0)::double precision AS age_seconds;
