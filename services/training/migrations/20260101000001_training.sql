-- migrate:up
SET lock_timeout = '5s';

-- Who may offer courses. A partner enters with its first course; whether it may call at all is the sign-in service's say.
CREATE TABLE partner (
    partner_id text        PRIMARY KEY CHECK (partner_id <> ''),
    since      timestamptz NOT NULL
);

-- A course with its one session.
CREATE TABLE course (
    course_id           uuid        PRIMARY KEY,
    partner_id          text        NOT NULL REFERENCES partner,
    code                text        NOT NULL,
    title               text        NOT NULL,
    mode                text        NOT NULL CHECK (mode IN ('online', 'in-person', 'hybrid')),
    hours               integer     NOT NULL CHECK (hours > 0),
    price_rupiah        bigint      NOT NULL CHECK (price_rupiah > 0),
    also_sold_at_rupiah bigint      CHECK (also_sold_at_rupiah >= price_rupiah),  -- Permenko 11/2020, Art. 29
    seats               integer     NOT NULL CHECK (seats > 0),
    seats_taken         integer     NOT NULL DEFAULT 0,
    starts_at           timestamptz NOT NULL,
    ends_at             timestamptz NOT NULL CHECK (ends_at > starts_at),
    cancelled_at        timestamptz CHECK (cancelled_at < starts_at),
    CONSTRAINT course_not_oversold CHECK (seats_taken BETWEEN 0 AND seats),
    CONSTRAINT course_code_once UNIQUE (partner_id, code)
);

-- The catalogue is read by what still lies ahead, in the order of the start.
CREATE INDEX course_ahead ON course (starts_at, course_id) WHERE cancelled_at IS NULL;

CREATE TABLE membership (
    citizen_id        uuid        NOT NULL,
    programme         text        NOT NULL,
    wave              integer     NOT NULL,
    application_id    uuid        NOT NULL,
    province          text        NOT NULL,
    tier              text        NOT NULL,
    state             text        NOT NULL CHECK (state IN ('selected', 'training', 'completed', 'revoked', 'closed')),
    selected_at       timestamptz NOT NULL,
    purchase_due      timestamptz,
    credit_rupiah     bigint      NOT NULL CHECK (credit_rupiah >= 0),
    entries           integer     NOT NULL CHECK (entries >= 0),
    last_entry        integer     GENERATED ALWAYS AS (nullif(entries, 0)) STORED,
    courses_open      integer     NOT NULL DEFAULT 0 CHECK (courses_open >= 0),
    courses_completed integer     NOT NULL DEFAULT 0 CHECK (courses_completed >= 0),
    PRIMARY KEY (citizen_id, programme),
    CONSTRAINT membership_without_entries_has_nothing CHECK (entries > 0 OR credit_rupiah = 0),
    CONSTRAINT membership_selected_has_no_course
        CHECK (state <> 'selected' OR (purchase_due IS NOT NULL AND courses_open = 0 AND courses_completed = 0)),
    CONSTRAINT membership_training_has_an_open_course
        CHECK (state <> 'training' OR (courses_open > 0 AND courses_completed = 0)),
    CONSTRAINT membership_completed_has_one CHECK (state NOT IN ('completed', 'closed') OR courses_completed > 0),
    CONSTRAINT membership_ended_has_no_credit
        CHECK (state NOT IN ('revoked', 'closed') OR (credit_rupiah = 0 AND purchase_due IS NULL AND courses_open = 0)),
    CONSTRAINT membership_open_course_stops_the_clock CHECK (courses_open = 0 OR purchase_due IS NULL)
);

-- The sweep for passed purchase dates looks only at members who have one.
CREATE INDEX membership_due ON membership (purchase_due, citizen_id) WHERE purchase_due IS NOT NULL;

CREATE TABLE enrolment (
    enrolment_id uuid        PRIMARY KEY,  -- derived from citizen and purchase id: a retry can not buy twice
    citizen_id   uuid        NOT NULL,
    programme    text        NOT NULL,
    course_id    uuid        NOT NULL REFERENCES course,
    price_rupiah bigint      NOT NULL CHECK (price_rupiah > 0),
    redeem_code  text        NOT NULL CHECK (redeem_code ~ '^[0-9A-HJKMNP-TV-Z]{16}$'),
    state        text        NOT NULL CHECK (state IN ('bought', 'claimed', 'completed', 'rated', 'cancelled')),
    bought_at    timestamptz NOT NULL,
    claimed_at   timestamptz,
    completed_at timestamptz,
    first        boolean     NOT NULL DEFAULT false,
    cancelled_at timestamptz,
    cancelled_by text        CHECK (cancelled_by IN ('session', 'purchase')),
    standing     boolean     GENERATED ALWAYS AS (CASE WHEN state <> 'cancelled' THEN true END) STORED,
    CONSTRAINT enrolment_member FOREIGN KEY (citizen_id, programme) REFERENCES membership,
    CONSTRAINT enrolment_redeem_code_once UNIQUE (redeem_code),
    -- Not twice the same course; of a cancelled purchase `standing` is NULL, and NULLs never collide. Also serves the
    -- list of a citizen's courses.
    CONSTRAINT enrolment_course_once UNIQUE (citizen_id, course_id, standing),
    CONSTRAINT enrolment_claimed CHECK (state NOT IN ('claimed', 'completed', 'rated') OR claimed_at IS NOT NULL),
    CONSTRAINT enrolment_completed CHECK ((state IN ('completed', 'rated')) = (completed_at IS NOT NULL)),
    CONSTRAINT enrolment_cancelled CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL)),
    CONSTRAINT enrolment_cancelled_by CHECK ((cancelled_at IS NULL) = (cancelled_by IS NULL)),
    CONSTRAINT enrolment_first_is_completed CHECK (NOT first OR completed_at IS NOT NULL)
);
CREATE INDEX enrolment_of_course ON enrolment (course_id);

-- Only the first finished course of a member earns the incentive.
CREATE UNIQUE INDEX enrolment_first_once ON enrolment (citizen_id, programme) WHERE first;

-- The ledger of learning credit. Insert-only. Each line starts from the balance of the line before it, by foreign key,
-- so a balance can neither be invented nor fall below zero. No kind of line pays a person: credit leaves for a course
-- that was bought, or goes back (Permenko 11/2020, Arts. 18-20).
CREATE TABLE credit_entry (
    citizen_id     uuid        NOT NULL,
    programme      text        NOT NULL,
    number         integer     NOT NULL CHECK (number > 0),
    previous       integer     GENERATED ALWAYS AS (nullif(number - 1, 0)) STORED,
    kind           text        NOT NULL,
    amount_rupiah  bigint      NOT NULL,
    before_rupiah  bigint      NOT NULL,
    balance_rupiah bigint      NOT NULL,
    enrolment_id   uuid        REFERENCES enrolment,
    at             timestamptz NOT NULL,
    PRIMARY KEY (citizen_id, programme, number),
    CONSTRAINT credit_entry_balance UNIQUE (citizen_id, programme, number, balance_rupiah),
    CONSTRAINT credit_entry_chain FOREIGN KEY (citizen_id, programme, previous, before_rupiah)
        REFERENCES credit_entry (citizen_id, programme, number, balance_rupiah),
    CONSTRAINT credit_entry_starts_from_nothing CHECK (number > 1 OR before_rupiah = 0),
    CONSTRAINT credit_entry_adds_up CHECK (balance_rupiah = before_rupiah + amount_rupiah),
    CONSTRAINT credit_never_negative CHECK (balance_rupiah >= 0),
    CONSTRAINT credit_never_cash CHECK (
        (kind = 'granted' AND amount_rupiah > 0 AND enrolment_id IS NULL AND number = 1)
     OR (kind = 'purchase' AND amount_rupiah < 0 AND enrolment_id IS NOT NULL)
     OR (kind = 'refund' AND amount_rupiah > 0 AND enrolment_id IS NOT NULL)
     OR (kind IN ('released', 'forfeited') AND amount_rupiah < 0 AND enrolment_id IS NULL AND balance_rupiah = 0))
);

-- A purchase is paid once, and given back at most once.
CREATE UNIQUE INDEX credit_entry_of_enrolment ON credit_entry (enrolment_id, kind) WHERE enrolment_id IS NOT NULL;

-- The balance a member row shows is that of the ledger line it names.
ALTER TABLE membership ADD CONSTRAINT membership_balance_is_the_ledgers
    FOREIGN KEY (citizen_id, programme, last_entry, credit_rupiah)
    REFERENCES credit_entry (citizen_id, programme, number, balance_rupiah);

CREATE TABLE attendance (
    enrolment_id uuid        NOT NULL REFERENCES enrolment,
    sequence     smallint    NOT NULL CHECK (sequence BETWEEN 1 AND 10 OR sequence = 999),
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (enrolment_id, sequence)
);

-- A certificate stands on the attendance of the last day and on the post-test: both must be there, by foreign key.
CREATE TABLE certificate (
    certificate_id uuid        PRIMARY KEY,
    enrolment_id   uuid        NOT NULL UNIQUE REFERENCES enrolment,
    score          smallint    NOT NULL CHECK (score BETWEEN 60 AND 100),  -- 60 is the pass mark
    last_day       smallint    NOT NULL CHECK (last_day BETWEEN 1 AND 10),
    post_test      smallint    NOT NULL DEFAULT 999 CHECK (post_test = 999),
    issued_at      timestamptz NOT NULL,
    CONSTRAINT certificate_after_attendance FOREIGN KEY (enrolment_id, last_day) REFERENCES attendance,
    CONSTRAINT certificate_after_post_test FOREIGN KEY (enrolment_id, post_test) REFERENCES attendance
);

CREATE TABLE rating (
    enrolment_id uuid        PRIMARY KEY REFERENCES certificate (enrolment_id),
    stars        smallint    NOT NULL CHECK (stars BETWEEN 1 AND 5),
    review       text        NOT NULL CHECK (length(review) BETWEEN 1 AND 2000),
    rated_at     timestamptz NOT NULL
);

-- The least the service needs: nothing is ever deleted, prices and owners never change, ledger lines stay as written.
DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON partner, course, membership, enrolment, credit_entry, attendance, '
                   'certificate, rating TO %I', app);
    EXECUTE format('GRANT UPDATE (seats_taken, cancelled_at) ON course TO %I', app);
    EXECUTE format('GRANT UPDATE (state, purchase_due, credit_rupiah, entries, courses_open, courses_completed) '
                   'ON membership TO %I', app);
    EXECUTE format('GRANT UPDATE (state, claimed_at, completed_at, first, cancelled_at, cancelled_by) '
                   'ON enrolment TO %I', app);
END $$;

-- migrate:down
ALTER TABLE membership DROP CONSTRAINT membership_balance_is_the_ledgers;
DROP TABLE rating, certificate, attendance, credit_entry, enrolment, membership, course, partner;
