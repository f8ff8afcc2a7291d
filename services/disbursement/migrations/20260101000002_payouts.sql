-- migrate:up
SET lock_timeout = '5s';

-- A key per payee, wrapped by the key of the vault. Deleting the row makes everything sealed under it unreadable, also
-- in old backups of the other tables.
CREATE TABLE payee_key (
    citizen_id uuid  PRIMARY KEY,
    wrapped    bytea NOT NULL
);

-- Accounts as they were linked; the newest of a citizen is current. Number, NIK, name and phone stand in the sealed
-- part only; the index is a keyed hash, to find the same account twice without being able to read it.
CREATE TABLE payee_account (
    account_id    uuid        PRIMARY KEY,
    citizen_id    uuid        NOT NULL,
    rail          text        NOT NULL CHECK (rail IN ('bank', 'e-wallet')),
    provider      text        NOT NULL,
    number_index  bytea       NOT NULL CHECK (octet_length(number_index) = 32),
    sealed        bytea       NOT NULL,
    state         text        NOT NULL CHECK (state IN ('checking', 'valid', 'identity-mismatch', 'closed', 'not-found',
                                                        'not-verified', 'phone-changed', 'in-use')),
    current       boolean     NOT NULL DEFAULT true,
    linked_at     timestamptz NOT NULL,
    checked_at    timestamptz,
    next_check_at timestamptz,             -- NULL: nobody needs to ask the rail again
    checks        integer     NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX payee_account_current ON payee_account (citizen_id) WHERE current;
-- One account serves one citizen. Only a valid one blocks others, so that nobody can block a stranger's account.
CREATE UNIQUE INDEX payee_account_valid_once ON payee_account (number_index) WHERE current AND state = 'valid';
CREATE INDEX payee_account_to_check ON payee_account (next_check_at) WHERE current AND next_check_at IS NOT NULL;

CREATE TABLE survey (
    citizen_id  uuid        NOT NULL,
    programme   text        NOT NULL,
    number      integer     NOT NULL CHECK (number > 0),
    answers     bytea       NOT NULL,      -- sealed under the payee's key: answers may tell about a life
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (citizen_id, programme, number)
);

CREATE TABLE payout (
    payout_id     uuid        PRIMARY KEY,     -- derived from citizen, programme and milestone
    citizen_id    uuid        NOT NULL,
    programme     text        NOT NULL,
    wave          integer     NOT NULL,
    milestone     text        NOT NULL CHECK (milestone ~ '^(incentive-[1-9][0-9]?|survey-[1-9][0-9]?|course-[0-9a-f]{32})$'),
    enrolment_id  uuid,                        -- the course it is owed for; its rating starts the incentives
    partner_id    text,                        -- the payee, where it is not the citizen
    amount_rupiah bigint      NOT NULL CHECK (amount_rupiah > 0),
    due_at        timestamptz,                 -- NULL: the course is not rated yet
    state         text        NOT NULL DEFAULT 'scheduled'
                  CHECK (state IN ('scheduled', 'approved', 'submitted', 'unknown', 'paid', 'failed', 'cancelled')),
    attempt       integer     NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND 999),
    batch_id      uuid,                        -- the batch it stands in; NULL: free to be taken into one
    reason        text,
    retry_at      timestamptz,
    scheduled_at  timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    UNIQUE (citizen_id, programme, milestone),
    CHECK ((milestone LIKE 'course-%') = (partner_id IS NOT NULL)),
    CHECK ((state = 'failed') = (reason IS NOT NULL) AND (reason IS NULL) = (retry_at IS NULL)),
    CHECK (state NOT IN ('approved', 'submitted', 'unknown') OR batch_id IS NOT NULL)
);
CREATE INDEX payout_due ON payout (programme, due_at, payout_id) WHERE state = 'scheduled' AND batch_id IS NULL;
CREATE INDEX payout_unrated ON payout (enrolment_id) WHERE due_at IS NULL;
CREATE INDEX payout_failed ON payout (retry_at) WHERE state = 'failed';

CREATE TABLE batch (
    batch_id        uuid        PRIMARY KEY,
    programme       text        NOT NULL,
    rail            text        NOT NULL CHECK (rail IN ('bank', 'e-wallet')),
    state           text        NOT NULL CHECK (state IN ('proposed', 'approved', 'sent', 'dropped')),
    payouts         integer     NOT NULL CHECK (payouts >= 0),
    total_rupiah    bigint      NOT NULL CHECK (total_rupiah >= 0),
    digest          text        NOT NULL,          -- SHA-256 over key, amount and account of every payment in it
    maker_person    text        NOT NULL,
    approver_person text,
    approved_digest text,
    proposed_at     timestamptz NOT NULL,
    approved_at     timestamptz,
    CONSTRAINT batch_dropped_when_empty CHECK ((state = 'dropped') = (payouts = 0) OR state = 'proposed'),
    CONSTRAINT batch_four_eyes CHECK (approver_person <> maker_person),
    CONSTRAINT batch_approved_as_it_is CHECK (approved_digest = digest),
    CONSTRAINT batch_approved_before_sent
        CHECK ((state IN ('proposed', 'dropped')) = (approver_person IS NULL) AND (approver_person IS NULL) = (approved_digest IS NULL)
               AND (approver_person IS NULL) = (approved_at IS NULL))
);
CREATE INDEX batch_to_send ON batch (approved_at, batch_id) WHERE state = 'approved';

-- The exact bytes that went, or go, to a rail: stored and committed before anything is sent.
CREATE TABLE message (
    message_id   uuid        PRIMARY KEY,
    batch_id     uuid        NOT NULL REFERENCES batch,
    rail         text        NOT NULL,
    part         integer     NOT NULL CHECK (part > 0),
    body         bytea,                        -- sealed; NULL once every payment in it stands on a statement or has failed
    digest       bytea       NOT NULL,         -- SHA-256 of the bytes
    payouts      integer     NOT NULL CHECK (payouts > 0),
    state        text        NOT NULL CHECK (state IN ('stored', 'sent')),
    stored_at    timestamptz NOT NULL,
    sent_at      timestamptz,
    asks         integer     NOT NULL DEFAULT 0 CHECK (asks BETWEEN 0 AND 3),
    asked_at     timestamptz,
    next_ask_at  timestamptz,                  -- NULL: only the statement can still tell, or nothing is open
    UNIQUE (batch_id, part),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX message_stored ON message (rail, stored_at) WHERE state = 'stored';
CREATE INDEX message_kept ON message (rail, sent_at) WHERE body IS NOT NULL;
CREATE INDEX message_to_ask ON message (next_ask_at) WHERE next_ask_at IS NOT NULL;

-- One try at paying. The key is what the rail knows it by, for ever.
CREATE TABLE attempt (
    payout_id     uuid    NOT NULL REFERENCES payout,
    number        integer NOT NULL CHECK (number BETWEEN 1 AND 999),
    key           text    NOT NULL UNIQUE,
    batch_id      uuid    NOT NULL REFERENCES batch DEFERRABLE INITIALLY DEFERRED,  -- filled first, then opened
    account_id    uuid    REFERENCES payee_account,   -- NULL: a partner's account, from the settings
    amount_rupiah bigint  NOT NULL CHECK (amount_rupiah > 0),
    message_id    uuid    REFERENCES message,
    outcome       text    CHECK (outcome IN ('paid', 'failed', 'returned', 'withdrawn')),
    reason        text,
    booked_on     date,                               -- the statement that shows it
    PRIMARY KEY (payout_id, number),
    CHECK (outcome IS DISTINCT FROM 'paid' OR message_id IS NOT NULL)
);
-- A payout is tried again only after the last try is proven failed, returned or withdrawn: at most one attempt is open
-- or has paid. This index is what makes paying twice impossible, whatever the code believes.
CREATE UNIQUE INDEX attempt_one_live ON attempt (payout_id) WHERE outcome IS NULL OR outcome = 'paid';
CREATE INDEX attempt_unsent ON attempt (batch_id, payout_id) WHERE message_id IS NULL AND outcome IS NULL;
CREATE INDEX attempt_of_batch ON attempt (batch_id, key);
CREATE INDEX attempt_open ON attempt (message_id) WHERE outcome IS NULL AND message_id IS NOT NULL;
CREATE INDEX attempt_unreconciled ON attempt (message_id)
    WHERE message_id IS NOT NULL AND booked_on IS NULL AND (outcome IS NULL OR outcome = 'paid');

-- Adding a payment to a batch, or taking one out, voids its approval: whatever the caller forgot, the checker has
-- approved another list. A batch that was sent can not lose its approval, so the edit itself fails.
CREATE FUNCTION attempt_edit_voids() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE batch SET state = 'proposed', approver_person = NULL, approved_digest = NULL, approved_at = NULL
     WHERE batch_id IN (SELECT f.batch_id FROM fresh f WHERE TG_OP = 'INSERT' OR f.outcome = 'withdrawn') AND state <> 'proposed';
    RETURN NULL;
END $$;
CREATE TRIGGER attempt_added AFTER INSERT ON attempt REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION attempt_edit_voids();
CREATE TRIGGER attempt_changed AFTER UPDATE ON attempt REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION attempt_edit_voids();

CREATE FUNCTION batch_stays_sent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'sent' AND NEW.state <> 'sent' THEN
        RAISE EXCEPTION 'batch % was sent and can not be edited', OLD.batch_id
              USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_stays_sent', TABLE = 'batch';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER batch_stays_sent BEFORE UPDATE ON batch FOR EACH ROW EXECUTE FUNCTION batch_stays_sent();

-- Statements that were read to the end, and their lines. A line is known by the rail's own reference.
CREATE TABLE statement (
    rail    text        NOT NULL,
    day     date        NOT NULL,              -- in Jakarta
    digest  bytea       NOT NULL,
    lines   integer     NOT NULL CHECK (lines >= 0),
    read_at timestamptz NOT NULL,
    PRIMARY KEY (rail, day)
);
CREATE TABLE statement_line (
    rail          text   NOT NULL,
    reference     text   NOT NULL,
    kind          text   NOT NULL CHECK (kind IN ('booked', 'returned')),
    key           text   NOT NULL,
    amount_rupiah bigint NOT NULL,
    day           date   NOT NULL,
    PRIMARY KEY (rail, reference)
);
CREATE INDEX statement_line_by_key ON statement_line (rail, key, kind);

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON payee_key TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON payee_account, survey, payout, batch, message, attempt, statement, statement_line TO %I', app);
    EXECUTE format('GRANT UPDATE (state, current, checked_at, next_check_at, checks) ON payee_account TO %I', app);
    EXECUTE format('GRANT UPDATE (due_at, state, attempt, batch_id, reason, retry_at, changed_at) ON payout TO %I', app);
    EXECUTE format('GRANT UPDATE (state, payouts, total_rupiah, digest, approver_person, approved_digest, approved_at) ON batch TO %I', app);
    EXECUTE format('GRANT UPDATE (body, state, sent_at, asks, asked_at, next_ask_at) ON message TO %I', app);
    -- Payee, amount and batch of an attempt can not be changed: an edit takes the payment out and makes another.
    EXECUTE format('GRANT UPDATE (message_id, outcome, reason, booked_on) ON attempt TO %I', app);
END $$;

-- migrate:down
DROP TABLE statement_line, statement, attempt, message, batch, payout, survey, payee_account, payee_key;
DROP FUNCTION attempt_edit_voids();
DROP FUNCTION batch_stays_sent();
