-- name: MessagesByProvider :many
SELECT id, lead_id, provider_message_id::text AS provider_message_id, origin, body_hash, message_time FROM message
WHERE workspace_id = sqlc.arg(workspace_id) AND provider_message_id = ANY (sqlc.arg(ids)::text[]);

-- name: PageMessages :many
-- What is known of a page by the provider's ids. Older ids of a message come without it.
SELECT m.id, m.provider_message_id::text AS provider_message_id, m.origin, m.body_hash, m.message_time FROM message m
WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.provider_message_id = ANY (sqlc.arg(ids)::text[])
UNION ALL
SELECT '00000000-0000-0000-0000-000000000000'::uuid, f.provider_message_id, '', ''::bytea, f.create_time FROM former_message f
WHERE f.workspace_id = sqlc.arg(workspace_id) AND f.provider_message_id = ANY (sqlc.arg(ids)::text[]);

-- name: LockThread :one
-- Locks a lead and then its conversation, and tells the conversation's revision: while it is the same, nothing that is stored has
-- changed, and while it is 0, nothing ever was stored. renamed tells whether any message of the workspace has an older id.
SELECT c.revision, EXISTS (SELECT FROM former_message f WHERE f.workspace_id = sqlc.arg(workspace_id))::boolean AS renamed
FROM lead l JOIN conversation c ON c.workspace_id = l.workspace_id AND c.lead_id = l.id
WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.id = sqlc.arg(lead_id) AND c.channel = sqlc.arg(channel) FOR NO KEY UPDATE OF l, c;

-- name: UnlinkedMessages :many
-- Messages without the provider's id, near the times of a page.
SELECT id, direction, body_hash, message_time, create_time FROM message
WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel) AND provider_message_id IS NULL AND origin <> 'OWN'
    AND message_time BETWEEN sqlc.arg(oldest)::timestamptz - interval '1 day' AND sqlc.arg(newest)::timestamptz + interval '1 day';

-- name: InsertMessages :exec
-- Messages that are not stored. Where another transaction stored one meanwhile, this one fails and runs again.
INSERT INTO message (workspace_id, lead_id, channel, create_time, arrival, id, direction, origin, subject_enc, body_enc, body_hash,
    provider_message_id, message_time)
SELECT sqlc.arg(workspace_id)::uuid, sqlc.arg(lead_id)::uuid, sqlc.arg(channel)::text, sqlc.arg(now)::timestamptz, 'import',
    unnest(sqlc.arg(ids)::uuid[]), unnest(sqlc.arg(directions)::text[]), unnest(sqlc.arg(origins)::text[]), unnest(sqlc.arg(subjects)::bytea[]),
    unnest(sqlc.arg(bodies)::bytea[]), unnest(sqlc.arg(hashes)::bytea[]), unnest(sqlc.arg(provider_ids)::text[]), unnest(sqlc.arg(times)::timestamptz[]);

-- name: HealMessage :exec
UPDATE message SET message_time = sqlc.arg(message_time), provider_message_id = sqlc.arg(provider_message_id)::text,
    subject_enc = coalesce(sqlc.narg(subject_enc), subject_enc), body_enc = coalesce(sqlc.narg(body_enc), body_enc), body_hash = coalesce(sqlc.narg(body_hash), body_hash)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: RememberFormer :exec
INSERT INTO former_message (workspace_id, provider_message_id, message_id, create_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(provider_message_id), sqlc.arg(message_id), sqlc.arg(now)) ON CONFLICT DO NOTHING;

-- name: DeleteMessage :exec
DELETE FROM message WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND origin <> 'OWN';

-- name: StoredMessages :many
SELECT id, provider_message_id::text AS provider_message_id, direction, origin, body_hash, message_time, create_time FROM message
WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel) AND provider_message_id IS NOT NULL;

-- name: EnsureConversation :exec
INSERT INTO conversation (workspace_id, lead_id, channel, next_time) VALUES (sqlc.arg(workspace_id), sqlc.arg(lead_id), sqlc.arg(channel), sqlc.arg(now))
ON CONFLICT DO NOTHING;

-- name: Conversation :one
SELECT * FROM conversation WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel);

-- name: LockConversation :one
SELECT * FROM conversation WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel) FOR UPDATE;

-- name: ListConversations :many
SELECT * FROM conversation WHERE workspace_id = sqlc.arg(workspace_id) AND (lead_id, channel) > (sqlc.arg(after_lead)::uuid, sqlc.arg(after_channel)::text)
    AND (NOT sqlc.arg(unproven)::boolean OR proven_revision IS DISTINCT FROM revision)
ORDER BY lead_id, channel LIMIT sqlc.arg(page);

-- name: SaveCertificate :one
-- What is proven is compared again later, whoever had it compared.
UPDATE conversation SET check_time = sqlc.arg(now)::timestamptz,
    next_time = CASE WHEN sqlc.arg(proven)::boolean THEN greatest(next_time, sqlc.arg(again)::timestamptz) ELSE next_time END,
    proven_time = CASE WHEN sqlc.arg(proven)::boolean THEN sqlc.arg(now)::timestamptz ELSE proven_time END,
    proven_revision = CASE WHEN sqlc.arg(proven)::boolean THEN revision END,
    listed_count = sqlc.arg(listed_count), stored_count = sqlc.arg(stored_count), listed_hash = sqlc.arg(listed_hash), stored_hash = sqlc.arg(stored_hash),
    missing = sqlc.arg(missing), extra = sqlc.arg(extra), altered = sqlc.arg(altered), difference_count = sqlc.arg(difference_count)
WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel) RETURNING *;

-- name: ScheduleConversation :exec
UPDATE conversation SET next_time = sqlc.arg(next_time), lease_until = NULL, failures = sqlc.arg(failures), last_reason = sqlc.arg(reason)
WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel);

-- name: ClaimConversations :many
-- At most some of each workspace, so that a large one does not keep the others waiting, and the workspaces in turn: those
-- after the given one first. The lease is by the database clock.
UPDATE conversation c SET lease_until = clock_timestamp() + interval '2 minutes'
FROM (SELECT d.workspace_id, d.lead_id, d.channel FROM (
        SELECT x.workspace_id FROM (SELECT DISTINCT workspace_id FROM connection) x
        ORDER BY x.workspace_id <= sqlc.arg(after_workspace)::uuid, x.workspace_id) w CROSS JOIN LATERAL (
        SELECT q.workspace_id, q.lead_id, q.channel FROM conversation q WHERE q.workspace_id = w.workspace_id AND q.next_time <= sqlc.arg(now)::timestamptz
            AND (q.lease_until IS NULL OR q.lease_until < clock_timestamp())
        ORDER BY q.next_time LIMIT sqlc.arg(each)::integer FOR UPDATE SKIP LOCKED) d
    WHERE sqlc.narg(only_workspace)::uuid IS NULL OR w.workspace_id = sqlc.narg(only_workspace)::uuid
    LIMIT sqlc.arg(batch)::integer) t
WHERE c.workspace_id = t.workspace_id AND c.lead_id = t.lead_id AND c.channel = t.channel
RETURNING c.workspace_id, c.lead_id, c.channel, c.failures;

-- name: StartSyncRun :exec
INSERT INTO sync_run (id, start_time) VALUES (sqlc.arg(id), sqlc.arg(now));

-- name: CountSync :exec
UPDATE sync_run SET checked = checked + 1, proven = proven + (sqlc.arg(outcome)::text = 'proven')::integer,
    unproven = unproven + (sqlc.arg(outcome)::text = 'unproven')::integer, deferred = deferred + (sqlc.arg(outcome)::text = 'deferred')::integer,
    failed = failed + (sqlc.arg(outcome)::text = 'failed')::integer, imported = imported + sqlc.arg(imported), healed = healed + sqlc.arg(healed)
WHERE id = sqlc.arg(id);

-- name: EndSyncRun :one
UPDATE sync_run SET finished = sqlc.arg(finished), end_time = sqlc.arg(now)::timestamptz WHERE id = sqlc.arg(id) RETURNING *;

-- name: BackfillCount :one
SELECT count(*)::bigint AS leads, count(*) FILTER (WHERE c.lead_id IS NULL)::bigint AS new,
    count(*) FILTER (WHERE c.lead_id IS NULL OR c.check_time IS NULL OR c.check_time < sqlc.arg(since)::timestamptz)::bigint AS waiting
FROM lead l LEFT JOIN conversation c ON c.workspace_id = l.workspace_id AND c.lead_id = l.id AND c.channel = sqlc.arg(channel)
WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.ghl_contact_id IS NOT NULL;

-- name: BackfillStart :exec
INSERT INTO conversation AS c (workspace_id, lead_id, channel, next_time)
SELECT l.workspace_id, l.id, sqlc.arg(channel)::text, sqlc.arg(now)::timestamptz FROM lead l WHERE l.workspace_id = sqlc.arg(workspace_id) AND l.ghl_contact_id IS NOT NULL
ON CONFLICT (workspace_id, lead_id, channel) DO UPDATE SET next_time = least(c.next_time, excluded.next_time)
WHERE c.check_time IS NULL OR c.check_time < sqlc.arg(since)::timestamptz;

-- name: LockPosition :one
SELECT last FROM change_position FOR UPDATE SKIP LOCKED;

-- name: Position :one
SELECT last, floor FROM change_position;

-- name: WaitingChanges :one
SELECT EXISTS (SELECT FROM conversation_change WHERE position IS NULL)::boolean;

-- name: GivePositions :execrows
UPDATE conversation_change c SET position = sqlc.arg(last)::bigint + w.n
FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS n FROM (SELECT seq FROM conversation_change WHERE position IS NULL ORDER BY seq LIMIT 2000) q) w
WHERE c.seq = w.seq;

-- name: RaisePosition :exec
UPDATE change_position SET last = sqlc.arg(last);

-- name: NotifyChanges :exec
SELECT pg_notify('relance_conversation_change', '');

-- name: PruneChanges :one
-- The oldest of a page; positions are given in the order of time, so that what is young ends the search.
WITH gone AS (DELETE FROM conversation_change WHERE seq IN (SELECT o.seq FROM (
        SELECT c.seq, c.create_time FROM conversation_change c WHERE c.position IS NOT NULL ORDER BY c.position LIMIT 5000) o
    WHERE o.create_time < now() - sqlc.arg(keep)::interval) RETURNING position)
SELECT coalesce(max(position), 0)::bigint AS floor, count(*)::bigint AS n FROM gone;

-- name: RaiseFloor :exec
UPDATE change_position SET floor = greatest(floor, sqlc.arg(floor)::bigint);

-- name: ChangesAfter :many
-- Changes with up to 500 messages, or the first alone if it has more.
SELECT w.position::bigint AS position, w.lead_id, w.channel, w.message_id, w.more, w.kind, w.create_time
FROM (SELECT c.position, c.lead_id, c.channel, c.message_id, c.more, c.kind, c.create_time,
        sum(1 + cardinality(c.more)) OVER (ORDER BY c.position) AS messages
    FROM (SELECT n.* FROM conversation_change n WHERE n.workspace_id = sqlc.arg(workspace_id) AND n.position > sqlc.arg(after)::bigint
        ORDER BY n.position LIMIT 500) c) w
WHERE w.messages <= 500 OR w.messages = 1 + cardinality(w.more) ORDER BY w.position;

-- name: MessagesByID :many
SELECT sqlc.embed(m), coalesce(i.state, m.origin)::text AS state, coalesce(i.reason, '')::text AS reason, i.request_id,
    coalesce(i.attempt, 0)::integer AS attempt, i.next_time, coalesce(i.delivery, '')::text AS delivery,
    coalesce(i.duplicate_suspected, false)::boolean AS duplicate_suspected, i.replaces, coalesce(r.action, '')::text AS resolution,
    coalesce(i.provider, '')::text AS provider, i.reply_to
FROM message m LEFT JOIN send_intent i ON i.workspace_id = m.workspace_id AND i.id = m.id
LEFT JOIN send_resolution r ON r.workspace_id = m.workspace_id AND r.intent_id = m.id
WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.id = ANY (sqlc.arg(ids)::uuid[]);

-- name: Verdict :one
SELECT * FROM message_verdict WHERE workspace_id = sqlc.arg(workspace_id) AND message_id = sqlc.arg(message_id);

-- name: Verdicts :many
SELECT message_id, verdict, classifier, update_time FROM message_verdict WHERE workspace_id = sqlc.arg(workspace_id) AND message_id = ANY (sqlc.arg(ids)::uuid[]);

-- name: SaveVerdict :execrows
INSERT INTO message_verdict AS v (workspace_id, message_id, verdict, classifier, create_time, update_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(message_id), sqlc.arg(verdict), sqlc.arg(classifier), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (workspace_id, message_id) DO UPDATE SET verdict = excluded.verdict, classifier = excluded.classifier, update_time = excluded.update_time
WHERE (v.verdict, v.classifier) IS DISTINCT FROM (excluded.verdict, excluded.classifier);

-- name: AddVerdictChange :exec
INSERT INTO conversation_change (workspace_id, lead_id, channel, message_id, kind)
SELECT m.workspace_id, m.lead_id, m.channel, m.id, 'MESSAGE_VERDICT' FROM message m WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.id = sqlc.arg(message_id);

-- name: ReleaseConversation :exec
UPDATE conversation SET lease_until = NULL WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel);
