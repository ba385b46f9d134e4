-- name: TellLow :many
-- Workspaces whose calendar is well and has few free times in the next 7 days, told once in a week.
WITH low AS (
    SELECT l.workspace_id, upcoming(l.slots, @now::timestamptz, interval '7 days') AS left_week, l.low_threshold FROM availability l
    WHERE l.source_kind = 'default' AND l.state IN ('ok', 'empty') AND l.low_threshold > 0 AND l.low_week < @week::date AND l.as_of > @fresh_since::timestamptz
        AND upcoming(l.slots, @now::timestamptz, interval '7 days') < l.low_threshold
    ORDER BY l.workspace_id LIMIT @batch FOR UPDATE SKIP LOCKED)
UPDATE availability a SET low_week = @week::date FROM low WHERE a.workspace_id = low.workspace_id AND a.source_kind = 'default'
RETURNING a.workspace_id, low.left_week, low.low_threshold;

-- name: CountLow :one
-- The second condition names the index.
SELECT count(*) FROM availability WHERE low_week = @week::date AND low_week > '-infinity';
