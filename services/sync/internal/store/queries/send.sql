-- name: InsertIntent :execrows
INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash,
    policy, replied_since, expire_time, replaces, purpose, provider, reply_to, state, next_time, create_time, update_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(lead_id), sqlc.arg(channel), sqlc.arg(request_id), sqlc.arg(content_enc), sqlc.arg(subject_hash), sqlc.arg(body_hash), sqlc.arg(html_hash),
    sqlc.arg(policy), sqlc.arg(replied_since), sqlc.arg(expire_time), sqlc.narg(replaces)::uuid, sqlc.arg(purpose),
    coalesce(nullif(sqlc.arg(provider)::text, ''), 'ghl'), sqlc.narg(reply_to)::uuid, 'PLANNED', sqlc.arg(now), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (workspace_id, request_id) DO NOTHING;

-- name: IntentByRequest :one
SELECT * FROM send_intent WHERE workspace_id = sqlc.arg(workspace_id) AND request_id = sqlc.arg(request_id);

-- name: Intent :one
SELECT * FROM send_intent WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: LockIntent :one
SELECT * FROM send_intent WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) FOR NO KEY UPDATE;

-- name: LiveIntent :one
SELECT id FROM send_intent WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel)
    AND state IN ('SENDING', 'UNKNOWN') AND request_id <> sqlc.arg(request_id) LIMIT 1;

-- name: ClaimIntent :one
-- T2. claim_from stays where it is once a message may have been left.
UPDATE send_intent SET state = 'SENDING', attempt = attempt + 1, intent_at = now(), reason = '', reason_meta = '{}',
    lease_until = now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision), claim_time = sqlc.arg(now)::timestamptz,
    claim_from = CASE WHEN ambiguous = 0 THEN sqlc.arg(now)::timestamptz ELSE claim_from END, looks = 0, failed_looks = 0, look_time = NULL,
    next_look = NULL, update_time = sqlc.arg(now)::timestamptz
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND state = ANY (sqlc.arg(sources)::text[]) AND next_time <= sqlc.arg(now)::timestamptz
RETURNING attempt;

-- name: InsertAttempt :exec
INSERT INTO send_attempt (workspace_id, intent_id, attempt) VALUES (sqlc.arg(workspace_id), sqlc.arg(intent_id), sqlc.arg(attempt));

-- name: CloseAttempt :exec
UPDATE send_attempt SET outcome = sqlc.arg(outcome), http_status = sqlc.arg(http_status), wrote = sqlc.arg(wrote), trace_id = sqlc.arg(trace_id),
    latency_ms = sqlc.arg(latency_ms), evidence = sqlc.arg(evidence)
WHERE workspace_id = sqlc.arg(workspace_id) AND intent_id = sqlc.arg(intent_id) AND attempt = sqlc.arg(attempt) AND outcome IS NULL;

-- name: MoveIntent :many
-- Closes a claim: only the holder of the fence moves the intent, and only along the arrows that its outcome has. It gives the state
-- that the intent had, and nothing when it was not moved.
WITH was AS MATERIALIZED (
    SELECT w.workspace_id, w.id, w.state FROM send_intent w
    WHERE w.workspace_id = sqlc.arg(workspace_id) AND w.id = sqlc.arg(id) AND w.attempt = sqlc.arg(attempt) AND w.state = ANY (sqlc.arg(sources)::text[])
    FOR NO KEY UPDATE
)
UPDATE send_intent i SET state = sqlc.arg(state), reason = sqlc.arg(reason), reason_meta = sqlc.arg(reason_meta), next_time = sqlc.arg(next_time),
    failures = i.failures + sqlc.arg(failed), provider_message_id = coalesce(sqlc.narg(provider_message_id), i.provider_message_id),
    conversation_id = coalesce(sqlc.narg(conversation_id), i.conversation_id),
    next_look = CASE WHEN sqlc.arg(state) = 'UNKNOWN' THEN i.intent_at + make_interval(secs => sqlc.arg(look_seconds)::double precision) END,
    update_time = sqlc.arg(now)
FROM was WHERE i.workspace_id = was.workspace_id AND i.id = was.id RETURNING was.state;

-- name: CloseUnsent :execrows
-- T1: the gate closed before any claim, or moved the time.
UPDATE send_intent SET state = sqlc.arg(state), reason = sqlc.arg(reason), reason_meta = sqlc.arg(reason_meta), next_time = sqlc.arg(next_time), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND state = ANY (sqlc.arg(sources)::text[]);

-- name: ExpireLeases :many
-- T10, by the database clock.
UPDATE send_intent i SET state = 'UNKNOWN', update_time = sqlc.arg(now),
    next_look = greatest(now(), i.intent_at + make_interval(secs => sqlc.arg(look_seconds)::double precision))
WHERE i.state = ANY (sqlc.arg(sources)::text[]) AND (i.workspace_id, i.id) IN (
    SELECT s.workspace_id, s.id FROM send_intent s WHERE s.state = 'SENDING' AND s.lease_until < now()
    ORDER BY s.lease_until LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING i.*;

-- name: DueIntents :many
-- Sends that wait for a time that has come; a backstop behind the jobs planned with them. The workspaces take turns: sends that
-- stay due, because their workspace's credentials cannot be opened, must not hide those of others.
SELECT d.workspace_id, d.id FROM (
    SELECT workspace_id, id, next_time, row_number() OVER (PARTITION BY workspace_id ORDER BY next_time, id) AS place FROM send_intent
    WHERE state IN ('PLANNED', 'RETRYABLE') AND next_time <= sqlc.arg(now) AND update_time <= sqlc.arg(settled)) d
ORDER BY d.place, d.next_time LIMIT 500;

-- name: RecentSends :many
-- Business times at which the lead may have got a message of ours: claims that
-- are not known to have come to nothing.
SELECT i.claim_time FROM send_intent i WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.channel = sqlc.arg(channel) AND i.id <> sqlc.arg(id)
    AND i.claim_time > sqlc.arg(since)::timestamptz AND (i.state IN ('SENDING', 'UNKNOWN', 'ACCEPTED', 'DELIVERED', 'FAILED_AFTER_ACCEPT')
        OR (i.state = 'PARKED' AND i.reason <> 'SEND_EXHAUSTED'))
    AND i.lead_id = sqlc.arg(lead_id) ORDER BY i.claim_time DESC LIMIT 100;
