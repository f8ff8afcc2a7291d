-- The only SQL of disbursement besides its migrations. Rows are locked in one order everywhere, which is batches, then
-- payouts by id, then reservations by citizen, then the balances, so two transactions wait and never block each other.

-- name: appropriation_propose!
-- The same budget document told twice is one grant.
INSERT INTO appropriation (appropriation_id, programme, amount_rupiah, reference, maker_person, proposed_at)
VALUES (:appropriation_id, :programme, :amount, :reference, :maker, :now)
    ON CONFLICT (programme, reference) DO NOTHING;

-- name: appropriation_lock^
-- Locked, so that two checkers can not both book it.
SELECT appropriation_id, programme, amount_rupiah, reference, maker_person, approver_person
  FROM appropriation WHERE appropriation_id = :appropriation_id FOR UPDATE;

-- name: appropriation_approve!
-- Only a grant that is not approved yet; the constraint refuses the person of its maker.
UPDATE appropriation SET approver_person = :checker, approved_at = :now
 WHERE appropriation_id = :appropriation_id AND approver_person IS NULL;

-- name: appropriations_of
-- For a list on a screen; grants of a programme are few.
SELECT appropriation_id, programme, amount_rupiah, reference, proposed_at, approved_at,
       CASE WHEN approved_at IS NULL THEN 'proposed' ELSE 'approved' END AS state
  FROM appropriation WHERE programme = :programme ORDER BY proposed_at DESC, appropriation_id LIMIT :limit;

-- name: ledger_post!
-- Entries and both sides of each in one statement. The trigger then moves each balance once for all of them.
WITH told AS MATERIALIZED (
    SELECT nextval('entry_entry_id_seq') AS entry_id, t.programme, t.wave, t.movement, t.source, t.target, t.amount, t.concerns
      FROM unnest(:programmes::text[], :waves::integer[], :movements::text[], :sources::text[], :targets::text[],
                  :amounts::bigint[], :concerns::text[])
        AS t (programme, wave, movement, source, target, amount, concerns)
), made AS (
    INSERT INTO entry (entry_id, programme, wave, movement, at, concerns)
    SELECT entry_id, programme, wave, movement, :now::timestamptz, string_to_array(concerns, ',')::uuid[] FROM told
)
INSERT INTO posting (entry_id, programme, account, amount_rupiah)
SELECT entry_id, programme, source, -amount FROM told
 UNION ALL
SELECT entry_id, programme, target, amount FROM told;

-- name: balances
-- At most six rows, whatever the size of the programme.
SELECT name, balance_rupiah FROM account WHERE programme = :programme ORDER BY name;

-- name: ledger_checks^
-- Adds everything up again from the rows below the balances. For the auditor, not for a hot path.
SELECT (SELECT coalesce(sum(p.amount_rupiah), 0)::bigint FROM posting p WHERE p.programme = :programme) AS postings_rupiah,
       (SELECT count(*) FROM account a
         WHERE a.programme = :programme
           AND a.balance_rupiah <> (SELECT coalesce(sum(p.amount_rupiah), 0) FROM posting p
                                     WHERE p.programme = a.programme AND p.account = a.name)) AS balances_wrong,
       coalesce(sum(r.reserved_rupiah), 0)::bigint AS reserved_rupiah,
       coalesce(sum(r.in_flight_rupiah), 0)::bigint AS in_flight_rupiah,
       coalesce(sum(r.paid_rupiah), 0)::bigint AS paid_rupiah,
       count(r.citizen_id) AS members
  FROM reservation r WHERE r.programme = :programme;

-- name: reservations_open
-- A member is reserved for once. Those who were already are left out of the answer, so nothing follows for them.
INSERT INTO reservation (citizen_id, programme, wave, province, amount_rupiah, reserved_rupiah, reserved_at)
SELECT t.citizen_id, t.programme, t.wave, t.province, t.amount, t.amount, :now
  FROM unnest(:citizens::uuid[], :programmes::text[], :waves::integer[], :provinces::text[], :amounts::bigint[])
    AS t (citizen_id, programme, wave, province, amount)
 ORDER BY t.citizen_id, t.programme
    ON CONFLICT (citizen_id, programme) DO NOTHING
RETURNING citizen_id, programme;

-- name: reservations_move!
-- Each row is locked in order first; the update then adds to the newest version of it, and counts its releases. Every join
-- leads to a reservation by its key: two lists joined to each other are a square when the planner expects short ones.
WITH change AS (
    SELECT r.citizen_id, r.programme, t.reserved, t.in_flight, t.paid, t.released
      FROM unnest(:citizens::uuid[], :programmes::text[], :reserved::bigint[], :in_flight::bigint[], :paid::bigint[], :released::bigint[])
        AS t (citizen_id, programme, reserved, in_flight, paid, released)
      JOIN reservation r USING (citizen_id, programme)
     ORDER BY r.citizen_id, r.programme FOR UPDATE OF r
)
UPDATE reservation r
   SET reserved_rupiah = r.reserved_rupiah + c.reserved, in_flight_rupiah = r.in_flight_rupiah + c.in_flight,
       paid_rupiah = r.paid_rupiah + c.paid, released_rupiah = r.released_rupiah + c.released,
       releases = r.releases + (c.released > 0)::integer
  FROM change c
 WHERE r.citizen_id = c.citizen_id AND r.programme = c.programme;

-- name: member_programmes
-- By the primary key.
SELECT citizen_id, programme FROM reservation WHERE citizen_id = ANY (:citizens::uuid[]) ORDER BY citizen_id, programme;

-- name: revocations_add!
-- Kept even when the reservation is not here yet, because the two topics are read independently.
INSERT INTO revocation (citizen_id, programme, revoked_at)
SELECT t.citizen_id, t.programme, t.revoked_at
  FROM unnest(:citizens::uuid[], :programmes::text[], :times::timestamptz[]) AS t (citizen_id, programme, revoked_at)
 ORDER BY t.citizen_id, t.programme
    ON CONFLICT (citizen_id, programme) DO NOTHING;

-- name: payouts_cancel_revoked!
-- What members whose membership ended were owed themselves, once it is back from the rail. Only unsettled revocations are
-- looked at. Nobody is waited for: what another transaction holds is found by the next run.
UPDATE payout p SET state = 'cancelled', reason = NULL, retry_at = NULL, changed_at = :now
  FROM (SELECT c.payout_id FROM revocation v JOIN payout c USING (citizen_id, programme)
         WHERE v.settled_at IS NULL AND c.state = ANY (:sources) AND c.batch_id IS NULL AND c.partner_id IS NULL
         ORDER BY c.payout_id LIMIT :limit FOR UPDATE OF c SKIP LOCKED) gone
 WHERE p.payout_id = gone.payout_id;

-- name: revoked_to_release
-- Members whose membership ended and to whom nothing is owed or under way any more. The rest of the others waits.
-- Whoever is locked is left to the next run, so this never blocks the settling of what a rail said.
SELECT r.citizen_id, r.programme, r.wave, r.province, r.reserved_rupiah, r.releases
  FROM revocation v JOIN reservation r USING (citizen_id, programme)
 WHERE v.settled_at IS NULL AND (:among::text[] IS NULL OR v.programme = ANY (:among::text[]))
   AND NOT EXISTS (SELECT FROM payout p WHERE p.citizen_id = v.citizen_id AND p.programme = v.programme
                                          AND p.state NOT IN ('paid', 'cancelled'))
 ORDER BY r.citizen_id, r.programme LIMIT :limit
   FOR UPDATE OF r SKIP LOCKED;

-- name: members_owed
-- Asked again once the reservations are locked: a payment may have come back between the look and the lock, and what is
-- owed to a partner must not be released. From the lock on, nothing comes back unnoticed, because it waits for the lock.
SELECT DISTINCT p.citizen_id, p.programme
  FROM payout p JOIN unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme) USING (citizen_id, programme)
 WHERE p.state NOT IN ('paid', 'cancelled');

-- name: revocations_reopen
-- Of members for whom a rail has moved money. The caller holds the balances of their programmes, so two of these come
-- one after the other, and the next statement sees what is to be released now.
UPDATE revocation v SET settled_at = NULL
  FROM unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme)
 WHERE v.citizen_id = t.citizen_id AND v.programme = t.programme
RETURNING v.citizen_id;

-- name: revocations_settle!
-- In the transaction that released the rest, under the locks of those reservations.
UPDATE revocation v SET settled_at = :now
  FROM unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme)
 WHERE v.citizen_id = t.citizen_id AND v.programme = t.programme;

-- name: with_rest
-- For the close of a year: the partial index holds only members with a rest.
SELECT citizen_id, programme, wave, province, reserved_rupiah, releases FROM reservation
 WHERE programme = :programme AND reserved_rupiah > 0
 ORDER BY citizen_id LIMIT :limit
   FOR UPDATE;

-- name: year_end_propose!
-- A year is closed once: whoever proposes it again finds the first proposal.
INSERT INTO year_end (programme, maker_person, proposed_at) VALUES (:programme, :maker, :now)
    ON CONFLICT (programme) DO NOTHING;

-- name: year_end_of^
-- What it would give back now is what is not paid and not on its way.
SELECT y.programme, y.proposed_at, y.approved_at, y.done_at, y.returns,
       CASE WHEN y.done_at IS NOT NULL THEN 'done' WHEN y.approved_at IS NULL THEN 'proposed' ELSE 'approved' END AS state,
       (SELECT coalesce(sum(a.balance_rupiah), 0)::bigint FROM account a
         WHERE a.programme = y.programme AND a.name IN ('available', 'reserved')) AS to_return_rupiah
  FROM year_end y WHERE y.programme = :programme;

-- name: year_end_lock^
-- Locked, so that two checkers, or a checker and the closing job, come one after the other.
SELECT programme, maker_person, approver_person, done_at FROM year_end WHERE programme = :programme FOR UPDATE;

-- name: year_end_approve!
-- Only once; the constraint refuses the person of its maker.
UPDATE year_end SET approver_person = :checker, approved_at = :now WHERE programme = :programme AND approver_person IS NULL;

-- name: years_to_close
-- One row per programme and year; the table stays tiny. A closed year comes back when a rail sends money back.
SELECT y.programme FROM year_end y
 WHERE y.approved_at IS NOT NULL
   AND (y.done_at IS NULL OR EXISTS (SELECT FROM account a WHERE a.programme = y.programme AND a.balance_rupiah > 0
                                                             AND a.name IN ('available', 'reserved')))
 ORDER BY y.programme;

-- name: year_end_return$
-- The number of a return to the treasury, in the transaction that books it. The row is locked.
UPDATE year_end SET returns = returns + 1 WHERE programme = :programme RETURNING returns;

-- name: year_end_done!
-- Last step of the close, in the transaction that gave the rest back. What follows later does not move the date.
UPDATE year_end SET done_at = :now WHERE programme = :programme AND done_at IS NULL;

-- name: hold_raise!
-- One open hold per reason and reference, however often it is noticed.
INSERT INTO sending_hold (hold_id, reason, reference, raised_at)
SELECT t.hold_id, t.reason, t.reference, :now
  FROM unnest(:ids::uuid[], :reasons::text[], :references::text[]) AS t (hold_id, reason, reference)
 ORDER BY t.reason, t.reference
    ON CONFLICT (reason, reference) WHERE lifted_at IS NULL DO NOTHING;

-- name: holds_open
-- All that stops sending now, oldest first, and no more than anybody can read.
SELECT hold_id, reason, reference, raised_at FROM sending_hold WHERE lifted_at IS NULL ORDER BY raised_at, hold_id LIMIT 1000;

-- name: holds_count$
-- One look; the partial index holds open holds only.
SELECT count(*) FROM sending_hold WHERE lifted_at IS NULL;

-- name: hold_lift$
-- Answers nothing where the hold is not open, so nobody lifts one twice.
UPDATE sending_hold SET lifted_at = :now, lifted_person = :person, finding = :finding
 WHERE hold_id = :hold_id AND lifted_at IS NULL RETURNING hold_id;

-- name: payouts_schedule!
-- The id derives from the meaning, so the same milestone told twice is one payout.
INSERT INTO payout (payout_id, citizen_id, programme, wave, milestone, enrolment_id, partner_id, amount_rupiah, due_at,
                    scheduled_at, changed_at)
SELECT t.payout_id, t.citizen_id, t.programme, t.wave, t.milestone, t.enrolment_id, t.partner_id, t.amount, t.due_at, :now, :now
  FROM unnest(:ids::uuid[], :citizens::uuid[], :programmes::text[], :waves::integer[], :milestones::text[],
              :enrolments::uuid[], :partners::text[], :amounts::bigint[], :due::timestamptz[])
    AS t (payout_id, citizen_id, programme, wave, milestone, enrolment_id, partner_id, amount, due_at)
 ORDER BY t.payout_id
    ON CONFLICT (payout_id) DO NOTHING;

-- name: course_fees
-- What the courses of these members cost together. More than the learning credit is a contradiction between two books.
SELECT p.citizen_id, p.programme, sum(p.amount_rupiah)::bigint AS amount_rupiah
  FROM payout p
 WHERE (p.citizen_id, p.programme) IN (SELECT t.citizen_id, t.programme
                                         FROM unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme))
   AND p.partner_id IS NOT NULL
 GROUP BY p.citizen_id, p.programme;

-- name: payouts_rated!
-- Only the incentives of the rated course, only those still waiting for a rating. A rating of another course finds none.
WITH told AS (
    SELECT t.payout_id, t.enrolment_id, t.due_at
      FROM unnest(:ids::uuid[], :enrolments::uuid[], :due::timestamptz[]) AS t (payout_id, enrolment_id, due_at)
), locked AS (
    SELECT p.payout_id, told.due_at FROM payout p JOIN told USING (payout_id)
     WHERE p.due_at IS NULL AND p.enrolment_id = told.enrolment_id
     ORDER BY p.payout_id FOR UPDATE OF p
)
UPDATE payout p SET due_at = l.due_at, changed_at = :now FROM locked l WHERE p.payout_id = l.payout_id;

-- name: payouts_of
-- What citizens are owed themselves; the fee of their course is a matter of its partner.
SELECT payout_id, programme, wave, milestone, amount_rupiah, due_at, state, reason, retry_at, partner_id
  FROM payout WHERE citizen_id = :citizen_id AND partner_id IS NULL ORDER BY scheduled_at, milestone;

-- name: members_lock!
-- Before their surveys are looked at, in order: two answers at once come one after the other, and the second sees the first.
SELECT FROM reservation r JOIN unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme)
               USING (citizen_id, programme)
 ORDER BY r.citizen_id, r.programme FOR UPDATE OF r;

-- name: survey_views
-- What decides whether a survey may be answered.
SELECT r.citizen_id, r.programme, r.wave,
       (SELECT coalesce(array_agg(s.number), '{}') FROM survey s
         WHERE s.citizen_id = r.citizen_id AND s.programme = r.programme) AS answered,
       EXISTS (SELECT FROM payout p WHERE p.citizen_id = r.citizen_id AND p.programme = r.programme
                                      AND p.milestone = 'incentive-1' AND p.state = 'paid') AS first_incentive_paid
  FROM reservation r JOIN unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme)
                       USING (citizen_id, programme);

-- name: surveys_add!
-- The first answers stay; what is owed for them was scheduled with them.
INSERT INTO survey (citizen_id, programme, number, answers, answered_at)
SELECT t.citizen_id, t.programme, t.number, t.answers, :now
  FROM unnest(:citizens::uuid[], :programmes::text[], :numbers::integer[], :answers::bytea[])
    AS t (citizen_id, programme, number, answers)
 ORDER BY t.citizen_id, t.programme, t.number
    ON CONFLICT (citizen_id, programme, number) DO NOTHING;

-- name: payouts_retry
-- Failed payouts whose reason may be gone. A citizen must have a valid account, and either the waiting time is over (the
-- rail may have been repaired) or it is another account than the one that failed.
UPDATE payout p SET state = 'scheduled', reason = NULL, retry_at = NULL, changed_at = :now
  FROM (SELECT w.payout_id
          FROM payout w
          JOIN attempt t ON t.payout_id = w.payout_id AND t.number = w.attempt
          LEFT JOIN payee_account a ON a.citizen_id = w.citizen_id AND a.current AND w.partner_id IS NULL
         WHERE w.state = ANY (:sources) AND w.attempt < 999
           AND CASE WHEN w.partner_id IS NULL THEN a.state = 'valid' AND (w.retry_at <= :now OR a.account_id <> t.account_id)
                    ELSE w.retry_at <= :now END
         ORDER BY w.payout_id LIMIT :limit
           FOR UPDATE OF w SKIP LOCKED) ready
 WHERE p.payout_id = ready.payout_id
RETURNING p.payout_id;

-- name: payouts_cancel
-- What is not in a batch. In a revocation the partners keep what they earned.
UPDATE payout p SET state = 'cancelled', reason = NULL, retry_at = NULL, changed_at = :now
  FROM (SELECT c.payout_id FROM payout c
         WHERE (c.citizen_id, c.programme) IN (SELECT t.citizen_id, t.programme
                                                 FROM unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme))
           AND c.state = ANY (:sources) AND c.batch_id IS NULL AND (c.partner_id IS NULL OR :partners_too::boolean)
         ORDER BY c.payout_id FOR UPDATE OF c) gone
 WHERE p.payout_id = gone.payout_id
RETURNING p.payout_id;

-- name: payouts_cancel_programme
-- A part of what a closed year leaves unpaid.
UPDATE payout p SET state = 'cancelled', reason = NULL, retry_at = NULL, changed_at = :now
  FROM (SELECT c.payout_id FROM payout c
         WHERE c.programme = :programme AND c.state = ANY (:sources) AND c.batch_id IS NULL
         ORDER BY c.payout_id LIMIT :limit FOR UPDATE OF c) gone
 WHERE p.payout_id = gone.payout_id
RETURNING p.payout_id;

-- name: batch_open!
-- After it was filled, so that a batch of nothing never exists; its totals are counted next.
INSERT INTO batch (batch_id, programme, rail, state, payouts, total_rupiah, digest, maker_person, proposed_at)
VALUES (:batch_id, :programme, :rail, 'proposed', 0, 0, '', :maker, :now);

-- name: batch_fill$
-- Takes every payout that is due, whose member's reservation covers it and whose payee can be paid over this rail. Who was
-- revoked is owed nothing any more; their partners are. The lock sees the newest batch_id, so two makers share nothing.
WITH due AS (
    SELECT p.payout_id, p.attempt + 1 AS number, p.amount_rupiah, a.account_id
      FROM payout p
      JOIN reservation r USING (citizen_id, programme)
      LEFT JOIN payee_account a ON a.citizen_id = p.citizen_id AND a.current AND p.partner_id IS NULL
     WHERE p.programme = :programme AND p.state = 'scheduled' AND p.batch_id IS NULL AND p.due_at <= :now AND p.attempt < 999
       AND r.reserved_rupiah >= p.amount_rupiah
       AND (p.partner_id IS NOT NULL OR NOT EXISTS (SELECT FROM revocation v WHERE v.citizen_id = p.citizen_id
                                                                               AND v.programme = p.programme))
       AND CASE WHEN p.partner_id IS NULL THEN a.state = 'valid' AND a.rail = :rail AND a.linked_at <= :link_by
                ELSE :rail = 'bank' AND p.partner_id = ANY (:partners::text[]) END
     ORDER BY p.due_at, p.payout_id LIMIT :limit
       FOR UPDATE OF p SKIP LOCKED
), taken AS (
    UPDATE payout p SET batch_id = :batch_id, attempt = d.number, changed_at = :now FROM due d WHERE p.payout_id = d.payout_id
), tried AS (
    INSERT INTO attempt (payout_id, number, key, batch_id, account_id, amount_rupiah)
    SELECT d.payout_id, d.number, encode(uuid_send(d.payout_id), 'hex') || lpad(d.number::text, 3, '0'), :batch_id, d.account_id,
           d.amount_rupiah
      FROM due d
    RETURNING payout_id
)
SELECT count(*) FROM tried;

-- name: partners_unpayable
-- Partners who are owed fees and of whom no account is known here: no batch takes them before one is.
SELECT p.partner_id, count(*)::integer AS payouts, sum(p.amount_rupiah)::bigint AS amount_rupiah
  FROM payout p
 WHERE p.programme = :programme AND p.state = 'scheduled' AND p.batch_id IS NULL
   AND p.partner_id IS NOT NULL AND p.partner_id <> ALL (:partners::text[])
 GROUP BY p.partner_id
 ORDER BY p.partner_id;

-- name: batch_recount!
-- Control totals and digest of what is in the batches now. On an approved batch a changed digest breaks a constraint. A
-- batch with nothing left is dropped.
UPDATE batch b
   SET state = CASE WHEN now_in.payouts = 0 AND b.state = 'proposed' THEN 'dropped' ELSE b.state END,
       payouts = now_in.payouts, total_rupiah = now_in.total_rupiah, digest = now_in.digest
  FROM (SELECT c.batch_id, count(a.key) AS payouts, coalesce(sum(a.amount_rupiah), 0)::bigint AS total_rupiah,
               encode(sha256(convert_to(coalesce(string_agg(concat_ws(' ', a.key, a.amount_rupiah, a.account_id), E'\n'
                                                            ORDER BY a.key), ''), 'UTF8')), 'hex') AS digest
          FROM batch c LEFT JOIN attempt a ON a.batch_id = c.batch_id AND a.outcome IS DISTINCT FROM 'withdrawn'
         WHERE c.batch_id = ANY (:batches::uuid[])
         GROUP BY c.batch_id) now_in
 WHERE b.batch_id = now_in.batch_id;

-- name: batch_lock^
-- Locked, so that approving, editing and sending a batch come one after the other.
SELECT batch_id, programme, rail, state, payouts, total_rupiah, digest, maker_person, approver_person, proposed_at, approved_at
  FROM batch WHERE batch_id = :batch_id FOR UPDATE;

-- name: batches_newest
-- For a list on a screen; batches are few.
SELECT batch_id, programme, rail, state, payouts, total_rupiah, digest, maker_person, approver_person, proposed_at, approved_at
  FROM batch ORDER BY proposed_at DESC, batch_id DESC LIMIT :limit;

-- name: batch_lines
-- The payouts of a batch in the order of its digest, also those that were taken out of it again. Not whose they are.
SELECT a.key, a.payout_id, p.milestone, p.partner_id, a.amount_rupiah, a.outcome, a.reason
  FROM attempt a JOIN payout p ON p.payout_id = a.payout_id
 WHERE a.batch_id = :batch_id AND a.key > :after
 ORDER BY a.key LIMIT :limit;

-- name: batch_approve!
-- Approves exactly the digest that stands there; any edit would have to change it, and the constraint forbids that.
UPDATE batch SET state = 'approved', approver_person = :checker, approved_digest = digest, approved_at = :now
 WHERE batch_id = :batch_id AND state = 'proposed';

-- name: payouts_approve!
-- Every payout of the batch, in the transaction that approves it.
UPDATE payout SET state = 'approved', changed_at = :now WHERE batch_id = :batch_id AND state = ANY (:sources);

-- name: batches_holding
-- The batches, not yet sent, that hold unsent payouts of these members. Locked before the payouts, as everywhere.
SELECT b.batch_id FROM batch b
 WHERE b.state IN ('proposed', 'approved')
   AND b.batch_id IN (SELECT p.batch_id FROM payout p
                       WHERE (p.citizen_id, p.programme) IN (SELECT t.citizen_id, t.programme
                                                FROM unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme))
                         AND p.batch_id IS NOT NULL AND p.state IN ('scheduled', 'approved'))
 ORDER BY b.batch_id FOR UPDATE OF b;

-- name: payouts_held
-- Which payouts of these members stand in a batch and are not sent.
SELECT p.payout_id FROM payout p
 WHERE (p.citizen_id, p.programme) IN (SELECT t.citizen_id, t.programme
                                         FROM unnest(:citizens::uuid[], :programmes::text[]) AS t (citizen_id, programme))
   AND p.batch_id = ANY (:batches::uuid[]) AND p.state IN ('scheduled', 'approved') AND p.partner_id IS NULL
 ORDER BY p.payout_id;

-- name: batches_unsent
-- For the close of a year.
SELECT batch_id FROM batch WHERE programme = :programme AND state IN ('proposed', 'approved') ORDER BY batch_id FOR UPDATE;

-- name: payouts_unsent
-- What a batch still holds back from its rail.
SELECT payout_id FROM payout WHERE batch_id = ANY (:batches::uuid[]) AND state IN ('scheduled', 'approved') ORDER BY payout_id;

-- name: attempts_withdraw
-- Takes payments out of batches while nothing was sent of them. A trigger voids the approval of those batches.
UPDATE attempt a SET outcome = 'withdrawn'
  FROM (SELECT w.payout_id, w.number FROM attempt w JOIN payout p USING (payout_id)
         WHERE w.payout_id = ANY (:payouts::uuid[]) AND w.batch_id = ANY (:batches::uuid[])
           AND w.outcome IS NULL AND w.message_id IS NULL
         ORDER BY w.payout_id FOR UPDATE OF p, w) free
 WHERE a.payout_id = free.payout_id AND a.number = free.number
RETURNING a.payout_id;

-- name: payouts_void!
-- Whatever stood approved in these batches is only scheduled again, because their approval is void.
UPDATE payout SET state = 'scheduled', changed_at = :now WHERE batch_id = ANY (:batches::uuid[]) AND state = ANY (:sources);

-- name: payouts_free!
-- Only what the void has made scheduled again can stand in another batch.
UPDATE payout SET batch_id = NULL, changed_at = :now WHERE payout_id = ANY (:payouts::uuid[]) AND state = 'scheduled';

-- name: account_keys
-- By the primary key; nothing for a payee without a key, and for one that was erased.
SELECT citizen_id, wrapped FROM payee_key WHERE citizen_id = ANY (:citizens::uuid[]);

-- name: account_keys_add!
-- The first key stays; whoever comes second reads it.
INSERT INTO payee_key (citizen_id, wrapped)
SELECT t.citizen_id, t.wrapped FROM unnest(:citizens::uuid[], :wrapped::bytea[]) AS t (citizen_id, wrapped)
 ORDER BY t.citizen_id
    ON CONFLICT (citizen_id) DO NOTHING;

-- name: accounts_retire!
-- The accounts these citizens had before. Attempts under way keep pointing to them.
UPDATE payee_account a SET current = false, next_check_at = NULL
  FROM (SELECT o.account_id FROM payee_account o WHERE o.citizen_id = ANY (:citizens::uuid[]) AND o.current
         ORDER BY o.account_id FOR UPDATE) former
 WHERE a.account_id = former.account_id;

-- name: accounts_add!
-- After the former accounts were retired, so that one is current.
INSERT INTO payee_account (account_id, citizen_id, rail, provider, number_index, sealed, state, linked_at, next_check_at)
SELECT t.account_id, t.citizen_id, t.rail, t.provider, t.number_index, t.sealed, 'checking', t.linked_at, t.linked_at
  FROM unnest(:ids::uuid[], :citizens::uuid[], :rails::text[], :providers::text[], :indexes::bytea[], :sealed::bytea[],
              :times::timestamptz[])
    AS t (account_id, citizen_id, rail, provider, number_index, sealed, linked_at)
 ORDER BY t.citizen_id;

-- name: accounts_of
-- The current accounts with the keys that open them.
SELECT a.citizen_id, a.account_id, a.rail, a.provider, a.number_index, a.sealed, a.state, a.linked_at, k.wrapped
  FROM payee_account a JOIN payee_key k USING (citizen_id) WHERE a.citizen_id = ANY (:citizens::uuid[]) AND a.current;

-- name: accounts_to_check
-- No lock: the rail is asked between transactions, and the answer is only taken by an account that is still current.
SELECT a.account_id, a.citizen_id, a.rail, a.sealed, k.wrapped
  FROM payee_account a JOIN payee_key k USING (citizen_id)
 WHERE a.current AND a.next_check_at <= :now AND a.rail = :rail
 ORDER BY a.next_check_at, a.account_id LIMIT :limit;

-- name: accounts_found
-- What the rail found. Where it is valid, but somebody else already has it as theirs, it is in use; of two that become
-- valid together the first linked wins.
WITH told AS (
    SELECT t.account_id, t.state FROM unnest(:ids::uuid[], :states::text[]) AS t (account_id, state)
), locked AS (
    SELECT a.account_id, a.number_index, a.linked_at, a.checks, told.state
      FROM payee_account a JOIN told USING (account_id) WHERE a.current ORDER BY a.account_id FOR UPDATE OF a
), judged AS (
    SELECT l.account_id, l.checks,
           CASE WHEN l.state = 'valid'
                 AND (EXISTS (SELECT FROM payee_account o WHERE o.number_index = l.number_index AND o.current AND o.state = 'valid'
                                                            AND o.account_id <> l.account_id)
                      OR EXISTS (SELECT FROM locked f WHERE f.number_index = l.number_index AND f.state = 'valid'
                                                        AND (f.linked_at, f.account_id) < (l.linked_at, l.account_id)))
                THEN 'in-use' ELSE l.state END AS state
      FROM locked l
)
UPDATE payee_account a
   SET state = j.state, checked_at = :now, checks = a.checks + 1,
       next_check_at = CASE WHEN j.state = 'valid' OR a.checks + 1 >= :checks_max THEN NULL ELSE :again::timestamptz END
  FROM judged j WHERE a.account_id = j.account_id
RETURNING a.account_id, a.citizen_id, a.state;

-- name: accounts_postpone!
-- The rail did not answer: everybody it was asked about is asked about again later.
UPDATE payee_account SET next_check_at = :again WHERE account_id = ANY (:ids::uuid[]) AND current;

-- name: accounts_fail!
-- A payment was refused for a reason that lies in the account: it is not valid until the rail says so again.
UPDATE payee_account a SET state = t.state, next_check_at = t.again
  FROM unnest(:ids::uuid[], :states::text[], :again::timestamptz[]) AS t (account_id, state, again)
 WHERE a.account_id = t.account_id AND a.current AND a.state = 'valid';

-- name: batch_next^
-- The approved batch that waits longest. Locked: it is not edited while a part of it becomes a message.
SELECT batch_id, programme FROM batch WHERE state = 'approved' AND rail = :rail ORDER BY approved_at, batch_id LIMIT 1 FOR UPDATE;

-- name: attempts_unsent
-- Locked in the order of payouts, so that nothing is taken out of the batch while it becomes bytes.
SELECT a.payout_id, a.number, a.key, a.amount_rupiah, p.citizen_id, p.programme, p.wave, p.milestone, p.partner_id, r.province,
       acc.provider, acc.sealed, k.wrapped
  FROM attempt a
  JOIN payout p USING (payout_id)
  JOIN reservation r USING (citizen_id, programme)
  LEFT JOIN payee_account acc ON acc.account_id = a.account_id
  LEFT JOIN payee_key k ON k.citizen_id = acc.citizen_id
 WHERE a.batch_id = :batch_id AND a.message_id IS NULL AND a.outcome IS NULL
 ORDER BY a.payout_id LIMIT :limit
   FOR UPDATE OF a, p;

-- name: batch_sent!
-- After its last payment went into a message.
UPDATE batch SET state = 'sent' WHERE batch_id = :batch_id AND state = 'approved';

-- name: message_part$
-- The batch is locked, so no other part takes this number.
SELECT coalesce(max(part), 0) + 1 FROM message WHERE batch_id = :batch_id;

-- name: message_store!
-- The id derives from batch and part, so a part can not be stored twice.
INSERT INTO message (message_id, batch_id, rail, part, body, digest, payouts, state, stored_at)
VALUES (:message_id, :batch_id, :rail, :part, :body, :digest, :payouts, 'stored', :now);

-- name: attempts_submit!
-- Exactly those that were locked and written into the bytes.
UPDATE attempt SET message_id = :message_id
 WHERE batch_id = :batch_id AND payout_id = ANY (:payouts::uuid[]) AND outcome IS NULL AND message_id IS NULL;

-- name: payouts_submit!
-- In the transaction that stores the bytes, before anything is sent.
UPDATE payout SET state = 'submitted', changed_at = :now WHERE payout_id = ANY (:payouts::uuid[]) AND state = ANY (:sources);

-- name: messages_stored
-- Messages nobody has acknowledged. At the start of a run they are what an earlier run left behind.
SELECT message_id, body, payouts FROM message WHERE state = 'stored' AND rail = :rail ORDER BY stored_at, message_id LIMIT :limit;

-- name: message_waits$
-- Whether nobody has sent this message, or given it up, since it was stored.
SELECT state = 'stored' FROM message WHERE message_id = :message_id;

-- name: message_sent!
-- Only from stored; a message that was given up stays as it is.
UPDATE message SET state = 'sent', sent_at = :now, next_ask_at = :next_ask WHERE message_id = :message_id AND state = 'stored';

-- name: message_open_keys
-- What the rail has not told the end of.
SELECT a.key FROM attempt a WHERE a.message_id = :message_id AND a.outcome IS NULL ORDER BY a.key;

-- name: messages_to_ask
-- By the date of the next question; the index holds only messages with one.
SELECT m.message_id, m.rail, m.sent_at, m.asks FROM message m
 WHERE m.next_ask_at <= :now AND m.state = 'sent' ORDER BY m.next_ask_at, m.message_id LIMIT :limit;

-- name: message_asked!
-- Stops asking by itself once nothing in the message is open.
UPDATE message m
   SET asks = m.asks + :answered::integer, asked_at = CASE WHEN :answered::integer = 1 THEN :now::timestamptz ELSE m.asked_at END,
       next_ask_at = CASE WHEN EXISTS (SELECT FROM attempt a WHERE a.message_id = m.message_id AND a.outcome IS NULL)
                          THEN :next_ask::timestamptz END
 WHERE m.message_id = :message_id;

-- name: attempts_told
-- What the books know about the payments a rail speaks of. Locked in the order of payouts.
SELECT a.key, a.payout_id, a.number, a.amount_rupiah, a.outcome, a.account_id, p.state, p.citizen_id, p.programme, p.wave,
       p.milestone, r.province, b.rail
  FROM attempt a
  JOIN payout p USING (payout_id)
  JOIN reservation r USING (citizen_id, programme)
  JOIN batch b ON b.batch_id = a.batch_id
 WHERE a.key = ANY (:keys::text[])
 ORDER BY a.payout_id, a.number
   FOR UPDATE OF a, p;

-- name: attempts_settle!
-- The rows were locked when they were read; keys are unique, so each row is told one outcome.
UPDATE attempt a SET outcome = t.outcome, reason = t.reason
  FROM unnest(:payouts::uuid[], :numbers::integer[], :outcomes::text[], :reasons::text[]) AS t (payout_id, number, outcome, reason)
 WHERE a.payout_id = t.payout_id AND a.number = t.number;

-- name: payouts_settle!
-- A failed payout leaves its batch, so that a later one can take it.
UPDATE payout p
   SET state = t.state, reason = t.reason, retry_at = t.retry_at,
       batch_id = CASE WHEN t.reason IS NULL THEN p.batch_id END, changed_at = :now
  FROM unnest(:payouts::uuid[], :states::text[], :reasons::text[], :retry_at::timestamptz[]) AS t (payout_id, state, reason, retry_at)
 WHERE p.payout_id = t.payout_id;

-- name: statement_due$
-- The day after the last one read, else the day on which the rail first got something.
SELECT coalesce((SELECT max(s.day) + 1 FROM statement s WHERE s.rail = :rail),
                (SELECT (min(m.stored_at) AT TIME ZONE 'Asia/Jakarta')::date FROM message m WHERE m.rail = :rail));

-- name: statement_read_until$
-- Days are read without gaps, so this one stands for all before it.
SELECT max(day) FROM statement WHERE rail = :rail;

-- name: statement_done!
-- A day that was read again after a crash is noted once.
INSERT INTO statement (rail, day, digest, lines, read_at) VALUES (:rail, :day, :digest, :lines, :now)
    ON CONFLICT (rail, day) DO NOTHING;

-- name: lines_add
-- Answers only the lines that are new: a line told twice has no second effect.
INSERT INTO statement_line (rail, reference, kind, key, amount_rupiah, day)
SELECT :rail, t.reference, t.kind, t.key, t.amount, t.day
  FROM unnest(:references::text[], :kinds::text[], :keys::text[], :amounts::bigint[], :days::date[])
    AS t (reference, kind, key, amount, day)
 ORDER BY t.reference
    ON CONFLICT (rail, reference) DO NOTHING
RETURNING reference;

-- name: lines_doubled
-- Payments that stand on statements under two references of the rail: booked, or sent back, twice.
SELECT key, kind FROM statement_line
 WHERE rail = :rail AND key = ANY (:keys::text[])
 GROUP BY key, kind HAVING count(*) > 1 ORDER BY key, kind;

-- name: attempts_booked!
-- The first statement that shows a payment is kept.
UPDATE attempt a SET booked_on = t.day
  FROM unnest(:keys::text[], :days::date[]) AS t (key, day) WHERE a.key = t.key AND a.booked_on IS NULL;

-- name: attempts_never_booked
-- Open payments that stand on no statement although those of the day of sending and of the next one were read, and about
-- which the rail was asked after that: proven never booked.
SELECT a.key FROM attempt a JOIN message m USING (message_id)
 WHERE a.outcome IS NULL AND a.booked_on IS NULL AND m.rail = :rail AND m.state = 'sent'
   AND m.sent_at <= :sent_until AND m.asked_at >= m.sent_at + :proof_after::interval
 ORDER BY a.key LIMIT :limit;

-- name: attempts_missing
-- Payments the rail called booked that stand on no statement. Each is raised once, also after a person has lifted it.
SELECT a.key FROM attempt a JOIN message m USING (message_id)
 WHERE a.outcome = 'paid' AND a.booked_on IS NULL AND m.rail = :rail AND m.sent_at <= :sent_until
   AND NOT EXISTS (SELECT FROM sending_hold h WHERE h.reason = 'paid-but-missing' AND h.reference = a.key)
 ORDER BY a.key LIMIT :limit;

-- name: messages_forget!
-- The bytes hold account numbers. They go once nothing of the message can be asked about any more; the digest stays.
UPDATE message m SET body = NULL
 WHERE m.body IS NOT NULL AND m.rail = :rail AND m.state = 'sent' AND m.sent_at <= :sent_until
   AND NOT EXISTS (SELECT FROM attempt a WHERE a.message_id = m.message_id AND a.booked_on IS NULL
                                           AND (a.outcome IS NULL OR a.outcome = 'paid'));
