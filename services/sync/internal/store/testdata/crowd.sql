-- A workspace in which 3,000 of everything happened, and a small one beside it. The ids are derived: the nth lead is id('lead', n).
SET session_replication_role = replica; -- neither triggers nor foreign keys: this is what they leave behind
SET search_path = sync;
CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(kind || n)::uuid $$;
CREATE FUNCTION pg_temp.hash(n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT sha256(n::text::bytea) $$;

INSERT INTO workspace (id, display_name, time_zone, create_time, update_time)
SELECT pg_temp.id('workspace', n), 'Workspace ' || n, 'UTC', now() - interval '30 days', now() - interval '30 days' FROM generate_series(1, 3000) n;
INSERT INTO connection (workspace_id, provider, location, token_enc, state, state_time, auth, app, company, access_expire_time, last_success_time)
SELECT pg_temp.id('workspace', n), 'ghl', 'location-' || n, '', 'CONNECTED', now(), 'AGENCY', 'app', 'company-' || n / 10, now() + interval '1 hour', now() FROM generate_series(1, 3000) n;
INSERT INTO webhook_secret (id, workspace_id, source, purpose, digest, create_time)
SELECT pg_temp.id('secret', n), pg_temp.id('workspace', n), 'workflow', 'token', pg_temp.hash(n), now() FROM generate_series(1, 3000) n;
INSERT INTO poll_state (workspace_id, location, cursor_time, next_time, span_seconds)
SELECT pg_temp.id('workspace', n), 'location-' || n, now(), now() + make_interval(secs => n), 60 FROM generate_series(1, 3000) n;
INSERT INTO appointment_poll (workspace_id, provider, next_time)
SELECT pg_temp.id('workspace', n), 'ghl', now() + make_interval(secs => n) FROM generate_series(1, 3000) n;
INSERT INTO ingestion_hour (workspace_id, hour, delivered, found, late)
SELECT pg_temp.id('workspace', n), date_trunc('hour', now()) - make_interval(hours => h), 1, 1, 1 FROM generate_series(1, 3000) n, generate_series(1, 3) h;
INSERT INTO agency (app, company, token_enc, refresh_enc, access_expire_time, state_time)
SELECT 'app', 'company-' || n, '', '', now() + interval '1 hour', now() FROM generate_series(1, 3000) n;
INSERT INTO provider_budget (provider, app, account, limit_calls, limit_interval_ms, tat, read_tat)
SELECT 'ghl', 'app', 'location-' || n, 100, 10000, now(), now() FROM generate_series(1, 3000) n;

INSERT INTO lead (workspace_id, id, ghl_contact_id, phone, email, create_time, update_time, last_inbound_time)
SELECT pg_temp.id('workspace', 1 + (n > 3000)::integer), pg_temp.id('lead', n), 'contact-' || n, '+1555' || n, n || '@example.com', now(), now(), now()
FROM generate_series(1, 3020) n;
INSERT INTO lead_address (workspace_id, lead_id, email) SELECT workspace_id, id, email FROM lead;
INSERT INTO lead_channel (workspace_id, lead_id, channel, status, source, update_time) SELECT workspace_id, id, 'sms', 'DND', 'dnd_webhook', now() FROM lead;
INSERT INTO lead_evidence (workspace_id, lead_id, kind, provider_time) SELECT workspace_id, id, 'contact', now() FROM lead;
INSERT INTO former_contact (workspace_id, contact_id, lead_id, create_time) SELECT workspace_id, 'former-' || ghl_contact_id, id, now() FROM lead;
INSERT INTO lead_conflict (workspace_id, id, lead_id, holder_id, key, value, resolution, resolver, create_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('conflict', n), pg_temp.id('lead', n), pg_temp.id('lead', n + 1), 'phone', '+1555', r, r, now()
FROM generate_series(1, 2900) n, LATERAL (SELECT CASE WHEN n % 2 = 0 THEN 'KEPT' ELSE '' END AS r) x;
INSERT INTO history_import (workspace_id, lead_id, channel) SELECT workspace_id, id, 'sms' FROM lead;
INSERT INTO conversation (workspace_id, lead_id, channel, revision, next_time, check_time, proven_revision)
SELECT workspace_id, id, 'sms', 2, now() + make_interval(secs => row_number() OVER () - 100), now(), CASE WHEN row_number() OVER () % 2 = 0 THEN 2 END FROM lead;
INSERT INTO conversation_change (position, workspace_id, lead_id, channel, message_id, kind, create_time)
SELECT n, pg_temp.id('workspace', 1), pg_temp.id('lead', n), 'sms', pg_temp.id('message', n), 'MESSAGE_ADDED', now() - interval '1 hour' FROM generate_series(1, 3000) n;
UPDATE change_position SET last = 3000;

INSERT INTO message (workspace_id, id, lead_id, channel, direction, origin, body_enc, body_hash, provider_message_id, webhook_key, message_time, create_time, arrival)
SELECT pg_temp.id('workspace', 1), pg_temp.id(CASE WHEN n % 2 = 0 THEN 'intent' ELSE 'message' END, n), pg_temp.id('lead', 1 + n % 3000), 'sms',
    CASE WHEN n % 2 = 0 THEN 'outbound' ELSE 'inbound' END, CASE WHEN n % 2 = 0 THEN 'OWN' ELSE 'RECEIVED' END, '', pg_temp.hash(n),
    'message-' || n, 'key-' || n, now() - make_interval(secs => n), now(), 'webhook' FROM generate_series(1, 12000) n;
INSERT INTO message_verdict (workspace_id, message_id, verdict, classifier, create_time, update_time)
SELECT workspace_id, id, 'positive', 'x', now(), now() FROM message WHERE direction = 'inbound';
INSERT INTO reply_target (workspace_id, message_id, provider, target_enc, create_time)
SELECT workspace_id, id, 'smartlead', '', now() FROM message WHERE direction = 'inbound';
INSERT INTO former_message (workspace_id, provider_message_id, message_id, create_time) SELECT workspace_id, 'former-' || provider_message_id, id, now() FROM message;

-- Sends: 4,000 that are done, and 500 each that are planned for later, may be sent again later, wait for a look that is due later, and are parked.
INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash, policy, state, reason, attempt,
    next_time, intent_at, lease_until, provider_message_id, create_time, update_time, claim_from, claim_time, next_look, purpose)
SELECT pg_temp.id('workspace', 1), pg_temp.id('intent', 2 * n), pg_temp.id('lead', 1 + 2 * n % 3000), 'sms', pg_temp.id('request', n), '', '', '', '', 'resend', state,
    CASE state WHEN 'PARKED' THEN 'SEND_AMBIGUOUS' ELSE '' END, CASE state WHEN 'PLANNED' THEN 0 ELSE 1 END, now() + interval '1 day', now() - make_interval(secs => n),
    now(), CASE WHEN state = 'ACCEPTED' THEN 'message-' || 2 * n END, now(), now() - interval '1 hour', now() - make_interval(secs => n), now() - make_interval(secs => n),
    CASE state WHEN 'UNKNOWN' THEN now() + interval '1 day' END, 'follow_up'
FROM (SELECT n, (ARRAY['PLANNED', 'RETRYABLE', 'UNKNOWN', 'PARKED', 'ACCEPTED'])[least(5, 1 + (n - 1) / 500)] AS state FROM generate_series(1, 6000) n) s;
INSERT INTO send_attempt (workspace_id, intent_id, attempt) SELECT workspace_id, id, 1 FROM send_intent WHERE attempt > 0;
INSERT INTO send_look (workspace_id, intent_id, attempt, source, age_ms, result) SELECT workspace_id, id, 1, 'list', 1, 'absent' FROM send_intent WHERE attempt > 0;
INSERT INTO send_resolution (workspace_id, intent_id, request_id, action, principal, create_time)
SELECT workspace_id, id, request_id, 'ACCEPTED', 'admin', now() FROM send_intent WHERE state = 'ACCEPTED';

INSERT INTO opt_out (workspace_id, id, lead_id, channel, address, source, state, review, push, opt_out_time, create_time, lifted_by, lift_reason, lift_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('opt_out', n), pg_temp.id('lead', n), 'sms', '+1555' || n, 'inbound_text', state,
    CASE WHEN n % 2 = 0 THEN 'PENDING' ELSE 'NONE' END, 'VERIFIED', now(), now(), lifted, lifted, CASE lifted WHEN '' THEN NULL ELSE now() END
FROM generate_series(1, 3000) n, LATERAL (SELECT CASE WHEN n % 3 = 0 THEN 'LIFTED' ELSE 'ACTIVE' END AS state, CASE WHEN n % 3 = 0 THEN 'admin' ELSE '' END AS lifted) x;
INSERT INTO contact_link (workspace_id, id, lead_id, request_id, state, contact, how, reason, next_time, create_time, update_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('link', n), pg_temp.id('lead', n), pg_temp.id('request', n), state, CASE state WHEN 'LINKED' THEN 'contact-' || n ELSE '' END,
    CASE state WHEN 'LINKED' THEN 'FOUND' ELSE '' END, CASE state WHEN 'REFUSED' THEN 'NO_KEY' ELSE '' END, CASE state WHEN 'PLANNED' THEN now() + interval '1 day' END, now(), now()
FROM (SELECT n, (ARRAY['LINKED', 'REFUSED', 'PLANNED', 'LINKED'])[1 + n % 4] AS state FROM generate_series(1, 3000) n) s;
INSERT INTO booking (workspace_id, provider, provider_id, lead_id, calendar, status, final, start_time, end_time, provider_time, create_time, update_time, stored_at)
SELECT pg_temp.id('workspace', 1), 'ghl', 'booking-' || n, pg_temp.id('lead', n), 'calendar', 'booked', false, now() + make_interval(mins => n), now() + make_interval(mins => n + 30),
    now(), now(), now(), now() - make_interval(secs => n) FROM generate_series(1, 3000) n;
INSERT INTO booking_intent (workspace_id, id, lead_id, request_id, provider, calendar, calendar_link, start_time, end_time, state, appointment, create_time, update_time)
SELECT pg_temp.id('workspace', 1), pg_temp.id('booking', n), pg_temp.id('lead', n), pg_temp.id('request', n), 'ghl', 'calendar', 'l', now(), now() + interval '1 hour',
    CASE WHEN n % 2 = 0 THEN 'BOOKED' ELSE 'REFUSED' END, CASE WHEN n % 2 = 0 THEN 'booking-' || n ELSE '' END, now(), now() FROM generate_series(1, 3000) n;

INSERT INTO webhook_inbox (id, workspace_id, source, webhook_id, event_type, location, body_enc, state, error_reason, create_time, process_time, next_time)
SELECT pg_temp.id('inbox', n), pg_temp.id('workspace', 1 + (n > 6990)::integer), 'marketplace', 'webhook-' || n, CASE WHEN n % 2 = 0 THEN 'InboundMessage' ELSE 'ContactUpdate' END, 'location-1', '', state, '', now() - make_interval(secs => n),
    CASE state WHEN 'PENDING' THEN NULL ELSE now() - make_interval(secs => n) END, now() + interval '1 day'
FROM (SELECT n, (ARRAY['PENDING', 'PARKED', 'UNROUTED', 'IGNORED', 'PROCESSED'])[least(5, 1 + (n - 1) / 500)] AS state FROM generate_series(1, 7000) n) s;
INSERT INTO outbox (id, workspace_id, lead_id, type, payload, create_time, delivered_time)
SELECT pg_temp.id('event', n), pg_temp.id('workspace', 1), pg_temp.id('lead', n), 'updated', '{}', now(), CASE WHEN n <= 2900 THEN now() END FROM generate_series(1, 3000) n;
INSERT INTO sync_run (id, start_time) SELECT pg_temp.id('run', n), now() FROM generate_series(1, 3000) n;
SET session_replication_role = origin;
