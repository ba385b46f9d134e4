-- +goose Up
-- Without a choice there is no daily cap of followups; sync's legal caps hold in any case.
ALTER TABLE settings
    ALTER COLUMN daily_cap SET DEFAULT 0,
    DROP CONSTRAINT daily_cap_in_range,
    ADD CONSTRAINT daily_cap_in_range CHECK (daily_cap BETWEEN 0 AND 20);
