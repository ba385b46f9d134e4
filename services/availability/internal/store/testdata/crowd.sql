-- 3,000 workspaces, one with 3,000 of everything. The ids are derived: the nth lead is id('lead', n).
SET session_replication_role = replica; -- neither triggers nor foreign keys: this is what they leave behind
SET search_path = availability;
CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(kind || n)::uuid $$;

INSERT INTO availability (workspace_id, source_kind, state, due_time, agency, host, slots, as_of, low_threshold)
SELECT pg_temp.id('workspace', n), kind, CASE WHEN n % 100 = 0 THEN 'unreachable' ELSE 'ok' END, now() + make_interval(mins => n), 'agency-' || n % 10, 'host-' || n % 50,
    ARRAY[now() + interval '1 day', now() + interval '2 days', now() + interval '3 days'], now(), 1
FROM generate_series(1, 3000) n, unnest(ARRAY['default', 'direct_book']) kind;
INSERT INTO calendar_link (workspace_id, id, request_id, display_name, provider, external_id, public_url, is_default, create_time, update_time)
SELECT pg_temp.id('workspace', n), pg_temp.id('link', n), pg_temp.id('request', n), 'Calendar', 'ghl', 'c', 'u', true, now(), now() FROM generate_series(1, 3000) n;
INSERT INTO calendar_link (workspace_id, id, request_id, display_name, provider, external_id, public_url, create_time, update_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('other', n), pg_temp.id('other request', n), 'Calendar', 'ghl', 'c', 'u', now(), now() FROM generate_series(1, 3000) n;
INSERT INTO offer (workspace_id, id, lead_id, request_id, asked, time_zone, starts, labels, state, as_of, public_url, offer_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('offer', n), pg_temp.id('lead', n % 1500), pg_temp.id('request', n), '{}', 'UTC', '{}', '{}', 'ok', now(), '', now() FROM generate_series(1, 3000) n;
INSERT INTO offered_start (workspace_id, source_kind, start_time, times)
SELECT pg_temp.id('workspace', 1), 'default', now() + make_interval(mins => 30 * n), 1 FROM generate_series(1, 3000) n;
INSERT INTO provider_host (host, update_time, open_until) SELECT 'host-' || n, now(), CASE WHEN n < 5 THEN now() END FROM generate_series(1, 3000) n;
INSERT INTO refresh_run (id, request_id, mode, start_time, lease_until, finished) SELECT pg_temp.id('run', n), pg_temp.id('request', n), 'due', now(), now(), true FROM generate_series(1, 3000) n;
INSERT INTO taken_time (workspace_id, provider, calendar, appointment, start_time, end_time, taken_time)
SELECT pg_temp.id('workspace', 1), 'ghl', 'c', 'appointment-' || n, now() + make_interval(mins => 30 * n), now() + make_interval(mins => 30 * n + 30), now() - make_interval(mins => n) FROM generate_series(1, 3000) n;
INSERT INTO taken_time (workspace_id, provider, calendar, appointment, start_time, end_time, taken_time)
SELECT pg_temp.id('workspace', n), 'ghl', 'c', 'appointment-' || n, now(), now() + interval '1 day', now() FROM generate_series(2, 3000) n;
SET session_replication_role = origin;
