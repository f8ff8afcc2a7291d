-- migrate:up
SET lock_timeout = '5s';

-- A citizen contests an exclusion; two officers decide. An upheld appeal takes one seat out of the quota of a later wave
-- before its draw; the wave that excluded the citizen stays as it was drawn.
CREATE TABLE appeal (
    appeal_id           uuid        PRIMARY KEY,
    application_id      uuid        NOT NULL UNIQUE,   -- one appeal per result
    wave_id             integer     NOT NULL REFERENCES wave,
    citizen_id          uuid        NOT NULL,
    household_id        uuid        NOT NULL,          -- a seat by appeal counts against its cap
    contested           uuid        NOT NULL,          -- the event that told the citizen of the exclusion
    reason              text        NOT NULL CHECK (reason IN ('blacklist', 'other-aid', 'already-member', 'household-cap')),
    ground              text        NOT NULL,
    lodged_at           timestamptz NOT NULL,
    state               text        NOT NULL CHECK (state IN ('lodged', 'examined', 'upheld', 'dismissed')),
    finding             text,
    maker_person        text,
    examined_at         timestamptz,
    checker_person      text,
    decided_at          timestamptz,
    used_by_wave_id     integer     REFERENCES wave,
    seat_application_id uuid        UNIQUE,
    CONSTRAINT appeal_two_people CHECK (checker_person <> maker_person),
    CONSTRAINT appeal_examined CHECK (state = 'lodged' OR (finding, maker_person, examined_at) IS NOT NULL),
    CONSTRAINT appeal_decided CHECK ((state IN ('upheld', 'dismissed')) = (checker_person IS NOT NULL)
        AND (checker_person IS NULL) = (decided_at IS NULL)),
    CONSTRAINT appeal_finding_decides CHECK (state NOT IN ('upheld', 'dismissed')
        OR (state = 'upheld') = (finding = 'record-wrong')),
    CONSTRAINT appeal_seat CHECK (used_by_wave_id IS NULL OR (state = 'upheld' AND used_by_wave_id <> wave_id
        AND seat_application_id IS NOT NULL))
);
CREATE INDEX appeal_of_citizen ON appeal (citizen_id);
CREATE INDEX appeal_open ON appeal (lodged_at) WHERE state IN ('lodged', 'examined');
CREATE INDEX appeal_unseated ON appeal (decided_at) WHERE state = 'upheld' AND used_by_wave_id IS NULL;
CREATE INDEX appeal_seated ON appeal (used_by_wave_id, household_id) WHERE used_by_wave_id IS NOT NULL;

-- Seats that appeals take are no longer among the quota's, so recycled ones may be more than what is left to draw.
ALTER TABLE quota ADD appealed integer NOT NULL DEFAULT 0 CHECK (appealed >= 0);
ALTER TABLE quota DROP CONSTRAINT quota_check;
ALTER TABLE quota ADD CONSTRAINT quota_recycled CHECK (recycled BETWEEN 0 AND seats + appealed);

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT UPDATE (seats, appealed) ON quota TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON appeal TO %I', app);
    EXECUTE format('GRANT UPDATE (state, finding, maker_person, examined_at, checker_person, decided_at, used_by_wave_id,'
                   ' seat_application_id) ON appeal TO %I', app);
END $$;

-- migrate:down
ALTER TABLE quota DROP CONSTRAINT quota_recycled;
ALTER TABLE quota ADD CONSTRAINT quota_check CHECK (recycled BETWEEN 0 AND seats);
ALTER TABLE quota DROP COLUMN appealed;
DROP TABLE appeal;
