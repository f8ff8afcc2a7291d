-- The SQL of training. Locks are always taken in the order course, enrolment, membership, and sorted by key within each
-- table, so that no two transactions wait for each other in a circle.

-- name: partner_enter!
-- The first course brings its partner in; the same partner again changes nothing.
INSERT INTO partner (partner_id, since) VALUES (:partner_id, :now) ON CONFLICT (partner_id) DO NOTHING;

-- name: course_add!
-- The id derives from partner and code, so a second try with the same code meets the first and is compared with it.
INSERT INTO course (course_id, partner_id, code, title, mode, hours, price_rupiah, also_sold_at_rupiah, seats,
                    starts_at, ends_at)
VALUES (:course_id, :partner_id, :code, :title, :mode, :hours, :price_rupiah, :also_sold_at_rupiah, :seats,
        :starts_at, :ends_at)
ON CONFLICT (course_id) DO NOTHING;

-- name: courses_lock
-- Locked before anything else of a purchase, so that seats are counted by one transaction at a time.
SELECT course_id, partner_id, code, title, mode, hours, price_rupiah, also_sold_at_rupiah, seats, seats_taken,
       starts_at, ends_at, cancelled_at
  FROM course
 WHERE course_id = ANY(:course_ids::uuid[])
 ORDER BY course_id
   FOR NO KEY UPDATE;

-- name: courses_ahead
-- The catalogue: what still lies ahead, has seats, and is long and cheap enough for the programme. Pages by the last
-- start and id seen, so that a course never shows twice while others fill up.
SELECT course_id, partner_id, code, title, mode, hours, price_rupiah, also_sold_at_rupiah, seats, seats_taken,
       starts_at, ends_at, cancelled_at
  FROM course
 WHERE cancelled_at IS NULL
   AND starts_at > :now
   AND (starts_at, course_id) > (:after_start::timestamptz, :after_id::uuid)
   AND seats_taken < seats
   AND hours >= :hours_min
   AND price_rupiah <= :price_max
 ORDER BY starts_at, course_id
 LIMIT :limit;

-- name: courses_move!
-- The rows are locked already; the constraint course_not_oversold is the last line.
UPDATE course
   SET seats_taken = moved.seats_taken, cancelled_at = moved.cancelled_at
  FROM unnest(:course_ids::uuid[], :seats_taken::integer[], :cancelled_at::timestamptz[])
       AS moved (course_id, seats_taken, cancelled_at)
 WHERE course.course_id = moved.course_id;

-- name: members_open
-- Member rows and first ledger lines in one statement, since each refers to the other. A member who is there already is
-- left alone and not returned, so that the caller can tell a repeat from a second selection.
WITH opened AS (
    INSERT INTO membership (citizen_id, programme, wave, application_id, province, tier, state, selected_at,
                            purchase_due, credit_rupiah, entries)
    SELECT citizen_id, programme, wave, application_id, province, tier, 'selected', selected_at,
           purchase_due, credit_rupiah, entries
      FROM unnest(:citizen_ids::uuid[], :programmes::text[], :waves::integer[], :application_ids::uuid[],
                  :provinces::text[], :tiers::text[], :selected_at::timestamptz[], :purchase_due::timestamptz[],
                  :credits::bigint[], :entries::integer[])
           AS winner (citizen_id, programme, wave, application_id, province, tier, selected_at, purchase_due,
                      credit_rupiah, entries)
     ORDER BY citizen_id, programme
    ON CONFLICT (citizen_id, programme) DO NOTHING
    RETURNING citizen_id, programme, selected_at, credit_rupiah, entries
), granted AS (
    INSERT INTO credit_entry (citizen_id, programme, number, kind, amount_rupiah, before_rupiah, balance_rupiah, at)
    SELECT citizen_id, programme, 1, 'granted', credit_rupiah, 0, credit_rupiah, selected_at
      FROM opened
     WHERE entries = 1
)
SELECT citizen_id, programme FROM opened;

-- name: members_lock
-- All memberships of some citizens; who belongs to several programmes has several.
SELECT citizen_id, programme, wave, application_id, province, tier, state, selected_at, purchase_due, credit_rupiah,
       entries, courses_open, courses_completed
  FROM membership
 WHERE citizen_id = ANY(:citizen_ids::uuid[])
 ORDER BY citizen_id, programme
   FOR NO KEY UPDATE;

-- name: members_of
-- The same without a lock, to show.
SELECT citizen_id, programme, wave, application_id, province, tier, state, selected_at, purchase_due, credit_rupiah,
       entries, courses_open, courses_completed
  FROM membership
 WHERE citizen_id = ANY(:citizen_ids::uuid[])
 ORDER BY citizen_id, programme;

-- name: members_due
-- Oldest first. SKIP LOCKED: a member who is buying at this moment wins over the sweep.
SELECT citizen_id, programme, wave, application_id, province, tier, state, selected_at, purchase_due, credit_rupiah,
       entries, courses_open, courses_completed
  FROM membership
 WHERE purchase_due < :now
 ORDER BY purchase_due, citizen_id
 LIMIT :limit
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: members_move!
-- After the ledger lines, which membership_balance_is_the_ledgers looks for.
UPDATE membership
   SET state = moved.state, purchase_due = moved.purchase_due, credit_rupiah = moved.credit_rupiah,
       entries = moved.entries, courses_open = moved.courses_open, courses_completed = moved.courses_completed
  FROM unnest(:citizen_ids::uuid[], :programmes::text[], :states::text[], :purchase_due::timestamptz[],
              :credits::bigint[], :entries::integer[], :courses_open::integer[], :courses_completed::integer[])
       AS moved (citizen_id, programme, state, purchase_due, credit_rupiah, entries, courses_open, courses_completed)
 WHERE membership.citizen_id = moved.citizen_id AND membership.programme = moved.programme;

-- name: credit_add!
-- Ledger lines of many members. The chain of foreign keys holds each line against the one before it, also within this
-- statement.
INSERT INTO credit_entry (citizen_id, programme, number, kind, amount_rupiah, before_rupiah, balance_rupiah,
                          enrolment_id, at)
SELECT citizen_id, programme, number, kind, amount_rupiah, before_rupiah, balance_rupiah, enrolment_id, at
  FROM unnest(:citizen_ids::uuid[], :programmes::text[], :numbers::integer[], :kinds::text[], :amounts::bigint[],
              :before::bigint[], :balances::bigint[], :enrolment_ids::uuid[], :at::timestamptz[])
       AS entry (citizen_id, programme, number, kind, amount_rupiah, before_rupiah, balance_rupiah, enrolment_id, at);

-- name: credit_of
-- A member's ledger, oldest line first.
SELECT number, kind, amount_rupiah, before_rupiah, balance_rupiah, enrolment_id, at
  FROM credit_entry
 WHERE citizen_id = :citizen_id AND programme = :programme
 ORDER BY number;

-- name: enrolments_add!
-- The member rows are locked, so the one course that a citizen may hold once can not be slipped in meanwhile.
INSERT INTO enrolment (enrolment_id, citizen_id, programme, course_id, price_rupiah, redeem_code, state, bought_at)
SELECT enrolment_id, citizen_id, programme, course_id, price_rupiah, redeem_code, 'bought', bought_at
  FROM unnest(:enrolment_ids::uuid[], :citizen_ids::uuid[], :programmes::text[], :course_ids::uuid[],
              :prices::bigint[], :redeem_codes::text[], :bought_at::timestamptz[])
       AS bought (enrolment_id, citizen_id, programme, course_id, price_rupiah, redeem_code, bought_at);

-- name: enrolments_of_citizens
-- Everything some citizens ever bought. Read after their member rows are locked, so nothing can be added meanwhile.
SELECT enrolment.enrolment_id, enrolment.citizen_id, enrolment.programme, membership.wave, enrolment.course_id,
       course.partner_id, course.starts_at, course.ends_at, enrolment.price_rupiah, enrolment.redeem_code,
       enrolment.state, enrolment.bought_at, enrolment.cancelled_by
  FROM enrolment
  JOIN course ON course.course_id = enrolment.course_id
  JOIN membership ON membership.citizen_id = enrolment.citizen_id AND membership.programme = enrolment.programme
 WHERE enrolment.citizen_id = ANY(:citizen_ids::uuid[])
 ORDER BY enrolment.bought_at, enrolment.enrolment_id;

-- name: enrolments_show
-- One citizen's courses with all that has come of them, newest first.
SELECT enrolment.enrolment_id, enrolment.programme, enrolment.course_id, course.title, course.mode, course.starts_at,
       course.ends_at, enrolment.price_rupiah, enrolment.redeem_code, enrolment.state, enrolment.bought_at,
       enrolment.cancelled_at, enrolment.cancelled_by,
       certificate.certificate_id, certificate.score, rating.stars,
       (SELECT array_agg(attendance.sequence ORDER BY attendance.sequence)
          FROM attendance WHERE attendance.enrolment_id = enrolment.enrolment_id) AS attended
  FROM enrolment
  JOIN course ON course.course_id = enrolment.course_id
  LEFT JOIN certificate ON certificate.enrolment_id = enrolment.enrolment_id
  LEFT JOIN rating ON rating.enrolment_id = enrolment.enrolment_id
 WHERE enrolment.citizen_id = :citizen_id
 ORDER BY enrolment.bought_at DESC, enrolment.enrolment_id;

-- name: enrolments_lock_codes
-- What partners present, locked for a change. Two tokens with one code meet here, and the second sees what the first did.
SELECT enrolment.enrolment_id, enrolment.citizen_id, enrolment.programme, membership.wave, enrolment.course_id,
       course.partner_id, course.starts_at, course.ends_at, enrolment.price_rupiah, enrolment.redeem_code,
       enrolment.state, enrolment.bought_at, enrolment.cancelled_by
  FROM enrolment
  JOIN course ON course.course_id = enrolment.course_id
  JOIN membership ON membership.citizen_id = enrolment.citizen_id AND membership.programme = enrolment.programme
 WHERE enrolment.redeem_code = ANY(:redeem_codes::text[])
 ORDER BY enrolment.enrolment_id
   FOR NO KEY UPDATE OF enrolment;

-- name: enrolments_lock
-- What members rate, locked so that a rating is given once.
SELECT enrolment.enrolment_id, enrolment.citizen_id, enrolment.programme, membership.wave, enrolment.course_id,
       course.partner_id, course.starts_at, course.ends_at, enrolment.price_rupiah, enrolment.redeem_code,
       enrolment.state, enrolment.bought_at, enrolment.cancelled_by
  FROM enrolment
  JOIN course ON course.course_id = enrolment.course_id
  JOIN membership ON membership.citizen_id = enrolment.citizen_id AND membership.programme = enrolment.programme
 WHERE enrolment.enrolment_id = ANY(:enrolment_ids::uuid[])
 ORDER BY enrolment.enrolment_id
   FOR NO KEY UPDATE OF enrolment;

-- name: enrolments_lock_open
-- The places of one course that a cancelled session takes away. The course row is locked, so none is added meanwhile.
SELECT enrolment.enrolment_id, enrolment.citizen_id, enrolment.programme, membership.wave, enrolment.course_id,
       course.partner_id, course.starts_at, course.ends_at, enrolment.price_rupiah, enrolment.redeem_code,
       enrolment.state, enrolment.bought_at, enrolment.cancelled_by
  FROM enrolment
  JOIN course ON course.course_id = enrolment.course_id
  JOIN membership ON membership.citizen_id = enrolment.citizen_id AND membership.programme = enrolment.programme
 WHERE enrolment.course_id = :course_id
   AND enrolment.state IN ('bought', 'claimed')
 ORDER BY enrolment.enrolment_id
   FOR NO KEY UPDATE OF enrolment;

-- name: courses_of_codes
-- Which courses some codes belong to: a void locks the course before the enrolment, like everybody else.
SELECT DISTINCT course_id FROM enrolment WHERE redeem_code = ANY(:redeem_codes::text[]);

-- name: enrolments_claim!
UPDATE enrolment SET state = 'claimed', claimed_at = :now WHERE enrolment_id = ANY(:enrolment_ids::uuid[]);

-- name: enrolments_complete!
UPDATE enrolment
   SET state = 'completed', completed_at = :now, first = done.first
  FROM unnest(:enrolment_ids::uuid[], :firsts::boolean[]) AS done (enrolment_id, first)
 WHERE enrolment.enrolment_id = done.enrolment_id;

-- name: enrolments_rate!
UPDATE enrolment SET state = 'rated' WHERE enrolment_id = ANY(:enrolment_ids::uuid[]);

-- name: enrolments_cancel!
UPDATE enrolment
   SET state = 'cancelled', cancelled_at = :now, cancelled_by = :cancelled_by
 WHERE enrolment_id = ANY(:enrolment_ids::uuid[]);

-- name: attendance_add
-- Returns what is new. Who reports the same at the same moment waits here, and is then told that it was there.
INSERT INTO attendance (enrolment_id, sequence, recorded_at)
SELECT DISTINCT enrolment_id, sequence, :now::timestamptz
  FROM unnest(:enrolment_ids::uuid[], :sequences::smallint[]) AS present (enrolment_id, sequence)
 ORDER BY enrolment_id, sequence
ON CONFLICT (enrolment_id, sequence) DO NOTHING
RETURNING enrolment_id, sequence;

-- name: attendance_of
SELECT enrolment_id, array_agg(sequence) AS attended
  FROM attendance
 WHERE enrolment_id = ANY(:enrolment_ids::uuid[])
 GROUP BY enrolment_id;

-- name: certificates_add!
INSERT INTO certificate (certificate_id, enrolment_id, score, last_day, issued_at)
SELECT certificate_id, enrolment_id, score, last_day, :now
  FROM unnest(:certificate_ids::uuid[], :enrolment_ids::uuid[], :scores::smallint[], :last_days::smallint[])
       AS issued (certificate_id, enrolment_id, score, last_day);

-- name: ratings_add!
INSERT INTO rating (enrolment_id, stars, review, rated_at)
SELECT enrolment_id, stars, review, :now
  FROM unnest(:enrolment_ids::uuid[], :stars::smallint[], :reviews::text[]) AS given (enrolment_id, stars, review);

-- name: ratings_of
SELECT rating.enrolment_id, enrolment.citizen_id, rating.stars, rating.review
  FROM rating
  JOIN enrolment ON enrolment.enrolment_id = rating.enrolment_id
 WHERE rating.enrolment_id = ANY(:enrolment_ids::uuid[]);
