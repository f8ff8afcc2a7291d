-- migrate:up
SET lock_timeout = '5s';

-- These tables are written once, in the transaction that commits or draws a wave. Nobody who runs the service may change
-- or delete a row: a pool that was committed to and a rank that was drawn stay, also when the wave is voided.
-- The tables with a row per application have no foreign keys: each row would be checked alone, millions of times, in a
-- transaction that holds the wave's row anyway and writes them from one list.

-- The frozen pool in canonical order. The salt hides an entry from whoever only sees its leaf hash.
CREATE TABLE pool_entry (
    wave_id         integer  NOT NULL,
    leaf            integer  NOT NULL CHECK (leaf >= 0),
    application_id  uuid     NOT NULL,
    household_group integer  NOT NULL CHECK (household_group >= 0),
    places          smallint NOT NULL CHECK (places BETWEEN 0 AND 255),
    salt            bytea    NOT NULL CHECK (octet_length(salt) = 16),
    PRIMARY KEY (wave_id, leaf),
    UNIQUE (wave_id, application_id)
);

-- Applications that did not come into the pool, each with the one reason.
CREATE TABLE exclusion (
    wave_id        integer NOT NULL,
    application_id uuid    NOT NULL,
    reason         text    NOT NULL CHECK (reason IN ('blacklist', 'other-aid', 'already-member')),
    PRIMARY KEY (wave_id, application_id)
);

-- The Merkle tree level by level, cut into chunks of at most 4,096 hashes of 32 bytes.
CREATE TABLE merkle (
    wave_id integer  NOT NULL REFERENCES wave,
    level   smallint NOT NULL CHECK (level >= 0),
    chunk   integer  NOT NULL CHECK (chunk >= 0),
    hashes  bytea    NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 131072 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (wave_id, level, chunk)
);
-- Uncompressed, so that a proof reads 32 bytes of a chunk and not the whole of it. Hashes do not compress anyway.
ALTER TABLE merkle ALTER hashes SET STORAGE EXTERNAL;

CREATE TABLE draw_result (
    wave_id       integer NOT NULL,
    leaf          integer NOT NULL,
    ticket        bytea   NOT NULL CHECK (octet_length(ticket) = 32),
    rank          integer CHECK (rank >= 1),          -- NULL: the household had no place left
    seat_province text,
    seat_tier     text,
    PRIMARY KEY (wave_id, leaf),
    CHECK ((seat_province IS NULL) = (seat_tier IS NULL)),
    CHECK (seat_province IS NULL OR rank IS NOT NULL)
);

CREATE TABLE stratum_result (
    wave_id    integer NOT NULL REFERENCES wave,
    province   text    NOT NULL,
    tier       text    NOT NULL,
    seats      integer NOT NULL,
    applicants integer NOT NULL,
    winners    integer NOT NULL CHECK (winners BETWEEN 0 AND applicants),
    cutoff     bytea,
    PRIMARY KEY (wave_id, province, tier),
    CHECK ((winners = 0) = (cutoff IS NULL))
);

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON pool_entry, exclusion, merkle, draw_result, stratum_result TO %I', app);
    -- ANALYZE after each bulk load: the planner must know of a wave before autovacuum comes by.
    EXECUTE format('GRANT MAINTAIN ON application, pool_entry, exclusion, draw_result TO %I', app);
END $$;

-- migrate:down
DROP TABLE stratum_result, draw_result, merkle, exclusion, pool_entry;
