-- migrate:up
SET lock_timeout = '5s';

-- One row per wave that was ever proposed. `wave_id` stands for (programme, wave) in the large tables.
CREATE TABLE wave (
    wave_id     integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    programme   text        NOT NULL,
    wave        integer     NOT NULL CHECK (wave > 0),
    state       text        NOT NULL CHECK (state IN ('proposed', 'announced', 'open', 'closed', 'committed', 'drawn',
                                                      'published', 'voided')),
    seats       integer     NOT NULL CHECK (seats >= 0),   -- without the recycled ones
    recycle     boolean     NOT NULL,
    opens_at    timestamptz NOT NULL,
    closes_at   timestamptz NOT NULL,
    draws_at    timestamptz NOT NULL,

    maker_person    text        NOT NULL,
    proposed_at     timestamptz NOT NULL,
    approver_person text,
    approved_at     timestamptz,

    waiting           text,      -- why a closed or committed wave does not go on; a code, NULL when nothing is missing
    applications_seen integer,   -- how many standing applications there were when it last waited

    commitment   text,           -- the exact bytes that were signed
    signature    bytea     CHECK (octet_length(signature) = 64),
    root         bytea     CHECK (octet_length(root) = 32),
    pool_count   integer,
    beacon_round bigint,
    draw_due_at  timestamptz,    -- when the draw's time has come and the announced round is out
    committed_at timestamptz,

    beacon_signature bytea,
    randomness       bytea   CHECK (octet_length(randomness) = 32),
    seed             bytea   CHECK (octet_length(seed) = 32),
    winners          integer,
    drawn_at         timestamptz,

    announced_up_to uuid,        -- results up to this application id are in the outbox
    announced       integer NOT NULL DEFAULT 0,
    not_selected    integer NOT NULL DEFAULT 0,
    published_at    timestamptz,

    void_reason          text,
    void_maker_person    text,
    void_asked_at        timestamptz,
    void_approver_person text,
    voided_at            timestamptz,

    UNIQUE (programme, wave),
    CONSTRAINT wave_times CHECK (opens_at < closes_at AND closes_at < draws_at),
    CONSTRAINT wave_two_people CHECK (approver_person <> maker_person),
    CONSTRAINT wave_approved CHECK (state IN ('proposed', 'voided') OR approver_person IS NOT NULL),
    CONSTRAINT wave_committed CHECK (state NOT IN ('committed', 'drawn', 'published')
        OR (commitment, signature, root, pool_count, beacon_round, draw_due_at) IS NOT NULL),
    CONSTRAINT wave_randomness_after_commitment CHECK (drawn_at >= draw_due_at AND draw_due_at > committed_at),
    CONSTRAINT wave_drawn CHECK (state NOT IN ('drawn', 'published')
        OR (beacon_signature, randomness, seed, winners, drawn_at) IS NOT NULL),
    CONSTRAINT wave_void_two_people CHECK (void_approver_person <> void_maker_person),
    CONSTRAINT wave_voided CHECK ((state = 'voided') = (void_approver_person IS NOT NULL)
        AND (void_approver_person IS NULL OR (void_reason, void_maker_person, voided_at) IS NOT NULL))
);

-- Who won elsewhere must be known when a pool is frozen: while one pool waits for its draw, no other may be frozen.
CREATE UNIQUE INDEX wave_one_commitment_at_a_time ON wave ((true)) WHERE state = 'committed';
-- The clock asks every minute for waves that may have to move; nearly all are published.
CREATE INDEX wave_alive ON wave (state) WHERE state NOT IN ('published', 'voided');

CREATE TABLE quota (
    wave_id  integer NOT NULL REFERENCES wave,
    province text    NOT NULL CHECK (province ~ '^[0-9]{2}$'),
    tier     text    NOT NULL CHECK (tier IN ('priority', 'public')),
    seats    integer NOT NULL CHECK (seats >= 0),              -- recycled ones included
    recycled integer NOT NULL CHECK (recycled BETWEEN 0 AND seats),
    PRIMARY KEY (wave_id, province, tier)
);

-- What registration has stated for a closed intake.
CREATE TABLE intake (
    wave_id   integer     PRIMARY KEY REFERENCES wave,
    count     integer     NOT NULL CHECK (count >= 0),
    digest    bytea       NOT NULL CHECK (octet_length(digest) = 32),
    stated_at timestamptz NOT NULL
);

-- Ordered by id within the wave: the canonical order of a pool is a range of this key.
CREATE TABLE application (
    wave_id        integer     NOT NULL REFERENCES wave,
    application_id uuid        NOT NULL,
    citizen_id     uuid        NOT NULL,
    household_id   uuid        NOT NULL,
    province       text        NOT NULL CHECK (province ~ '^[0-9]{2}$'),
    tier           text        NOT NULL CHECK (tier IN ('priority', 'public')),
    exclusions     text[]      NOT NULL,
    applied_at     timestamptz NOT NULL,
    withdrawn_at   timestamptz,
    PRIMARY KEY (wave_id, application_id)
);
-- Two standing applications of one citizen would be two tickets.
CREATE UNIQUE INDEX application_one_per_citizen ON application (citizen_id, wave_id) WHERE withdrawn_at IS NULL;

-- Everybody who was ever selected, with the seat they were given. Once per programme is the key; once per lifetime, over
-- all programmes, is a filter of the pool.
CREATE TABLE member (
    citizen_id     uuid    NOT NULL,
    programme      text    NOT NULL,
    wave_id        integer NOT NULL REFERENCES wave,
    application_id uuid    NOT NULL UNIQUE,
    household_id   uuid    NOT NULL,
    seat_province  text    NOT NULL,
    seat_tier      text    NOT NULL,
    revoked_at     timestamptz,
    PRIMARY KEY (citizen_id, programme)
);
CREATE INDEX member_household ON member (household_id, programme) WHERE revoked_at IS NULL;
CREATE INDEX member_wave ON member (wave_id);

-- One row per seat that a revocation has freed; a later wave uses it once.
CREATE TABLE freed_seat (
    citizen_id      uuid        NOT NULL,
    programme       text        NOT NULL,
    seat_id         uuid        NOT NULL UNIQUE DEFAULT gen_random_uuid(),  -- public: derived from nothing
    from_wave_id    integer     NOT NULL REFERENCES wave,
    province        text        NOT NULL,
    tier            text        NOT NULL,
    reason          text        NOT NULL,
    freed_at        timestamptz NOT NULL,
    used_by_wave_id integer     REFERENCES wave,
    PRIMARY KEY (citizen_id, programme),
    FOREIGN KEY (citizen_id, programme) REFERENCES member,
    CHECK (used_by_wave_id <> from_wave_id)
);
CREATE INDEX freed_seat_free ON freed_seat (programme) WHERE used_by_wave_id IS NULL;
CREATE INDEX freed_seat_used ON freed_seat (used_by_wave_id) WHERE used_by_wave_id IS NOT NULL;

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON wave TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON quota TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON intake, application TO %I', app);
    EXECUTE format('GRANT UPDATE (withdrawn_at) ON application TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, DELETE, UPDATE (revoked_at) ON member TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (used_by_wave_id) ON freed_seat TO %I', app);
END $$;

-- migrate:down
DROP TABLE freed_seat, member, application, intake, quota, wave;
