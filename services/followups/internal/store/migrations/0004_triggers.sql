-- +goose Up
-- What enrolls leads by itself, and whether again.
ALTER TABLE sequence
    DROP CONSTRAINT sequence_trigger_known,
    ADD CONSTRAINT sequence_trigger_known CHECK (trigger IN ('manual', 'lead_created', 'no_response', 'setter_reply',
        'meeting_selected', 'reactivation', 'tag_added', 'dnd_set', 'dnd_cleared')),
    ADD COLUMN trigger_minutes      integer NOT NULL DEFAULT 0,
    ADD COLUMN trigger_tag          text NOT NULL DEFAULT '',
    ADD COLUMN trigger_channel      text NOT NULL DEFAULT '' CHECK (trigger_channel IN ('', 'sms', 'email')),
    ADD COLUMN re_enroll            text NOT NULL DEFAULT 'never' CONSTRAINT re_enroll_known CHECK (re_enroll IN ('never', 'always', 'after')),
    ADD COLUMN re_enroll_after_days integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT trigger_has_minutes CHECK ((trigger = 'no_response') = (trigger_minutes > 0)),
    ADD CONSTRAINT trigger_has_tag CHECK ((trigger = 'tag_added') = (trigger_tag <> ''));
CREATE INDEX sequence_triggered ON sequence (workspace_id, trigger) WHERE active AND delete_time IS NULL;
