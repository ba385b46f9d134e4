-- A workspace in which 3,000 of everything happened, and others with little. The ids are derived: the nth lead is id('lead', n).
SET session_replication_role = replica; -- neither triggers nor foreign keys: this is what they leave behind
SET search_path = followups;
CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(kind || n)::uuid $$;

INSERT INTO settings (workspace_id, work_start, work_end, work_days, sender_name, company_name, target_result, questions, update_time)
SELECT pg_temp.id('workspace', n), 540, 1080, '{1,2,3,4,5}', '', '', '', '{}', now() FROM generate_series(1, 3000) n;
INSERT INTO sequence (workspace_id, id, display_name, active, trigger, version, request_id, create_time, update_time)
SELECT pg_temp.id('workspace', CASE WHEN n <= 300 THEN 1 ELSE n END), pg_temp.id('sequence', n), 'Sequence ' || n, n % 20 = 0, 'manual', 1, pg_temp.id('request', n), now(), now()
FROM generate_series(1, 500) n;
INSERT INTO sequence_version (workspace_id, sequence_id, version, sealed, create_time) SELECT workspace_id, id, 1, true, now() FROM sequence;
INSERT INTO sequence_step (workspace_id, sequence_id, version, position, channel, delay_days, delay_minutes, subject_template, body_template, step_id)
SELECT workspace_id, id, 1, p, 'sms', 0, 0, '', 'b', 'step-' || p FROM sequence, generate_series(1, 3) p;

-- Enrollments: of 6,000 half have ended, 2,000 are due later, and 1,000 are paused. Every sequence of the workspace has its share.
INSERT INTO enrollment (workspace_id, id, lead_id, sequence_id, sequence_version, state, reason, position, base_time, due_time, next_time, start_time, replied_since,
    end_time, request_id, create_time, update_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('enrollment', n), pg_temp.id('lead', n % 3000), pg_temp.id('sequence', 1 + (n + n / 3000) % 300), 1, state,
    CASE state WHEN 'paused' THEN 'REPLIED' ELSE '' END, 1, now(), CASE state WHEN 'active' THEN now() + interval '1 day' END,
    CASE state WHEN 'active' THEN now() + interval '1 day' END, now(), now(), CASE state WHEN 'completed' THEN now() END, pg_temp.id('request', n), now(), now()
FROM (SELECT n, (ARRAY['completed', 'active', 'completed', 'active', 'completed', 'paused'])[1 + n / 10 % 6] AS state FROM generate_series(1, 6000) n) s;
INSERT INTO step_plan (workspace_id, request_id, enrollment_id, version, position, part, subject, body, html, create_time)
SELECT workspace_id, request_id, id, 1, 1, 0, '', '', '', now() FROM enrollment;
INSERT INTO task (workspace_id, id, lead_id, enrollment_id, version, position, part, channel, state, create_time, kind)
SELECT workspace_id, pg_temp.id('task', row_number() OVER ()), lead_id, id, 1, 1, 0, 'sms', CASE WHEN state = 'completed' THEN 'completed' ELSE 'pending' END, now(), 'step' FROM enrollment;
INSERT INTO decision (workspace_id, enrollment_id, sequence_version, position, part, move, reason, outcome, message, checks, first_time, last_time)
SELECT workspace_id, id, 1, 1, 0, 'wait', '', 'waiting', '', '[]', now(), now() FROM enrollment;
INSERT INTO lead_event (workspace_id, event_id, lead_id, type, event_time, handle_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('event', n), pg_temp.id('lead', n % 3000), CASE WHEN n % 2 = 0 THEN 'replied' ELSE 'updated' END, now(), now() FROM generate_series(1, 9000) n;
INSERT INTO daily_touch (workspace_id, lead_id, channel, day, place, request_id, create_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('lead', n), 'sms', '2026-01-01', 1, pg_temp.id('request', n), now() FROM generate_series(1, 3000) n;
INSERT INTO booking (workspace_id, lead_id, booking_id, state, booking_time, event_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('lead', n), 'booking-' || n, 'booked', now() + interval '1 day', now() FROM generate_series(1, 3000) n;
INSERT INTO silence_watch (workspace_id, lead_id, sequence_id, since, due_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('lead', n), pg_temp.id('sequence', 1 + n % 3), now(), now() + interval '1 day' FROM generate_series(1, 3000) n;
INSERT INTO unread_reply (workspace_id, event_id, lead_id, message, event_time, next_time, end_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('event', n), pg_temp.id('lead', n), '', now(), now() + interval '1 day', now() + interval '2 days' FROM generate_series(1, 3000) n;
INSERT INTO run (id, request_id, finished, start_time, end_time, silence_enabled) SELECT pg_temp.id('run', n), pg_temp.id('request', n), true, now(), now(), false FROM generate_series(1, 3000) n;
INSERT INTO run_item (workspace_id, run_id, id, enrollment_id, lead_id, position, outcome, reason, message, create_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('run', 1 + n / 10), pg_temp.id('item', n), pg_temp.id('enrollment', n % 6000), pg_temp.id('lead', n % 3000), 1, 'succeeded', '', '', now()
FROM generate_series(1, 9000) n;
INSERT INTO run_silence (run_id, workspace_id, outcome, watches) SELECT pg_temp.id('run', n), pg_temp.id('workspace', 1), 'enrolled', 1 FROM generate_series(1, 3000) n;
SET session_replication_role = origin;
