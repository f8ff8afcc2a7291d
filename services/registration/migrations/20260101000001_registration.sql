-- migrate:up
SET lock_timeout = '5s';

-- A person who registered. Contact data is ciphertext under the person's own key; e-mail and phone are found by keyed
-- hashes. Erasure empties what points at the person and leaves the bare id, which applications and events name.
CREATE TABLE citizen (
    citizen_id         uuid        NOT NULL PRIMARY KEY,
    registration_id    uuid        NOT NULL,   -- made by the client: the same again is the same person
    email_index        bytea,
    phone_index        bytea,
    contact            bytea,
    registered_at      timestamptz NOT NULL,
    email_confirmed_at timestamptz,
    erased_at          timestamptz,
    CONSTRAINT citizen_registration_once UNIQUE (registration_id),
    CONSTRAINT citizen_email_once UNIQUE (email_index),
    CONSTRAINT citizen_phone_once UNIQUE (phone_index),
    CONSTRAINT citizen_erased_is_empty CHECK (
        erased_at IS NULL AND num_nulls(email_index, phone_index, contact) = 0
        OR erased_at IS NOT NULL AND num_nonnulls(email_index, phone_index, contact) = 0)
);

-- The key of each citizen, wrapped by a key that is not in any database. In a table of its own, so that its backups can
-- be kept for a shorter time: without this row everything sealed for the citizen is noise, in old backups too.
CREATE TABLE citizen_key (
    citizen_id uuid  NOT NULL PRIMARY KEY,
    wrapped    bytea NOT NULL
);

-- One family card. Other services see only the opaque household_id.
CREATE TABLE household (
    household_id uuid  NOT NULL PRIMARY KEY,
    kk_index     bytea NOT NULL,
    CONSTRAINT household_kk_once UNIQUE (kk_index)
);

-- Who a citizen says they are, and what the civil registry found. The last statement counts: each has a new reference,
-- and an answer about an older one finds no row.
CREATE TABLE identity (
    citizen_id       uuid        NOT NULL PRIMARY KEY REFERENCES citizen,
    nik_index        bytea       NOT NULL,
    household_id     uuid        NOT NULL REFERENCES household,
    sealed           bytea       NOT NULL,   -- NIK, KK, name, birth date
    province         text        NOT NULL CHECK (province ~ '^[0-9]{2}$'),
    occupation       text        NOT NULL,
    in_education     boolean     NOT NULL,
    nik_disagrees    boolean     NOT NULL,   -- the NIK shows another birth date: a warning, never a bar
    state            text        NOT NULL CHECK (state IN ('checking', 'verified', 'mismatch', 'not-found')),
    mismatch_field   text        CHECK (mismatch_field IN ('kk', 'name', 'birth_date')),
    blacklisted      boolean     NOT NULL DEFAULT false,
    other_aid        boolean     NOT NULL DEFAULT false,
    laid_off_listed  boolean     NOT NULL DEFAULT false,
    submissions      integer     NOT NULL DEFAULT 1 CHECK (submissions > 0),
    submitted_at     timestamptz NOT NULL,
    check_reference  uuid        NOT NULL,
    check_attempts   integer     NOT NULL DEFAULT 0,
    check_due_at     timestamptz,
    checked_at       timestamptz,
    CONSTRAINT identity_due_while_checking CHECK ((state = 'checking') = (check_due_at IS NOT NULL)),
    CONSTRAINT identity_field_of_mismatch CHECK ((state = 'mismatch') = (mismatch_field IS NOT NULL))
);
-- One NIK, one person. Data the registry has refused holds no NIK, or a stranger's typing error could lock the owner out.
CREATE UNIQUE INDEX identity_nik_once ON identity (nik_index) WHERE state IN ('checking', 'verified');
CREATE UNIQUE INDEX identity_check_reference ON identity (check_reference);
CREATE INDEX identity_check_due ON identity (check_due_at, citizen_id) WHERE state = 'checking';
CREATE INDEX identity_household ON identity (household_id);

-- Six digits on their way to a person. Only a keyed hash is kept; sent_at limits how often a new one is made.
CREATE TABLE code (
    citizen_id uuid        NOT NULL REFERENCES citizen,
    purpose    text        NOT NULL CHECK (purpose IN ('e-mail', 'sign-in')),
    hash       bytea       NOT NULL,
    made_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    failures   integer     NOT NULL DEFAULT 0,
    made_today integer     NOT NULL DEFAULT 1,
    PRIMARY KEY (citizen_id, purpose)
);

-- What is to be sent by SMS or e-mail. The text is deleted once the gateway has it; the row stays as the trace.
CREATE TABLE message (
    message_id uuid        NOT NULL PRIMARY KEY,   -- the reference by which the gateway tells a repeat
    citizen_id uuid        NOT NULL,
    channel    text        NOT NULL CHECK (channel IN ('sms', 'e-mail')),
    sealed     bytea,                              -- recipient and text
    made_at    timestamptz NOT NULL,
    attempts   integer     NOT NULL DEFAULT 0,
    due_at     timestamptz,
    sent_at    timestamptz,
    CONSTRAINT message_text_until_sent CHECK ((sealed IS NOT NULL) = (sent_at IS NULL) AND (due_at IS NOT NULL) = (sent_at IS NULL))
);
CREATE INDEX message_due ON message (due_at, message_id) WHERE sent_at IS NULL;
CREATE INDEX message_of_citizen ON message (citizen_id);

-- The waves as selection announces them. The row is the gate: joining holds it FOR SHARE, closing takes it FOR UPDATE.
CREATE TABLE wave (
    programme     text        NOT NULL,
    wave          integer     NOT NULL,
    state         text        NOT NULL
                  CHECK (state IN ('announced', 'open', 'closed', 'committed', 'drawn', 'published', 'voided')),
    opens_at      timestamptz,
    closes_at     timestamptz,
    draws_at      timestamptz,
    seats         integer,
    intake_count  integer,
    intake_digest text,
    PRIMARY KEY (programme, wave),
    CONSTRAINT wave_intake_stated CHECK (
        (intake_count IS NULL) = (intake_digest IS NULL)
        AND (state IN ('announced', 'open', 'voided') OR intake_count IS NOT NULL))
);

-- What happened to a wave: told to each of its applicants when they look, instead of a row for each of millions.
CREATE TABLE wave_step (
    programme text        NOT NULL,
    wave      integer     NOT NULL,
    what      text        NOT NULL,
    at        timestamptz NOT NULL,
    data      jsonb       NOT NULL,
    PRIMARY KEY (programme, wave, what)
);

CREATE TABLE application (
    application_id uuid        NOT NULL PRIMARY KEY,
    citizen_id     uuid        NOT NULL REFERENCES citizen,
    programme      text        NOT NULL,
    wave           integer     NOT NULL,
    nth            integer     NOT NULL CHECK (nth > 0),   -- of this citizen to this wave: withdrawing frees to join again
    state          text        NOT NULL
                   CHECK (state IN ('applied', 'withdrawn', 'selected', 'not-selected', 'revoked', 'voided')),
    applied_at     timestamptz NOT NULL,
    FOREIGN KEY (programme, wave) REFERENCES wave,
    CONSTRAINT application_nth_once UNIQUE (citizen_id, programme, wave, nth)
);
-- One live application for each citizen and wave; withdrawn ones stay as the trace, and each keeps its own id.
CREATE UNIQUE INDEX application_live_once ON application (citizen_id, programme, wave) WHERE state <> 'withdrawn';
-- The count and the digest of the intake read this, and nothing else.
CREATE INDEX application_of_wave ON application (programme, wave, application_id) WHERE state = 'applied';

-- Once per lifetime: whoever was selected can not apply again, revoked or not.
CREATE TABLE membership (
    citizen_id uuid    NOT NULL,
    programme  text    NOT NULL,
    wave       integer NOT NULL,
    state      text    NOT NULL CHECK (state IN ('member', 'revoked')),
    PRIMARY KEY (citizen_id, programme)
);

-- Everything that happened to a citizen. Sentences are made when it is read.
CREATE TABLE timeline (
    citizen_id uuid        NOT NULL,
    entry_id   uuid        NOT NULL,   -- the id of the event: an entry can not stand twice
    position   bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL,
    what       text        NOT NULL,
    data       jsonb       NOT NULL,
    PRIMARY KEY (citizen_id, entry_id)
);

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON citizen, wave, application, membership TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON identity, code, message TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON citizen_key, household, timeline TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON wave_step TO %I', app);
END $$;

-- migrate:down
DROP TABLE timeline, membership, application, wave_step, wave, message, code, identity, household, citizen_key, citizen;
