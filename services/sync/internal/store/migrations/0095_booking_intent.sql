-- +goose Up
-- Wishes for appointments: the permanent dedupe of bookings (docs/availability.md, "Booking"). Leases and looks go by the
-- database's clock, all other times are business time.
CREATE TABLE booking_intent (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    request_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('ghl', 'calendly')),
    calendar text NOT NULL,
    -- As the caller asked: empty for the default link.
    calendar_link text NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL CHECK (end_time > start_time),
    state text NOT NULL CHECK (state IN ('PLANNED', 'CALLING', 'UNKNOWN', 'BOOKED', 'REFUSED', 'PARKED')),
    reason text NOT NULL DEFAULT '',
    reason_meta jsonb NOT NULL DEFAULT '{}',
    -- Number of claims; also the fence.
    attempt integer NOT NULL DEFAULT 0,
    -- Business time of the newest claim; intent_at is the same by the database's clock.
    claim_time timestamptz,
    intent_at timestamptz,
    lease_until timestamptz,
    looks integer NOT NULL DEFAULT 0,
    failed_looks integer NOT NULL DEFAULT 0,
    next_look timestamptz,
    -- The provider's id of the appointment.
    appointment text NOT NULL DEFAULT '',
    state_time timestamptz NOT NULL DEFAULT now(),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT booking_intent_request UNIQUE (workspace_id, request_id),
    CHECK ((state = 'BOOKED') = (appointment <> '')),
    FOREIGN KEY (workspace_id, lead_id) REFERENCES lead (workspace_id, id)
);
-- One booking of a lead is under way: a second cannot overtake an unresolved first one.
CREATE UNIQUE INDEX booking_one_live ON booking_intent (workspace_id, lead_id) WHERE state IN ('CALLING', 'UNKNOWN');
CREATE INDEX booking_intent_lease ON booking_intent (lease_until) WHERE state = 'CALLING';
CREATE INDEX booking_intent_look ON booking_intent (next_look) WHERE state = 'UNKNOWN';
CREATE INDEX booking_intent_planned ON booking_intent (state_time) WHERE state = 'PLANNED';
-- Bookings that evidence may still settle.
CREATE INDEX booking_intent_open ON booking_intent (workspace_id, lead_id, start_time)
    WHERE state IN ('CALLING', 'UNKNOWN', 'PARKED') OR reason = 'BOOKING_ABSENT';

-- Every call and every look, for the person who has to decide.
CREATE TABLE booking_step (
    workspace_id uuid NOT NULL,
    intent_id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- call: the provider was asked to book; look: its lists were read; lease: the caller was gone; evidence: a webhook or poll.
    kind text NOT NULL CHECK (kind IN ('call', 'look', 'lease', 'evidence')),
    rule text NOT NULL DEFAULT '',
    -- A short name of what was seen; no words of the provider's.
    code text NOT NULL DEFAULT '',
    http_status integer NOT NULL DEFAULT 0,
    latency_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, intent_id, seq),
    FOREIGN KEY (workspace_id, intent_id) REFERENCES booking_intent (workspace_id, id)
);

-- +goose StatementBegin
CREATE FUNCTION booking_intent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'bookings are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.attempt < OLD.attempt OR NEW.request_id <> OLD.request_id OR NEW.lead_id <> OLD.lead_id OR NEW.provider <> OLD.provider
        OR NEW.calendar <> OLD.calendar OR NEW.start_time <> OLD.start_time OR (OLD.appointment <> '' AND NEW.appointment <> OLD.appointment) THEN
        RAISE EXCEPTION 'booking identity, fence or appointment changed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    NEW.state_time := now();
    IF (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'PLANNED>CALLING', 'PLANNED>BOOKED', 'PLANNED>REFUSED',
        'CALLING>BOOKED', 'CALLING>REFUSED', 'CALLING>PLANNED', 'CALLING>UNKNOWN',
        'UNKNOWN>BOOKED', 'UNKNOWN>REFUSED', 'UNKNOWN>PARKED', 'PARKED>BOOKED']) THEN
        RETURN NEW;
    END IF;
    IF OLD.state = 'REFUSED' AND OLD.reason = 'BOOKING_ABSENT' AND NEW.state = 'BOOKED' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'booking may not move from % to %', OLD.state, NEW.state USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE FUNCTION booking_step_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'steps of bookings are append only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER booking_intent_guard BEFORE UPDATE OR DELETE ON booking_intent FOR EACH ROW EXECUTE FUNCTION booking_intent_guard();
CREATE TRIGGER booking_step_guard BEFORE UPDATE OR DELETE ON booking_step FOR EACH ROW EXECUTE FUNCTION booking_step_guard();

-- Calendly is a connection like another.
ALTER TABLE connection DROP CONSTRAINT connection_provider_check;
ALTER TABLE connection ADD CONSTRAINT connection_provider_check
    CHECK (provider IN ('ghl', 'emailbison', 'smartlead', 'instantly', 'calendly'));

-- Where an appointment stands, in full; and what availability has to know of it: since when its time is known to be taken,
-- and when that was stored, by the database's clock, for a feed that misses nothing.
ALTER TABLE booking DROP CONSTRAINT booking_status_check;
ALTER TABLE booking
    ADD CONSTRAINT booking_status_check CHECK (status IN ('booked', 'cancelled', 'moved', 'showed', 'no_show')),
    ADD COLUMN taken_time timestamptz,
    ADD COLUMN stored_at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX booking_stored ON booking (stored_at, workspace_id, provider, provider_id);

-- +goose StatementBegin
CREATE FUNCTION booking_stored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stored_at := clock_timestamp();
    RETURN NEW;
END $$;
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['booking_intent', 'booking_step']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''relance.scope'', true) = ''system'' '
            'OR workspace_id = nullif(current_setting(''relance.workspace_id'', true), '''')::uuid)', t);
    END LOOP;
END $$;
-- +goose StatementEnd
CREATE TRIGGER booking_stored BEFORE UPDATE ON booking FOR EACH ROW EXECUTE FUNCTION booking_stored();

-- +goose Down
DROP TRIGGER booking_stored ON booking;
DROP FUNCTION booking_stored;
DROP INDEX booking_stored;
ALTER TABLE booking DROP COLUMN taken_time, DROP COLUMN stored_at;
DROP TABLE booking_step, booking_intent;
DROP FUNCTION booking_intent_guard, booking_step_guard;
