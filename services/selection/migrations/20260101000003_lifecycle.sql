-- migrate:up
SET lock_timeout = '5s';

-- A draw that is set aside keeps its row, pool, tickets and ranks; the next attempt is another row of the same wave with
-- the same applications. So `wave_id` stands for one attempt, and (programme, wave) for the current one.
-- Yesterday's code can not propose a wave while this is in place and its successor is not; all else it does works.
ALTER TABLE wave ADD attempt integer NOT NULL DEFAULT 1 CHECK (attempt >= 1);
ALTER TABLE wave ADD current boolean NOT NULL DEFAULT true;
ALTER TABLE wave ADD CONSTRAINT wave_set_aside CHECK (current OR state = 'voided');
ALTER TABLE wave ADD CONSTRAINT wave_attempt_once UNIQUE (programme, wave, attempt);
ALTER TABLE wave DROP CONSTRAINT wave_programme_wave_key;
CREATE UNIQUE INDEX wave_current ON wave (programme, wave) WHERE current;

-- Which partitions of the intake do not agree yet with what registration has stated.
ALTER TABLE wave ADD lanes_missing smallint[] NOT NULL DEFAULT '{}';

-- What two officers decide about a wave that was announced: other times, or another draw. Shown to everybody.
CREATE TABLE wave_change (
    change_id      bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    wave_id        integer     NOT NULL REFERENCES wave,
    step           text        NOT NULL CHECK (step IN ('reschedule', 'redraw')),
    opens_at       timestamptz,            -- NULL: stays as it is
    closes_at      timestamptz,
    draws_at       timestamptz,
    reason         text        NOT NULL CHECK (length(reason) >= 10),
    maker_person   text        NOT NULL,
    asked_at       timestamptz NOT NULL,
    checker_person text,
    decided_at     timestamptz,
    CONSTRAINT wave_change_two_people CHECK (checker_person <> maker_person),
    CONSTRAINT wave_change_decided CHECK ((checker_person IS NULL) = (decided_at IS NULL)),
    CONSTRAINT wave_change_times CHECK ((step = 'reschedule') = (num_nonnulls(opens_at, closes_at, draws_at) > 0))
);
-- A checker approves what they have read: while one request waits, a new one takes its place under a number of its own.
CREATE UNIQUE INDEX wave_change_one_waits ON wave_change (wave_id) WHERE decided_at IS NULL;

-- What registration has stated for each partition of a closed intake.
CREATE TABLE intake_lane (
    wave_id integer  NOT NULL REFERENCES wave,
    lane    smallint NOT NULL CHECK (lane >= 0),
    last    integer  NOT NULL CHECK (last >= 1),
    count   integer  NOT NULL CHECK (count BETWEEN 0 AND last),
    digest  bytea    NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (wave_id, lane)
);

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, DELETE, UPDATE (checker_person, decided_at) ON wave_change TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON intake_lane TO %I', app);
END $$;

-- migrate:down
DROP TABLE intake_lane, wave_change;
DROP INDEX wave_current;
DELETE FROM wave WHERE NOT current;  -- stops where a draw was set aside: its ranks must not be lost
ALTER TABLE wave ADD CONSTRAINT wave_programme_wave_key UNIQUE (programme, wave);
ALTER TABLE wave DROP CONSTRAINT wave_attempt_once, DROP CONSTRAINT wave_set_aside,
                 DROP COLUMN lanes_missing, DROP COLUMN current, DROP COLUMN attempt;
