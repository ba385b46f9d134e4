-- name: LockOffers :exec
-- Offers of a workspace follow one another, so that none chooses what another is choosing. It ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg('workspace')::text, 0));

-- name: OfferByRequest :one
SELECT * FROM offer WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: OfferedTo :many
-- Everything that a lead was ever offered.
SELECT starts FROM offer WHERE workspace_id = @workspace_id AND lead_id = @lead_id;

-- name: OfferedStarts :many
SELECT start_time, times FROM offered_start
WHERE workspace_id = @workspace_id AND source_kind = @source_kind AND start_time >= @since AND start_time < @until;

-- name: InsertOffer :exec
INSERT INTO offer (workspace_id, id, lead_id, request_id, asked, time_zone, starts, labels, state, as_of, public_url, offer_time)
VALUES (@workspace_id, @id, @lead_id, @request_id, @asked, @time_zone, @starts, @labels, @state, @as_of, @public_url, @offer_time);

-- name: CountStarts :exec
INSERT INTO offered_start (workspace_id, source_kind, start_time, times)
SELECT @workspace_id, @source_kind, s, 1 FROM unnest(@starts::timestamptz[]) AS s
ON CONFLICT (workspace_id, source_kind, start_time) DO UPDATE SET times = offered_start.times + 1;

-- name: ForgetStarts :exec
-- Starts that are over are counted no more.
DELETE FROM offered_start WHERE workspace_id = @workspace_id AND source_kind IN ('default', 'direct_book') AND start_time < @before;

-- name: Offers :many
SELECT * FROM offer WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND id > @after ORDER BY id LIMIT @page;

-- name: Health :many
SELECT workspace_id, state, reason, last_error, failures, as_of, due_time, cardinality(slots)::integer AS known,
    upcoming(slots, @now::timestamptz, interval '7 days') AS next_week
FROM availability
WHERE source_kind = @source_kind AND workspace_id > @after AND (cardinality(@states::text[]) = 0 OR state = ANY (@states::text[]))
    AND (@fewer_than::integer = 0
        OR upcoming(slots, @now::timestamptz, interval '7 days') < @fewer_than)
ORDER BY workspace_id LIMIT @page;
