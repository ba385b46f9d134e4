-- name: TakenSince :many
-- Times taken by appointments that became known at or after a moment, and are not over.
SELECT calendar, start_time, end_time FROM taken_time
WHERE workspace_id = @workspace_id AND provider = @provider AND taken_time >= @since AND end_time >= @now
ORDER BY start_time;

-- name: TakeTime :exec
-- A row that says the same is left alone, so that nobody hears of a change that is none.
INSERT INTO taken_time AS t (workspace_id, provider, calendar, appointment, start_time, end_time, taken_time)
VALUES (@workspace_id, @provider, @calendar, @appointment, @start_time, @end_time, @taken_time)
ON CONFLICT (workspace_id, provider, appointment) DO UPDATE SET calendar = excluded.calendar, start_time = excluded.start_time,
    end_time = excluded.end_time, taken_time = excluded.taken_time
WHERE (t.calendar, t.start_time, t.end_time, t.taken_time)
    IS DISTINCT FROM (excluded.calendar, excluded.start_time, excluded.end_time, excluded.taken_time);

-- name: GiveBackTime :exec
DELETE FROM taken_time WHERE workspace_id = @workspace_id AND provider = @provider AND appointment = @appointment;

-- name: ForgetTaken :exec
DELETE FROM taken_time WHERE (workspace_id, provider, appointment) IN (
    SELECT t.workspace_id, t.provider, t.appointment FROM taken_time t WHERE t.end_time < @before LIMIT 1000);

-- name: TakenCursor :one
SELECT cursor FROM taken_feed;

-- name: MoveTakenCursor :execrows
UPDATE taken_feed SET cursor = @next WHERE cursor = @before;
