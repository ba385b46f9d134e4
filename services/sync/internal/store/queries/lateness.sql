-- name: NoteLateness :exec
-- A provider was later than assumed. What was seen before the hold is forgotten.
INSERT INTO provider_lateness (provider, assumption, seen_ms) VALUES (sqlc.arg(provider), sqlc.arg(assumption), sqlc.arg(seen_ms))
ON CONFLICT (provider, assumption) DO UPDATE SET
    seen_ms = CASE WHEN provider_lateness.seen_time > now() - make_interval(secs => sqlc.arg(hold_seconds)::double precision)
        THEN greatest(provider_lateness.seen_ms, excluded.seen_ms) ELSE excluded.seen_ms END,
    sightings = CASE WHEN provider_lateness.seen_time > now() - make_interval(secs => sqlc.arg(hold_seconds)::double precision)
        THEN provider_lateness.sightings + 1 ELSE 1 END,
    seen_time = now();

-- name: Lateness :many
-- What counts of it now.
SELECT provider, assumption, seen_ms FROM provider_lateness
WHERE seen_time > now() - make_interval(secs => sqlc.arg(hold_seconds)::double precision);

-- name: LastAbsence :one
-- Age of the newest complete look that did not show the send of this attempt; 0 when there was none.
SELECT coalesce(max(age_ms), 0)::bigint AS age_ms FROM send_look WHERE workspace_id = sqlc.arg(workspace_id) AND intent_id = sqlc.arg(intent_id)
    AND attempt = sqlc.arg(attempt) AND source = 'list' AND result IN ('absent', 'different');
