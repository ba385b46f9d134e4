-- +goose Up
-- How a workspace's times are chosen and said, and when it is told that there are few.
ALTER TABLE availability
    ADD COLUMN offer_strategy text NOT NULL DEFAULT 'distributed' CHECK (offer_strategy IN ('distributed', 'earliest', 'one_per_day')),
    ADD COLUMN locale text NOT NULL DEFAULT 'en-US' CHECK (length(locale) BETWEEN 1 AND 64),
    ADD COLUMN low_threshold integer NOT NULL DEFAULT 10 CHECK (low_threshold BETWEEN 0 AND 1000),
    -- The Monday of the week in which it was last told.
    ADD COLUMN low_week date NOT NULL DEFAULT '-infinity';
CREATE INDEX availability_low ON availability (low_week) WHERE low_week > '-infinity';

-- +goose Down
DROP INDEX availability_low;
ALTER TABLE availability DROP COLUMN offer_strategy, DROP COLUMN locale, DROP COLUMN low_threshold, DROP COLUMN low_week;
