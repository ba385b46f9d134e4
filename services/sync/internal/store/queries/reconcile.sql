-- name: ClaimLooks :many
-- Takes looks that are due, oldest first and fair over workspaces, for the length of a lease: another replica passes over
-- them. Ages are by the database clock, at the moment before the look.
WITH due AS (
    SELECT d.workspace_id, d.id FROM (
        SELECT i.workspace_id, i.id, i.intent_at, row_number() OVER (PARTITION BY i.workspace_id ORDER BY i.intent_at) AS place
        FROM send_intent i WHERE i.next_look <= now() AND i.state = 'UNKNOWN'
            AND (sqlc.narg(id)::uuid IS NULL OR i.id = sqlc.narg(id)::uuid)
    ) d WHERE d.place <= sqlc.arg(per_workspace)::bigint ORDER BY d.intent_at LIMIT sqlc.arg(page)
), taken AS (
    SELECT s.workspace_id, s.id FROM send_intent s JOIN due USING (workspace_id, id)
    WHERE s.next_look <= now() AND s.state = 'UNKNOWN' FOR UPDATE OF s SKIP LOCKED
)
UPDATE send_intent u SET next_look = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision)
FROM taken WHERE u.workspace_id = taken.workspace_id AND u.id = taken.id
RETURNING sqlc.embed(u), extract(epoch FROM now() - u.intent_at)::double precision AS age_seconds;

-- name: IntentAge :one
-- Time since the claim, by the database clock.
SELECT extract(epoch FROM now() - coalesce(intent_at, now()))::double precision AS age_seconds FROM send_intent
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: DeferLook :exec
-- A look that settled nothing: when the next one is due, as an age.
UPDATE send_intent SET looks = looks + sqlc.arg(complete), failed_looks = failed_looks + sqlc.arg(failed), look_time = now(),
    next_look = greatest(now(), intent_at + make_interval(secs => sqlc.arg(age_seconds)::double precision))
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state = 'UNKNOWN' AND looks = sqlc.arg(seen);

-- name: PostponeLook :exec
-- No look was made: the budget or the connection did not allow one.
UPDATE send_intent SET next_look = now() + make_interval(secs => sqlc.arg(wait_seconds)::double precision)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state = 'UNKNOWN';

-- name: SettleIntent :execrows
-- T11 to T14 and T16: moves a send by what was found, or by what was not. The fence is the claim's.
UPDATE send_intent SET state = sqlc.arg(state), reason = sqlc.arg(reason), reason_meta = sqlc.arg(reason_meta), next_time = sqlc.arg(now),
    ambiguous = ambiguous + sqlc.arg(resends), looks = looks + sqlc.arg(complete), failed_looks = failed_looks + sqlc.arg(failed),
    look_time = now(), next_look = NULL, duplicate_suspected = duplicate_suspected OR sqlc.arg(duplicate)::boolean,
    provider_message_id = coalesce(sqlc.narg(provider_message_id), provider_message_id),
    conversation_id = coalesce(sqlc.narg(conversation_id), conversation_id), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND attempt = sqlc.arg(attempt) AND state = ANY (sqlc.arg(sources)::text[]);

-- name: SuspectDuplicate :exec
UPDATE send_intent SET duplicate_suspected = true, update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND NOT duplicate_suspected;

-- name: RecordLook :exec
INSERT INTO send_look (workspace_id, intent_id, attempt, source, age_ms, result, rule, listed, candidates)
VALUES (sqlc.arg(workspace_id), sqlc.arg(intent_id), sqlc.arg(attempt), sqlc.arg(source), sqlc.arg(age_ms), sqlc.arg(result), sqlc.arg(rule), sqlc.arg(listed), sqlc.arg(candidates)::text[]);

-- name: ClaimedMessages :many
-- Which of these provider messages belong to sends already. A send that a person repeated at the provider has another id in the
-- timeline than the one that its intent claimed: both are its own.
SELECT i.provider_message_id::text AS provider_message_id FROM send_intent i
WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.provider_message_id = ANY (sqlc.arg(ids)::text[])
UNION
SELECT m.provider_message_id::text FROM message m
WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.provider_message_id = ANY (sqlc.arg(ids)::text[]) AND m.origin = 'OWN';

-- name: IntentByProvider :one
-- The send that claimed the message, or whose message a person repeated at the provider as this one.
-- The id is a value of its own: under row-level security, coalesce in a condition keeps it from being one of an index.
SELECT * FROM send_intent i WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.id = (SELECT coalesce(
    (SELECT c.id FROM send_intent c WHERE c.workspace_id = sqlc.arg(workspace_id) AND c.provider_message_id = sqlc.arg(provider_message_id)::text),
    (SELECT m.id FROM message m WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.provider_message_id = sqlc.arg(provider_message_id)::text AND m.origin = 'OWN')));

-- name: OpenIntents :many
-- Sends to a lead on a channel that evidence may still settle: first the one that is live, then those that could be sent
-- again, then the parked ones; among equals the oldest first. What was never claimed has no claim_time, which names the index.
SELECT * FROM send_intent WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel)
    AND claim_time IS NOT NULL AND attempt > 0 AND state IN ('SENDING', 'UNKNOWN', 'RETRYABLE', 'PARKED')
    AND (state <> 'PARKED' OR reason IN ('SEND_AMBIGUOUS', 'SEND_NEEDS_EYES'))
ORDER BY array_position(ARRAY['SENDING', 'UNKNOWN', 'RETRYABLE', 'PARKED'], state), claim_time, id LIMIT 50;

-- name: HastenLook :exec
-- A hint says that a look may find something now.
UPDATE send_intent SET next_look = now() WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND state = 'UNKNOWN'
    AND next_look > now();

-- name: ReportDelivery :execrows
-- T15. The state moves from ACCEPTED only; the caller holds the lead and has compared the ranks.
UPDATE send_intent SET state = coalesce(sqlc.narg(state), state), delivery = sqlc.arg(delivery), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND state IN ('ACCEPTED', 'DELIVERED');

-- name: RestingSends :one
-- I8: what should have moved long ago, by the clock that each wait is measured with.
SELECT
    (SELECT count(*) FROM send_intent WHERE state = 'SENDING' AND lease_until < now() - interval '60 seconds') AS sending,
    (SELECT count(*) FROM send_intent WHERE state = 'UNKNOWN' AND intent_at < now() - make_interval(secs => sqlc.arg(unknown_seconds)::double precision)) AS unknown,
    (SELECT count(*) FROM send_intent WHERE state IN ('PLANNED', 'RETRYABLE') AND next_time < sqlc.arg(due)::timestamptz) AS due;

-- name: SendsByState :many
SELECT state, count(*) AS sends, count(*) FILTER (WHERE duplicate_suspected) AS duplicates FROM send_intent GROUP BY state;

-- name: PlannedSends :one
-- I9 counts what was planned where planning leaves its other trace: the timeline, which shows a send of the short way from the
-- end of its call on.
SELECT ((SELECT count(*) FROM message WHERE origin = 'OWN') + (SELECT count(*) FROM send_intent i WHERE i.state = 'SENDING'
    AND NOT EXISTS (SELECT FROM message m WHERE m.workspace_id = i.workspace_id AND m.id = i.id)))::bigint AS planned;

-- name: SendsAbout :one
-- How many sends there are, about, without counting them.
SELECT greatest(reltuples, 0)::bigint AS sends FROM pg_catalog.pg_class WHERE oid = 'send_intent'::regclass;

-- name: ParkedSends :one
SELECT count(*) FROM send_intent i WHERE i.state = 'PARKED'
    AND NOT EXISTS (SELECT FROM send_resolution r WHERE r.workspace_id = i.workspace_id AND r.intent_id = i.id);

-- name: StateAge :one
-- Time since the state last changed, by the database clock.
SELECT extract(epoch FROM now() - state_time)::double precision AS age_seconds FROM send_intent
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);
