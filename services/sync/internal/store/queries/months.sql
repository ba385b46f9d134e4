-- name: DatabaseTime :one
SELECT now()::timestamptz AS database_time;

-- name: EnsureMonths :one
SELECT ensure_months(sqlc.arg(parent)::text, sqlc.arg(first)::timestamptz, sqlc.arg(last)::timestamptz)::integer AS made;

-- name: DropMonths :one
SELECT drop_months(sqlc.arg(parent)::text, now() - make_interval(months => sqlc.arg(keep)::integer))::integer AS dropped;
