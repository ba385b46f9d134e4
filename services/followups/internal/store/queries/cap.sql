-- name: LeaveOtherDays :exec
DELETE FROM daily_touch WHERE workspace_id = @workspace_id AND request_id = @request_id AND day <> @day::date;

-- name: TakePlace :execrows
INSERT INTO daily_touch (workspace_id, lead_id, channel, day, place, request_id, create_time)
SELECT @workspace_id, @lead_id, @channel, @day::date, n, @request_id, @now
FROM generate_series(1, @daily_cap::integer) AS n
WHERE NOT EXISTS (SELECT FROM daily_touch AS t WHERE t.workspace_id = @workspace_id AND t.lead_id = @lead_id
    AND t.channel = @channel AND t.day = @day::date AND t.place = n)
ORDER BY n LIMIT 1
ON CONFLICT DO NOTHING;

-- name: HasPlace :one
SELECT EXISTS (SELECT FROM daily_touch WHERE workspace_id = @workspace_id AND request_id = @request_id);

-- name: LeavePlaces :exec
DELETE FROM daily_touch AS t
USING (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@request_ids::uuid[]) AS request_id) AS v
WHERE t.workspace_id = v.workspace_id AND t.request_id = v.request_id;

-- name: ListPlaces :many
SELECT lead_id, channel, day, request_id FROM daily_touch
WHERE workspace_id = @workspace_id AND lead_id = ANY(@lead_ids::uuid[]) AND day >= @from_day::date;
