-- +goose Up
-- Every running enrollment has one time at which it is looked at next, or none when an event or a person must come first.
-- Paused ones had kept the time of their step, which meant nothing.
SELECT set_config('relance.scope', 'system', true);
UPDATE enrollment SET next_time = CASE
        WHEN state = 'awaiting_outcome' THEN update_time + interval '6 hours'
        WHEN state = 'paused' AND reason = 'lead_replied' THEN update_time + interval '7 days'
        WHEN state = 'paused' AND (reason LIKE 'missing_value%' OR reason IN ('missing_availability', 'provider_not_connected', 'no_business_hours'))
            THEN update_time + interval '1 day'
    END
WHERE state <> 'active';
DROP INDEX enrollment_due;
CREATE INDEX enrollment_look ON enrollment (workspace_id, next_time) WHERE next_time IS NOT NULL;
ALTER TABLE enrollment ADD CONSTRAINT enrollment_ended_has_no_next CHECK (end_time IS NULL OR next_time IS NULL);

-- The transitions of followup.Transitions; a test compares them.
-- +goose StatementBegin
CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM (VALUES
            ('active', 'paused'), ('active', 'awaiting_outcome'), ('active', 'completed'), ('active', 'cancelled'),
            ('paused', 'active'), ('paused', 'completed'), ('paused', 'cancelled'),
            ('awaiting_outcome', 'active'), ('awaiting_outcome', 'paused'), ('awaiting_outcome', 'completed'),
            ('awaiting_outcome', 'cancelled')) AS t (was, becomes) WHERE t.was = OLD.state AND t.becomes = NEW.state) THEN
        RAISE EXCEPTION 'an enrollment does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER enrollment_transition BEFORE UPDATE OF state ON enrollment FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION refuse_transition();
