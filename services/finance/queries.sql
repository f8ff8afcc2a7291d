-- name: lock_books$
-- One batch is booked at a time. Every batch moves the same few balances, so it would wait for them anyway; taking the
-- one lock first makes a deadlock impossible, whatever mixture of programmes the batches hold. It is free again the
-- moment the transaction's rows are visible, which makes `entry` rise in commit order.
SELECT pg_advisory_xact_lock(hashtext('gelombang.finance.books'));

-- name: copy_entries
-- ORDER BY keeps the order of the batch. What is already there is left alone and not returned: a repeat, which the
-- caller compares with the copy.
INSERT INTO entry (event_id, type, at, programme, amount_rupiah, citizen_id, wave, province, appropriation_id,
                   payout_id, batch_id, milestone, rail, attempt, reason, number)
SELECT event_id, type, at, programme, amount_rupiah, citizen_id, wave, province, appropriation_id,
       payout_id, batch_id, milestone, rail, attempt, reason, number
  FROM unnest(:event_id::uuid[], :type::text[], :at::timestamptz[], :programme::text[], :amount_rupiah::bigint[],
              :citizen_id::uuid[], :wave::integer[], :province::text[], :appropriation_id::uuid[], :payout_id::uuid[],
              :batch_id::uuid[], :milestone::text[], :rail::text[], :attempt::integer[], :reason::text[],
              :number::integer[])
       WITH ORDINALITY AS told (event_id, type, at, programme, amount_rupiah, citizen_id, wave, province,
                                appropriation_id, payout_id, batch_id, milestone, rail, attempt, reason, number, place)
 ORDER BY place
    ON CONFLICT (event_id) DO NOTHING
RETURNING event_id;

-- name: entries_by_id
-- The copies of given events, to compare a repeat with what was told first.
SELECT event_id, type, at, programme, amount_rupiah, citizen_id, wave, province, appropriation_id, payout_id, batch_id,
       milestone, rail, attempt, reason, number
  FROM entry
 WHERE event_id = ANY (:event_ids::uuid[]);

-- name: payouts_by_id
-- No row lock: the lock of the books is held.
SELECT payout_id, citizen_id, programme, province, milestone, rail, amount_rupiah, attempt, state
  FROM payout
 WHERE payout_id = ANY (:payout_ids::uuid[]);

-- name: reservations_by_key
-- No row lock: the lock of the books is held.
SELECT held.citizen_id, held.programme, held.reserved_rupiah, held.in_flight_rupiah, held.paid_rupiah, held.releases
  FROM unnest(:citizen_ids::uuid[], :programmes::text[]) AS wanted (citizen_id, programme)
  JOIN reservation AS held USING (citizen_id, programme);

-- name: save_reservations!
-- The whole row as it stands after the batch; its CHECKs are the last line against paying more than was promised.
INSERT INTO reservation (citizen_id, programme, reserved_rupiah, in_flight_rupiah, paid_rupiah, releases)
SELECT citizen_id, programme, reserved_rupiah, in_flight_rupiah, paid_rupiah, releases
  FROM unnest(:citizen_ids::uuid[], :programmes::text[], :reserved::bigint[], :in_flight::bigint[], :paid::bigint[],
              :releases::integer[])
       AS told (citizen_id, programme, reserved_rupiah, in_flight_rupiah, paid_rupiah, releases)
 ORDER BY citizen_id, programme
    ON CONFLICT (citizen_id, programme) DO UPDATE
   SET reserved_rupiah = excluded.reserved_rupiah,
       in_flight_rupiah = excluded.in_flight_rupiah,
       paid_rupiah = excluded.paid_rupiah,
       releases = excluded.releases;

-- name: save_payouts!
-- Only attempt, rail and state may change; the rest was fixed by the payout's first event.
INSERT INTO payout (payout_id, citizen_id, programme, province, milestone, rail, amount_rupiah, attempt, state)
SELECT payout_id, citizen_id, programme, province, milestone, rail, amount_rupiah, attempt, state
  FROM unnest(:payout_ids::uuid[], :citizen_ids::uuid[], :programmes::text[], :provinces::text[], :milestones::text[],
              :rails::text[], :amounts::bigint[], :attempts::integer[], :states::text[])
       AS told (payout_id, citizen_id, programme, province, milestone, rail, amount_rupiah, attempt, state)
 ORDER BY payout_id
    ON CONFLICT (payout_id) DO UPDATE
   SET attempt = excluded.attempt, rail = excluded.rail, state = excluded.state;

-- name: open_books!
-- The rows the two updates below add to. An INSERT ... DO UPDATE would not do: a difference may be below zero, which
-- the CHECKs of a new row refuse even where it would only be added to an old one.
INSERT INTO book (programme)
SELECT DISTINCT programme FROM unnest(:programmes::text[]) AS told (programme)
    ON CONFLICT (programme) DO NOTHING;

-- name: move_balances!
-- One update per programme and batch, both sides of every movement at once: `the_identity` is checked on the result.
UPDATE book
   SET events = book.events + told.events,
       appropriation_rupiah = book.appropriation_rupiah + told.appropriation,
       available_rupiah = book.available_rupiah + told.available,
       reserved_rupiah = book.reserved_rupiah + told.reserved,
       in_flight_rupiah = book.in_flight_rupiah + told.in_flight,
       paid_rupiah = book.paid_rupiah + told.paid,
       returned_rupiah = book.returned_rupiah + told.returned
  FROM unnest(:programmes::text[], :events::bigint[], :appropriation::bigint[], :available::bigint[],
              :reserved::bigint[], :in_flight::bigint[], :paid::bigint[], :returned::bigint[])
       AS told (programme, events, appropriation, available, reserved, in_flight, paid, returned)
 WHERE book.programme = told.programme;

-- name: open_totals!
-- See open_books.
INSERT INTO total (programme, province, rail, milestone)
SELECT programme, province, rail, milestone
  FROM unnest(:programmes::text[], :provinces::text[], :rails::text[], :milestones::text[])
       AS told (programme, province, rail, milestone)
    ON CONFLICT (programme, province, rail, milestone) DO NOTHING;

-- name: add_totals!
-- One update per province, rail, milestone and batch.
UPDATE total
   SET submitted = total.submitted + told.submitted,
       paid = total.paid + told.paid,
       failed = total.failed + told.failed,
       returned = total.returned + told.returned,
       in_flight_rupiah = total.in_flight_rupiah + told.in_flight_rupiah,
       paid_rupiah = total.paid_rupiah + told.paid_rupiah
  FROM unnest(:programmes::text[], :provinces::text[], :rails::text[], :milestones::text[], :submitted::bigint[],
              :paid::bigint[], :failed::bigint[], :returned::bigint[], :in_flight_rupiah::bigint[], :paid_rupiah::bigint[])
       AS told (programme, province, rail, milestone, submitted, paid, failed, returned, in_flight_rupiah, paid_rupiah)
 WHERE total.programme = told.programme AND total.province = told.province
   AND total.rail = told.rail AND total.milestone = told.milestone;

-- name: programmes_to_prove
-- Books that have moved since their last proof. SKIP LOCKED is not wanted: a proof may wait for a batch.
SELECT book.programme
  FROM book LEFT JOIN proof USING (programme)
 WHERE book.events IS DISTINCT FROM proof.events
 ORDER BY book.programme
 LIMIT :limit;

-- name: allow_a_long_proof#
-- A proof reads every event of a programme, which takes minutes at tens of millions; nothing else may take so long.
SET LOCAL statement_timeout = '15min';

-- name: findings
-- All ways to the same figures in one statement, hence in one snapshot: no batch can come in between. Of the copy only
-- type and amount are used, so nothing that the running balances rest on goes into it.
WITH copied AS (
    SELECT programme, type, count(*) AS events, sum(amount_rupiah)::bigint AS rupiah
      FROM entry WHERE programme = ANY (:programmes::text[])
     GROUP BY programme, type
), by_copy AS (
    SELECT programme, sum(events)::bigint AS events,
           coalesce(sum(rupiah) FILTER (WHERE type = 'appropriation-granted'), 0)::bigint AS granted,
           coalesce(sum(rupiah) FILTER (WHERE type = 'money-reserved'), 0)::bigint AS promised,
           coalesce(sum(rupiah) FILTER (WHERE type = 'incentive-submitted'), 0)::bigint AS submitted,
           coalesce(sum(rupiah) FILTER (WHERE type = 'incentive-paid'), 0)::bigint AS paid,
           coalesce(sum(rupiah) FILTER (WHERE type = 'incentive-failed'), 0)::bigint AS failed,
           coalesce(sum(rupiah) FILTER (WHERE type = 'incentive-returned'), 0)::bigint AS sent_back,
           coalesce(sum(rupiah) FILTER (WHERE type = 'reservation-released'), 0)::bigint AS released,
           coalesce(sum(rupiah) FILTER (WHERE type = 'appropriation-returned'), 0)::bigint AS returned
      FROM copied GROUP BY programme
), by_reservation AS (
    SELECT programme, sum(reserved_rupiah)::bigint AS reserved, sum(in_flight_rupiah)::bigint AS in_flight,
           sum(paid_rupiah)::bigint AS paid
      FROM reservation WHERE programme = ANY (:programmes::text[])
     GROUP BY programme
), by_payout AS (
    SELECT programme, coalesce(sum(amount_rupiah) FILTER (WHERE state = 'submitted'), 0)::bigint AS in_flight,
           coalesce(sum(amount_rupiah) FILTER (WHERE state = 'paid'), 0)::bigint AS paid
      FROM payout WHERE programme = ANY (:programmes::text[])
     GROUP BY programme
)
SELECT book.programme, book.events,
       book.appropriation_rupiah, book.available_rupiah, book.reserved_rupiah, book.in_flight_rupiah,
       book.paid_rupiah, book.returned_rupiah,
       coalesce(c.granted, 0) AS copy_appropriation,
       coalesce(c.granted - c.promised + c.released - c.returned, 0) AS copy_available,
       coalesce(c.promised - c.submitted + c.failed + c.sent_back - c.released, 0) AS copy_reserved,
       coalesce(c.submitted - c.paid - c.failed, 0) AS copy_in_flight,
       coalesce(c.paid - c.sent_back, 0) AS copy_paid,
       coalesce(c.returned, 0) AS copy_returned,
       coalesce(r.reserved, 0) AS reservations_reserved,
       coalesce(r.in_flight, 0) AS reservations_in_flight,
       coalesce(r.paid, 0) AS reservations_paid,
       coalesce(p.in_flight, 0) AS payouts_in_flight,
       coalesce(p.paid, 0) AS payouts_paid
  FROM book
  LEFT JOIN by_copy AS c USING (programme)
  LEFT JOIN by_reservation AS r USING (programme)
  LEFT JOIN by_payout AS p USING (programme)
 WHERE book.programme = ANY (:programmes::text[])
 ORDER BY book.programme;

-- name: save_proofs!
-- The number of events the proof covered, so that the next one is due when there are more.
INSERT INTO proof (programme, events, proven_at)
SELECT programme, events, :now::timestamptz FROM unnest(:programmes::text[], :events::bigint[]) AS told (programme, events)
    ON CONFLICT (programme) DO UPDATE SET events = excluded.events, proven_at = excluded.proven_at;

-- name: clear_alarms!
-- Alarms of proven programmes that the proof no longer finds. They stay on record.
UPDATE alarm SET cleared_at = :now::timestamptz
 WHERE cleared_at IS NULL AND programme = ANY (:programmes::text[])
   AND (programme, what, account) NOT IN (
       SELECT found.programme, found.what, found.account
         FROM unnest(:found_programmes::text[], :whats::text[], :accounts::text[]) AS found (programme, what, account));

-- name: raise_alarms!
-- A standing alarm keeps the time it was first raised and shows the newest figures.
INSERT INTO alarm (programme, what, account, expected_rupiah, found_rupiah, raised_at)
SELECT programme, what, account, expected_rupiah, found_rupiah, :now::timestamptz
  FROM unnest(:programmes::text[], :whats::text[], :accounts::text[], :expected::bigint[], :found::bigint[])
       AS told (programme, what, account, expected_rupiah, found_rupiah)
    ON CONFLICT (programme, what, account) WHERE cleared_at IS NULL
    DO UPDATE SET expected_rupiah = excluded.expected_rupiah, found_rupiah = excluded.found_rupiah;

-- name: book^
-- The balances of one programme, with its last proof. One row of each table: a consistent sight.
SELECT book.programme, book.events, book.appropriation_rupiah, book.available_rupiah, book.reserved_rupiah,
       book.in_flight_rupiah, book.paid_rupiah, book.returned_rupiah,
       proof.events AS proven_events, proof.proven_at
  FROM book LEFT JOIN proof USING (programme)
 WHERE book.programme = :programme;

-- name: totals
-- At most provinces x rails x milestones rows (some 600); the caller adds them up along each side.
SELECT province, rail, milestone, submitted, paid, failed, returned, in_flight_rupiah, paid_rupiah
  FROM total
 WHERE programme = :programme
 ORDER BY province, rail, milestone;

-- name: alarms
-- Standing alarms first, then the newest of those that were cleared.
SELECT what, account, expected_rupiah, found_rupiah, raised_at, cleared_at
  FROM alarm
 WHERE programme = :programme
 ORDER BY cleared_at DESC NULLS FIRST, alarm
 LIMIT :limit;

-- name: parked_events$
-- Events that were set aside: while there are any, the books do not say everything that was told.
SELECT count(*) FROM parked WHERE reason <> 'dropped';

-- name: entries_after
-- Pages by `entry`, which rises in commit order: what has been read once is read the same for ever, and no transaction
-- has to stay open while a slow reader downloads.
SELECT entry, event_id, type, at, programme, amount_rupiah, citizen_id, wave, province, appropriation_id, payout_id,
       batch_id, milestone, rail, attempt, reason, number
  FROM entry
 WHERE programme = :programme AND entry > :after AND entry <= :upto
 ORDER BY entry
 LIMIT :limit;

-- name: last_entry$
-- Where an export that begins now will end; 0 when the programme has no entries.
SELECT coalesce(max(entry), 0) FROM entry WHERE programme = :programme;

-- name: one_snapshot#
-- Several reads that belong together see one moment of the books, whatever is booked meanwhile.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
