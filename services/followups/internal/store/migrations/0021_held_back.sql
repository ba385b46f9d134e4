-- +goose Up
-- How often sync held the present step's message back without trying it (an open breaker, a token being refreshed). That is
-- no failed try; it is counted apart, so that it does not go on for ever either.
ALTER TABLE enrollment ADD COLUMN held_back integer NOT NULL DEFAULT 0 CHECK (held_back >= 0);
