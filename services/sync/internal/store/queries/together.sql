-- What SendMessage does for many sends at once. Each statement here is for the sends of one workspace against which nothing
-- speaks; everything else goes one by one, by the statements of send.sql.

-- name: LockFreeLeads :many
-- The leads that nobody else is changing: a batch must not wait for one of them, nor run into a deadlock.
SELECT * FROM lead WHERE workspace_id = sqlc.arg(workspace_id) AND id = ANY (sqlc.arg(ids)::uuid[]) FOR NO KEY UPDATE SKIP LOCKED;

-- name: SendFacts :many
-- What the gate has to know of each send, after its lead was locked. hindered: there is something to weigh, so that the send
-- goes the long way: the request is known, another send is live, the channel is flagged, somebody opted out, or an email
-- could be answered in its thread. OFFSET 0 keeps each question one look into an index: without it the planner may read all
-- live sends of the workspace once a batch, with the dead entries that settled sends have left there.
SELECT r.request_id::uuid AS request_id, now()::timestamptz AS at, (
        EXISTS (SELECT FROM send_intent i WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.request_id = r.request_id OFFSET 0)
        OR EXISTS (SELECT FROM send_intent i WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.lead_id = r.lead_id
            AND i.channel = r.channel AND i.state IN ('SENDING', 'UNKNOWN') OFFSET 0)
        OR EXISTS (SELECT FROM lead_channel c WHERE c.workspace_id = sqlc.arg(workspace_id) AND c.lead_id = r.lead_id
            AND c.channel = r.channel AND c.status <> 'OPEN' OFFSET 0)
        OR EXISTS (SELECT FROM opt_out o WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.state = 'ACTIVE' AND o.lead_id = r.lead_id OFFSET 0)
        OR EXISTS (SELECT FROM opt_out o WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.state = 'ACTIVE' AND o.channel = 'sms'
            AND o.address <> '' AND o.address = r.phone OFFSET 0)
        OR EXISTS (SELECT FROM opt_out o WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.state = 'ACTIVE' AND o.channel = 'email'
            AND o.address <> '' AND o.address = r.email OFFSET 0)
        OR (r.channel = 'email' AND EXISTS (SELECT FROM reply_target t JOIN message m ON m.workspace_id = t.workspace_id AND m.id = t.message_id
            WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.lead_id = r.lead_id OFFSET 0)))::boolean AS hindered,
    ARRAY (SELECT i.claim_time FROM send_intent i WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.channel = r.channel
        AND i.lead_id = r.lead_id AND i.claim_time > sqlc.arg(since)::timestamptz
        AND (i.state IN ('SENDING', 'UNKNOWN', 'ACCEPTED', 'DELIVERED', 'FAILED_AFTER_ACCEPT')
            OR (i.state = 'PARKED' AND i.reason <> 'SEND_EXHAUSTED'))
        ORDER BY i.claim_time DESC LIMIT 100)::timestamptz[] AS sent
FROM (SELECT unnest(sqlc.arg(request_ids)::uuid[]) AS request_id, unnest(sqlc.arg(lead_ids)::uuid[]) AS lead_id,
    unnest(sqlc.arg(channels)::text[]) AS channel, unnest(sqlc.arg(phones)::text[]) AS phone, unnest(sqlc.arg(emails)::text[]) AS email) r;

-- name: SendSetup :one
-- The workspace and its connection to GHL.
SELECT sqlc.embed(w), sqlc.embed(c),
    (c.auth <> 'TOKEN' AND coalesce(c.access_expire_time, '-infinity') < now() + interval '60 seconds')::boolean AS stale
FROM workspace w JOIN connection c ON c.workspace_id = w.id WHERE w.id = sqlc.arg(workspace_id) AND c.provider = 'ghl';

-- name: InsertClaimed :exec
-- T0 and T2 in one commit: planned, and claimed with the first attempt. A zero time stands for none. The timeline shows a send
-- of the short way from the end of its call on.
WITH plan AS MATERIALIZED (
    SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(lead_ids)::uuid[]) AS lead_id, unnest(sqlc.arg(channels)::text[]) AS channel,
        unnest(sqlc.arg(request_ids)::uuid[]) AS request_id, unnest(sqlc.arg(contents)::bytea[]) AS content_enc,
        unnest(sqlc.arg(subject_hashes)::bytea[]) AS subject_hash, unnest(sqlc.arg(body_hashes)::bytea[]) AS body_hash,
        unnest(sqlc.arg(html_hashes)::bytea[]) AS html_hash, unnest(sqlc.arg(policies)::text[]) AS policy,
        unnest(sqlc.arg(replied_since)::timestamptz[]) AS replied_since, unnest(sqlc.arg(expire_times)::timestamptz[]) AS expire_time,
        unnest(sqlc.arg(purposes)::text[]) AS purpose
), tried AS (
    INSERT INTO send_attempt (workspace_id, intent_id, attempt) SELECT sqlc.arg(workspace_id), p.id, 1 FROM plan p
)
INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash, policy,
    replied_since, expire_time, purpose, state, attempt, next_time, intent_at, lease_until, claim_from, claim_time, create_time, update_time)
SELECT sqlc.arg(workspace_id), p.id, p.lead_id, p.channel, p.request_id, p.content_enc, p.subject_hash, p.body_hash, p.html_hash, p.policy,
    nullif(p.replied_since, '0001-01-01 00:00:00Z'), nullif(p.expire_time, '0001-01-01 00:00:00Z'), p.purpose, 'SENDING', 1, sqlc.arg(now)::timestamptz, now(),
    now() + make_interval(secs => sqlc.arg(lease_seconds)::double precision), sqlc.arg(now)::timestamptz, sqlc.arg(now)::timestamptz,
    sqlc.arg(now)::timestamptz, sqlc.arg(now)::timestamptz FROM plan p;

-- name: AcceptClaimed :many
-- T4, under the fence of each, with the attempt, the lead, the connection and the row of the timeline, for those whose lead
-- nobody else is changing. What such a one had changed before is seen by the fence, which looks at the row as it is when it is
-- locked. The times of the claims name the months of the attempts. shown is false where the timeline holds the message
-- already, as ours or as imported.
WITH free AS MATERIALIZED (
    SELECT l.id FROM lead l WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.id = ANY (sqlc.arg(lead_ids)::uuid[])
    FOR NO KEY UPDATE SKIP LOCKED
), asked AS (
    SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(lead_ids)::uuid[]) AS lead_id, unnest(sqlc.arg(attempts)::integer[]) AS attempt, unnest(sqlc.arg(provider_ids)::text[]) AS provider_id,
        unnest(sqlc.arg(conversation_ids)::text[]) AS conversation_id, unnest(sqlc.arg(http_statuses)::integer[]) AS http_status,
        unnest(sqlc.arg(wrote)::boolean[]) AS wrote, unnest(sqlc.arg(trace_ids)::text[]) AS trace_id, unnest(sqlc.arg(latencies)::bigint[]) AS latency_ms,
        unnest(sqlc.arg(evidence)::text[]) AS evidence, unnest(sqlc.arg(subjects)::bytea[]) AS subject, unnest(sqlc.arg(bodies)::bytea[]) AS body,
        unnest(sqlc.arg(text_hashes)::bytea[]) AS text_hash
), taken AS MATERIALIZED (
    SELECT a.* FROM asked a JOIN free f ON f.id = a.lead_id
), moved AS (
    UPDATE send_intent i SET state = 'ACCEPTED', reason = '', reason_meta = '{}', next_time = sqlc.arg(now)::timestamptz, provider_message_id = a.provider_id,
        conversation_id = coalesce(nullif(a.conversation_id, ''), i.conversation_id), next_look = NULL, update_time = sqlc.arg(now)::timestamptz
    FROM taken a
    WHERE i.workspace_id = sqlc.arg(workspace_id) AND i.id = a.id AND i.attempt = a.attempt AND i.state = ANY (sqlc.arg(sources)::text[])
    RETURNING i.id, i.attempt, i.lead_id, i.channel, i.create_time
), closed AS (
    UPDATE send_attempt s SET outcome = 'ACCEPTED', http_status = a.http_status, wrote = a.wrote, trace_id = a.trace_id, latency_ms = a.latency_ms,
        evidence = a.evidence::jsonb
    FROM moved m JOIN taken a ON a.id = m.id
    WHERE s.workspace_id = sqlc.arg(workspace_id) AND s.intent_id = m.id AND s.attempt = m.attempt AND s.outcome IS NULL
        AND s.at BETWEEN sqlc.arg(first_claim)::timestamptz AND sqlc.arg(last_claim)::timestamptz
), written AS (
    UPDATE lead l SET last_outbound_time = greatest(l.last_outbound_time, sqlc.arg(now)::timestamptz), update_time = sqlc.arg(now)::timestamptz
    FROM moved m WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.id = m.lead_id
), used AS (
    UPDATE connection c SET last_success_time = sqlc.arg(now)::timestamptz
    WHERE c.workspace_id = sqlc.arg(workspace_id) AND c.provider = 'ghl' AND EXISTS (SELECT FROM moved)
), shown AS (
    INSERT INTO message (workspace_id, id, lead_id, channel, direction, origin, subject_enc, body_enc, body_hash, provider_message_id, message_time,
        create_time, arrival)
    SELECT sqlc.arg(workspace_id), m.id, m.lead_id, m.channel, 'outbound', 'OWN', a.subject, a.body, a.text_hash, a.provider_id, sqlc.arg(now)::timestamptz,
        m.create_time, 'send' FROM moved m JOIN taken a ON a.id = m.id
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT m.id, (w.id IS NOT NULL)::boolean AS shown FROM moved m LEFT JOIN shown w ON w.id = m.id;
