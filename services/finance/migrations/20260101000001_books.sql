-- migrate:up
SET lock_timeout = '5s';

-- The exact copy of every event of the money path: one column for each field of its contracts. Insert-only: the runtime
-- role may neither change nor remove a row. `entry` rises in the order of commits, because the transaction that takes
-- a number holds the lock of the books; so an export is always the beginning of every later export.
CREATE TABLE entry (
    entry            bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    event_id         uuid        NOT NULL UNIQUE,   -- the same event told twice is kept once
    type             text        NOT NULL,
    at               timestamptz NOT NULL,          -- programme time
    programme        text        NOT NULL,
    amount_rupiah    bigint      NOT NULL CHECK (amount_rupiah >= 0),
    citizen_id       uuid,
    wave             integer,
    province         text,
    appropriation_id uuid,
    payout_id        uuid,
    batch_id         uuid,
    milestone        text,
    rail             text,
    attempt          integer     CHECK (attempt >= 1),
    reason           text,
    number           integer     CHECK (number >= 1),
    CHECK (type IN ('appropriation-granted', 'money-reserved', 'incentive-submitted', 'incentive-paid',
                    'incentive-failed', 'incentive-returned', 'reservation-released', 'appropriation-returned')),
    -- A payment tells everything about itself, and nothing else carries a payout.
    CHECK ((type IN ('incentive-submitted', 'incentive-paid', 'incentive-failed', 'incentive-returned'))
           = (num_nonnulls(payout_id, milestone, rail, attempt) = 4)),
    CHECK ((type NOT IN ('appropriation-granted', 'appropriation-returned'))
           = (num_nonnulls(citizen_id, wave, province) = 3)),
    CHECK ((type = 'appropriation-granted') = (appropriation_id IS NOT NULL)),
    CHECK ((type = 'incentive-submitted') = (batch_id IS NOT NULL)),
    CHECK ((type IN ('reservation-released', 'appropriation-returned')) = (number IS NOT NULL))
);
CREATE INDEX entry_of_programme ON entry (programme, entry);

-- The balances of a programme, kept event by event. The identity is a constraint: a movement with one side can not be
-- stored. `available` alone may be below zero for a moment, since the appropriation and the reservations of different
-- citizens arrive without a common order; the proof raises an alarm while it is.
CREATE TABLE book (
    programme              text   PRIMARY KEY,
    events                 bigint NOT NULL DEFAULT 0 CHECK (events >= 0),
    appropriation_rupiah   bigint NOT NULL DEFAULT 0 CHECK (appropriation_rupiah >= 0),
    available_rupiah       bigint NOT NULL DEFAULT 0,
    reserved_rupiah        bigint NOT NULL DEFAULT 0 CHECK (reserved_rupiah >= 0),
    in_flight_rupiah       bigint NOT NULL DEFAULT 0 CHECK (in_flight_rupiah >= 0),
    paid_rupiah            bigint NOT NULL DEFAULT 0 CHECK (paid_rupiah >= 0),
    returned_rupiah        bigint NOT NULL DEFAULT 0 CHECK (returned_rupiah >= 0),
    CONSTRAINT the_identity CHECK (appropriation_rupiah
        = available_rupiah + reserved_rupiah + in_flight_rupiah + paid_rupiah + returned_rupiah)
);

-- What was promised to each member, by where it stands. Nobody can be paid more than was promised to them.
CREATE TABLE reservation (
    citizen_id       uuid   NOT NULL,
    programme        text   NOT NULL,
    reserved_rupiah  bigint NOT NULL CHECK (reserved_rupiah >= 0),
    in_flight_rupiah bigint NOT NULL CHECK (in_flight_rupiah >= 0),
    paid_rupiah      bigint NOT NULL CHECK (paid_rupiah >= 0),
    releases         integer NOT NULL CHECK (releases >= 0),   -- told so far; the next one has the next number
    PRIMARY KEY (citizen_id, programme)
);

-- Each owed amount, as its events told it. The second key says that no milestone of a member is paid under two ids.
CREATE TABLE payout (
    payout_id     uuid    PRIMARY KEY,
    citizen_id    uuid    NOT NULL,
    programme     text    NOT NULL,
    province      text    NOT NULL,
    milestone     text    NOT NULL,
    rail          text    NOT NULL,
    amount_rupiah bigint  NOT NULL CHECK (amount_rupiah >= 0),
    attempt       integer NOT NULL CHECK (attempt >= 1),
    state         text    NOT NULL CHECK (state IN ('submitted', 'paid', 'failed', 'returned')),
    CONSTRAINT one_payout_per_milestone UNIQUE (citizen_id, programme, milestone),
    FOREIGN KEY (citizen_id, programme) REFERENCES reservation
);

-- What was paid, or is on its way, per province, rail and milestone. Counts are of events, so a payout that failed
-- once and was paid at the second attempt counts twice as submitted, once as failed and once as paid.
CREATE TABLE total (
    programme        text   NOT NULL,
    province         text   NOT NULL,
    rail             text   NOT NULL,
    milestone        text   NOT NULL,
    submitted        bigint NOT NULL DEFAULT 0,
    paid             bigint NOT NULL DEFAULT 0,
    failed           bigint NOT NULL DEFAULT 0,
    returned         bigint NOT NULL DEFAULT 0,
    in_flight_rupiah bigint NOT NULL DEFAULT 0 CHECK (in_flight_rupiah >= 0),
    paid_rupiah      bigint NOT NULL DEFAULT 0 CHECK (paid_rupiah >= 0),
    PRIMARY KEY (programme, province, rail, milestone)
);

-- How many events of a programme the last proof covered, and when it was made, in programme time.
CREATE TABLE proof (
    programme text        PRIMARY KEY REFERENCES book,
    events    bigint      NOT NULL,
    proven_at timestamptz NOT NULL
);

-- Disagreements that a proof has found. An alarm stands until a later proof no longer finds it; none is ever removed.
CREATE TABLE alarm (
    alarm           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    programme       text        NOT NULL,
    what            text        NOT NULL,
    account         text        NOT NULL,
    expected_rupiah bigint      NOT NULL,
    found_rupiah    bigint      NOT NULL,
    raised_at       timestamptz NOT NULL,
    cleared_at      timestamptz
);
CREATE UNIQUE INDEX one_standing_alarm ON alarm (programme, what, account) WHERE cleared_at IS NULL;

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON entry TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON book, reservation, payout, total, proof, alarm TO %I', app);
END $$;

-- migrate:down
DROP TABLE alarm, proof, total, payout, reservation, book, entry;
