-- name: InsertMessage :execrows
INSERT INTO message (workspace_id, id, lead_id, channel, direction, origin, subject_enc, body_enc, body_hash,
    provider_message_id, webhook_key, message_time, create_time, arrival)
VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(lead_id), sqlc.arg(channel), sqlc.arg(direction), sqlc.arg(origin), sqlc.arg(subject_enc), sqlc.arg(body_enc), sqlc.arg(body_hash),
    sqlc.arg(provider_message_id), sqlc.arg(webhook_key), sqlc.arg(message_time), sqlc.arg(now), sqlc.arg(arrival))
ON CONFLICT DO NOTHING;

-- name: MessageByProvider :one
SELECT id FROM message WHERE workspace_id = sqlc.arg(workspace_id) AND provider_message_id = sqlc.arg(provider_message_id)::text;

-- name: MessageByWebhook :one
SELECT id FROM message WHERE workspace_id = sqlc.arg(workspace_id) AND webhook_key = sqlc.arg(webhook_key)::text;

-- name: TwinMessage :one
-- A message stored by the other way in (webhook without an id, or history) within two minutes with the same text.
SELECT id, provider_message_id, webhook_key FROM message WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id)
    AND channel = sqlc.arg(channel) AND direction = sqlc.arg(direction) AND body_hash = sqlc.arg(body_hash) AND origin <> 'OWN'
    AND message_time BETWEEN sqlc.arg(at)::timestamptz - interval '2 minutes' AND sqlc.arg(at)::timestamptz + interval '2 minutes'
    AND ((sqlc.arg(by_provider)::boolean AND provider_message_id IS NULL) OR (NOT sqlc.arg(by_provider)::boolean AND webhook_key IS NULL))
ORDER BY abs(extract(epoch FROM message_time - sqlc.arg(at)::timestamptz)), id LIMIT 1;

-- name: AdoptProviderID :exec
UPDATE message SET provider_message_id = sqlc.arg(provider_message_id)::text WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: AdoptWebhookKey :exec
UPDATE message SET webhook_key = sqlc.arg(webhook_key)::text WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: DropImportedTwin :exec
-- History may have stored our own message before its send was settled; the intent's row is the one that stays.
DELETE FROM message WHERE workspace_id = sqlc.arg(workspace_id) AND provider_message_id = sqlc.arg(provider_message_id)::text
    AND id <> sqlc.arg(id) AND origin <> 'OWN';

-- name: AcceptMessage :execrows
UPDATE message SET provider_message_id = sqlc.arg(provider_message_id)::text, message_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: Message :one
SELECT sqlc.embed(m), coalesce(i.state, m.origin)::text AS state, coalesce(i.reason, '')::text AS reason, i.request_id,
    coalesce(i.attempt, 0)::integer AS attempt, i.next_time, coalesce(i.delivery, '')::text AS delivery,
    coalesce(i.duplicate_suspected, false)::boolean AS duplicate_suspected, i.replaces, coalesce(r.action, '')::text AS resolution,
    coalesce(i.provider, '')::text AS provider, i.reply_to
FROM message m LEFT JOIN send_intent i ON i.workspace_id = m.workspace_id AND i.id = m.id
LEFT JOIN send_resolution r ON r.workspace_id = m.workspace_id AND r.intent_id = m.id
WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.id = sqlc.arg(id);

-- name: ListMessages :many
-- After the message that ended the page before, by its place in the index: each half of the place is a value, so that page N costs as
-- page 1.
SELECT sqlc.embed(m), coalesce(i.state, m.origin)::text AS state, coalesce(i.reason, '')::text AS reason, i.request_id,
    coalesce(i.attempt, 0)::integer AS attempt, i.next_time, coalesce(i.delivery, '')::text AS delivery,
    coalesce(i.duplicate_suspected, false)::boolean AS duplicate_suspected, i.replaces, coalesce(r.action, '')::text AS resolution,
    coalesce(i.provider, '')::text AS provider, i.reply_to
FROM message m LEFT JOIN send_intent i ON i.workspace_id = m.workspace_id AND i.id = m.id
LEFT JOIN send_resolution r ON r.workspace_id = m.workspace_id AND r.intent_id = m.id
WHERE m.workspace_id = sqlc.arg(workspace_id)
    AND (m.message_time, m.id) < ((SELECT CASE WHEN sqlc.narg(before)::uuid IS NULL THEN 'infinity' ELSE (SELECT b.message_time FROM message b
            WHERE b.workspace_id = sqlc.arg(workspace_id) AND b.id = sqlc.narg(before)::uuid) END)::timestamptz,
        (SELECT CASE WHEN sqlc.narg(before)::uuid IS NULL THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE sqlc.narg(before)::uuid END))
ORDER BY m.message_time DESC, m.id DESC LIMIT sqlc.arg(page);

-- name: ListLeadMessages :many
-- ListMessages of one lead.
SELECT sqlc.embed(m), coalesce(i.state, m.origin)::text AS state, coalesce(i.reason, '')::text AS reason, i.request_id,
    coalesce(i.attempt, 0)::integer AS attempt, i.next_time, coalesce(i.delivery, '')::text AS delivery,
    coalesce(i.duplicate_suspected, false)::boolean AS duplicate_suspected, i.replaces, coalesce(r.action, '')::text AS resolution,
    coalesce(i.provider, '')::text AS provider, i.reply_to
FROM message m LEFT JOIN send_intent i ON i.workspace_id = m.workspace_id AND i.id = m.id
LEFT JOIN send_resolution r ON r.workspace_id = m.workspace_id AND r.intent_id = m.id
WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.lead_id = sqlc.arg(lead_id)
    AND (m.message_time, m.id) < ((SELECT CASE WHEN sqlc.narg(before)::uuid IS NULL THEN 'infinity' ELSE (SELECT b.message_time FROM message b
            WHERE b.workspace_id = sqlc.arg(workspace_id) AND b.id = sqlc.narg(before)::uuid) END)::timestamptz,
        (SELECT CASE WHEN sqlc.narg(before)::uuid IS NULL THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE sqlc.narg(before)::uuid END))
ORDER BY m.message_time DESC, m.id DESC LIMIT sqlc.arg(page);

-- name: EnsureImport :execrows
INSERT INTO history_import (workspace_id, lead_id, channel) VALUES (sqlc.arg(workspace_id), sqlc.arg(lead_id), sqlc.arg(channel)) ON CONFLICT DO NOTHING;

-- name: HistoryImport :one
SELECT * FROM history_import WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel);

-- name: SavePage :one
-- The place of the next page, and the lead's times of its newest messages where the page raises them; answers the conversation's revision.
WITH touched AS (UPDATE lead SET last_inbound_time = greatest(last_inbound_time, sqlc.narg(inbound)::timestamptz),
        last_outbound_time = greatest(last_outbound_time, sqlc.narg(outbound)::timestamptz), update_time = sqlc.arg(now)::timestamptz
    WHERE lead.workspace_id = sqlc.arg(workspace_id) AND lead.id = sqlc.arg(lead_id)
        AND (greatest(last_inbound_time, sqlc.narg(inbound)::timestamptz), greatest(last_outbound_time, sqlc.narg(outbound)::timestamptz))
            IS DISTINCT FROM (last_inbound_time, last_outbound_time))
UPDATE history_import h SET cursor = sqlc.arg(cursor), pages = pages + 1, imported = imported + sqlc.arg(imported),
    repeated = repeated + sqlc.arg(repeated), done_time = CASE WHEN sqlc.arg(done)::boolean THEN sqlc.arg(now)::timestamptz END
FROM conversation c
WHERE h.workspace_id = sqlc.arg(workspace_id) AND h.lead_id = sqlc.arg(lead_id) AND h.channel = sqlc.arg(channel)
    AND c.workspace_id = h.workspace_id AND c.lead_id = h.lead_id AND c.channel = h.channel
RETURNING c.revision;

-- name: ResetImport :exec
UPDATE history_import SET cursor = '' WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel);
