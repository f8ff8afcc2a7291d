-- The only SQL of selection. Large tables carry wave_id, which stands for (programme, wave).

-- name: wave_for_update^
-- Whoever moves a wave locks it first, so two steps can never be taken from the same state.
SELECT wave_id, programme, wave, attempt, state, seats, recycle, opens_at, closes_at, draws_at, maker_person,
       approver_person, commitment, root, pool_count, waiting, beacon_round, draw_due_at, seed, winners, announced_up_to, announced,
       not_selected, void_reason, void_maker_person, reveal_until, reveals
  FROM wave
 WHERE programme = :programme AND wave = :wave AND current
   FOR UPDATE;

-- name: waves_in_state
-- Waves that may have to move, the earliest draw first. Served by the partial index over living waves.
SELECT wave_id, programme, wave, attempt, state, seats, recycle, opens_at, closes_at, draws_at, maker_person,
       approver_person, commitment, root, pool_count, waiting, beacon_round, draw_due_at, seed, winners, announced_up_to, announced,
       not_selected, void_reason, void_maker_person, reveal_until, reveals
  FROM wave
 WHERE state = :state AND state NOT IN ('published', 'voided')
 ORDER BY draws_at, wave_id;

-- name: waves_to_move
-- Waves the clock has to open or close. SKIP LOCKED: an officer at work on a wave comes first, the clock a minute later.
SELECT wave_id, programme, wave, state
  FROM wave
 WHERE state NOT IN ('published', 'voided')
   AND ((state = 'announced' AND opens_at <= :now) OR (state = 'open' AND closes_at <= :now))
 ORDER BY wave_id
   FOR UPDATE SKIP LOCKED;

-- name: wave_propose$
-- A proposal that nobody has approved may be replaced: the conflict branch changes it only while it is still proposed,
-- and returns nothing otherwise.
INSERT INTO wave (programme, wave, state, seats, recycle, decreed, opens_at, closes_at, draws_at, maker_person,
                  proposed_at)
VALUES (:programme, :wave, 'proposed', :seats, :recycle, :decreed, :opens_at, :closes_at, :draws_at, :maker_person,
        :now)
    ON CONFLICT (programme, wave) WHERE current DO UPDATE
   SET seats = excluded.seats, recycle = excluded.recycle, decreed = excluded.decreed, opens_at = excluded.opens_at,
       closes_at = excluded.closes_at, draws_at = excluded.draws_at, maker_person = excluded.maker_person,
       proposed_at = excluded.proposed_at
 WHERE wave.state = 'proposed'
RETURNING wave_id;

-- name: quotas_drop!
-- Only a proposal's quotas are ever replaced.
DELETE FROM quota q
 USING wave w
 WHERE q.wave_id = :wave_id AND w.wave_id = q.wave_id AND w.state = 'proposed';

-- name: quotas_add!
INSERT INTO quota (wave_id, province, tier, seats, recycled, appealed)
SELECT :wave_id, told.province, told.tier, told.seats, told.recycled, told.appealed
  FROM unnest(:provinces::text[], :tiers::text[], :seats::integer[], :recycled::integer[], :appealed::integer[])
    AS told (province, tier, seats, recycled, appealed);

-- name: quotas_of
SELECT province, tier, seats, recycled
  FROM quota
 WHERE wave_id = :wave_id
 ORDER BY province, tier;

-- name: freed_seats_release!
-- Seats a wave had claimed become free again: its proposal was replaced, or it was voided.
UPDATE freed_seat
   SET used_by_wave_id = NULL
 WHERE used_by_wave_id = :wave_id;

-- name: freed_seats_claim
-- Every free seat of the programme goes to one wave; a seat that another proposal is claiming now is that one's.
WITH free AS (
    SELECT citizen_id, programme
      FROM freed_seat
     WHERE programme = :programme AND used_by_wave_id IS NULL AND from_wave_id <> :wave_id
     ORDER BY citizen_id
       FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE freed_seat f
       SET used_by_wave_id = :wave_id
      FROM free
     WHERE f.citizen_id = free.citizen_id AND f.programme = free.programme
    RETURNING f.province, f.tier
)
SELECT province, tier, count(*)::integer AS seats
  FROM claimed
 GROUP BY province, tier
 ORDER BY province, tier;

-- name: wave_approve!
UPDATE wave
   SET state = :state, approver_person = :person, approved_at = :now
 WHERE wave_id = :wave_id;

-- name: wave_state!
UPDATE wave
   SET state = :state
 WHERE wave_id = :wave_id;

-- name: wave_waits!
-- Says why a wave does not go on. Nothing is written while the reason stays the same, so waiting costs no row versions.
UPDATE wave
   SET waiting = :waiting, applications_seen = :applications_seen, lanes_missing = :lanes::smallint[]
 WHERE wave_id = :wave_id
   AND (waiting, applications_seen, lanes_missing)
       IS DISTINCT FROM (:waiting::text, :applications_seen::integer, :lanes::smallint[]);

-- name: change_drop!
-- What waits gives way to a newer request, which has a number of its own.
DELETE FROM wave_change
 WHERE wave_id = :wave_id AND decided_at IS NULL;

-- name: change_ask$
INSERT INTO wave_change (wave_id, step, opens_at, closes_at, draws_at, reason, maker_person, asked_at)
VALUES (:wave_id, :step, :opens_at, :closes_at, :draws_at, :reason, :person, :now)
RETURNING change_id;

-- name: change_waiting^
-- Whoever decides has locked the wave.
SELECT change_id, step, opens_at, closes_at, draws_at, reason, maker_person
  FROM wave_change
 WHERE wave_id = :wave_id AND decided_at IS NULL;

-- name: change_decide!
UPDATE wave_change
   SET checker_person = :person, decided_at = :now
 WHERE change_id = :change_id;

-- name: changes_of
-- Every change of a wave, over all its attempts, the first one first; a pending one is the last.
SELECT c.change_id, c.step, c.opens_at, c.closes_at, c.draws_at, c.reason, c.asked_at, c.decided_at
  FROM wave_change c
  JOIN wave w ON w.wave_id = c.wave_id
 WHERE w.programme = :programme AND w.wave = :wave
 ORDER BY c.change_id;

-- name: wave_times!
UPDATE wave
   SET opens_at = :opens_at, closes_at = :closes_at, draws_at = :draws_at
 WHERE wave_id = :wave_id;

-- name: wave_set_aside!
-- The attempt that is given up; its commitment and its results stay with it.
UPDATE wave
   SET state = 'voided', current = false, void_reason = :reason, void_maker_person = :maker_person,
       void_asked_at = :now, void_approver_person = :person, voided_at = :now
 WHERE wave_id = :wave_id;

-- name: wave_again$
-- The next attempt begins where the intake was closed.
INSERT INTO wave (programme, wave, attempt, state, seats, recycle, decreed, opens_at, closes_at, draws_at, maker_person,
                  proposed_at, approver_person, approved_at)
SELECT programme, wave, attempt + 1, :state, seats, recycle, decreed, opens_at, closes_at, draws_at, maker_person,
       proposed_at, approver_person, approved_at
  FROM wave
 WHERE wave_id = :wave_id
RETURNING wave_id;

-- name: quotas_again!
INSERT INTO quota (wave_id, province, tier, seats, recycled, appealed)
SELECT :again::integer, province, tier, seats, recycled, appealed
  FROM quota
 WHERE wave_id = :wave_id;

-- name: intake_again!
INSERT INTO intake (wave_id, count, digest, stated_at)
SELECT :again::integer, count, digest, stated_at
  FROM intake
 WHERE wave_id = :wave_id;

-- name: intake_lanes_again!
INSERT INTO intake_lane (wave_id, lane, last, count, digest)
SELECT :again::integer, lane, last, count, digest
  FROM intake_lane
 WHERE wave_id = :wave_id;

-- name: applications_again$
-- One page in key order, withdrawn ones too: the statement of the intake counts them. The last id of the page; none where
-- nothing is left. In pages, so that no statement meets the time limit.
WITH page AS (
    SELECT application_id, citizen_id, household_id, province, tier, exclusions, applied_at, withdrawn_at
      FROM application
     WHERE wave_id = :wave_id AND application_id > :after
     ORDER BY application_id
     LIMIT :limit
), copied AS (
    INSERT INTO application (wave_id, application_id, citizen_id, household_id, province, tier, exclusions, applied_at,
                             withdrawn_at)
    SELECT :again::integer, application_id, citizen_id, household_id, province, tier, exclusions, applied_at, withdrawn_at
      FROM page
     ORDER BY application_id
)
SELECT application_id
  FROM page
 ORDER BY application_id DESC
 LIMIT 1;

-- name: freed_seats_again!
UPDATE freed_seat
   SET used_by_wave_id = :again
 WHERE used_by_wave_id = :wave_id;

-- name: appeal_seats_again!
UPDATE appeal
   SET used_by_wave_id = :again
 WHERE used_by_wave_id = :wave_id;

-- name: attempts_of
-- The attempts of a wave that were set aside, the first one first.
SELECT attempt, root, pool_count, committed_at, beacon_round, seed, drawn_at, void_reason, voided_at
  FROM wave
 WHERE programme = :programme AND wave = :wave AND NOT current
 ORDER BY attempt;

-- name: void_ask!
UPDATE wave
   SET void_reason = :reason, void_maker_person = :person, void_asked_at = :now
 WHERE wave_id = :wave_id;

-- name: wave_void!
UPDATE wave
   SET state = 'voided', void_approver_person = :person, voided_at = :now
 WHERE wave_id = :wave_id;

-- name: members_forget!
-- A voided draw made nobody a member: results had not been sent. Its tickets and ranks stay in draw_result.
DELETE FROM member
 WHERE wave_id = :wave_id;

-- name: wave_ids
-- The waves of a batch of events, held against a step at the same moment: FOR SHARE waits for whoever moves a wave.
SELECT w.wave_id, w.programme, w.wave, w.state
  FROM wave w
  JOIN unnest(:programmes::text[], :waves::integer[]) AS told (programme, wave)
    ON w.programme = told.programme AND w.wave = told.wave AND w.current
 ORDER BY w.wave_id
   FOR SHARE OF w;

-- name: applications_add!
-- Sorted by key, so that two batches can not wait for each other; a repeat changes nothing. A second standing application
-- of one citizen violates its unique index and is refused by the database.
INSERT INTO application (wave_id, application_id, citizen_id, household_id, province, tier, exclusions, applied_at)
SELECT told.wave_id, told.application_id, told.citizen_id, told.household_id, told.province, told.tier,
       string_to_array(told.exclusions, ','), told.applied_at
  FROM unnest(:wave_ids::integer[], :application_ids::uuid[], :citizen_ids::uuid[], :household_ids::uuid[],
              :provinces::text[], :tiers::text[], :exclusions::text[], :applied_ats::timestamptz[])
    AS told (wave_id, application_id, citizen_id, household_id, province, tier, exclusions, applied_at)
 ORDER BY told.wave_id, told.application_id
    ON CONFLICT (wave_id, application_id) DO NOTHING;

-- name: applications_withdraw
-- The ids found; a repeat finds them too and keeps the first time.
UPDATE application a
   SET withdrawn_at = coalesce(a.withdrawn_at, told.withdrawn_at)
  FROM unnest(:wave_ids::integer[], :application_ids::uuid[], :withdrawn_ats::timestamptz[])
    AS told (wave_id, application_id, withdrawn_at)
 WHERE a.wave_id = told.wave_id AND a.application_id = told.application_id
RETURNING a.application_id;

-- name: intakes_add!
-- Registration states an intake once; a repeat changes nothing.
INSERT INTO intake (wave_id, count, digest, stated_at)
SELECT told.wave_id, told.count, told.digest, told.stated_at
  FROM unnest(:wave_ids::integer[], :counts::integer[], :digests::bytea[], :stated_ats::timestamptz[])
    AS told (wave_id, count, digest, stated_at)
 ORDER BY told.wave_id
    ON CONFLICT (wave_id) DO NOTHING;

-- name: intake_lanes_add!
-- With the intake, in one transaction; a repeat changes nothing.
INSERT INTO intake_lane (wave_id, lane, last, count, digest)
SELECT told.wave_id, told.lane, told.last, told.count, told.digest
  FROM unnest(:wave_ids::integer[], :lanes::smallint[], :lasts::integer[], :counts::integer[], :digests::bytea[])
    AS told (wave_id, lane, last, count, digest)
 ORDER BY told.wave_id, told.lane
    ON CONFLICT (wave_id, lane) DO NOTHING;

-- name: lanes_apart
-- The partitions in which what has arrived is not what registration has stated. The partition of a citizen is the bus's
-- rule: CRC-32 of the key modulo the number of partitions. Asked only while a wave waits, or its digest disagrees.
SELECT coalesce(stated.lane, arrived.lane)::smallint AS lane, coalesce(stated.last, 0) AS stated_last,
       coalesce(arrived.last, 0) AS arrived_last
  FROM (SELECT lane, last, count, digest FROM intake_lane WHERE wave_id = :wave_id) AS stated
  FULL JOIN (SELECT crc32(convert_to(replace(citizen_id::text, '-', ''), 'UTF8')) % :lanes AS lane,
                    (count(*) + count(withdrawn_at))::integer AS last,
                    (count(*) - count(withdrawn_at))::integer AS count,
                    sha256(coalesce(string_agg(uuid_send(application_id), ''::bytea ORDER BY application_id)
                                    FILTER (WHERE withdrawn_at IS NULL), ''::bytea)) AS digest
               FROM application
              WHERE wave_id = :wave_id
              GROUP BY 1) AS arrived ON arrived.lane = stated.lane
 WHERE (stated.last, stated.count, stated.digest) IS DISTINCT FROM (arrived.last, arrived.count, arrived.digest)
 ORDER BY lane;

-- name: intake_of^
SELECT count, digest
  FROM intake
 WHERE wave_id = :wave_id;

-- name: members_revoke
-- The memberships found, now or before: a repeat finds them too and keeps the first time.
UPDATE member m
   SET revoked_at = coalesce(m.revoked_at, told.revoked_at)
  FROM unnest(:citizen_ids::uuid[], :programmes::text[], :revoked_ats::timestamptz[])
    AS told (citizen_id, programme, revoked_at)
 WHERE m.citizen_id = told.citizen_id AND m.programme = told.programme
RETURNING m.citizen_id, m.programme;

-- name: freed_seats_add!
-- The seat goes back to the stratum whose quota it came from, which after a spill-over is not the member's own.
INSERT INTO freed_seat (citizen_id, programme, from_wave_id, province, tier, reason, freed_at)
SELECT m.citizen_id, m.programme, m.wave_id, m.seat_province, m.seat_tier, told.reason, told.freed_at
  FROM unnest(:citizen_ids::uuid[], :programmes::text[], :reasons::text[], :freed_ats::timestamptz[])
    AS told (citizen_id, programme, reason, freed_at)
  JOIN member m ON m.citizen_id = told.citizen_id AND m.programme = told.programme
 ORDER BY m.citizen_id, m.programme
    ON CONFLICT (citizen_id, programme) DO NOTHING;

-- name: applications_standing$
SELECT count(*)::integer
  FROM application
 WHERE wave_id = :wave_id AND withdrawn_at IS NULL;

-- name: waves_drawn$
-- Changes whenever somebody may have become a member: a pool that was filtered before is then out of date.
SELECT count(*)::integer
  FROM wave
 WHERE drawn_at IS NOT NULL;

-- name: draws_one_at_a_time!
-- Committing and drawing write one after the other, over all waves; released with the transaction.
SELECT pg_advisory_xact_lock(hashtext('selection.draws'));

-- name: applications_page
-- One page of a wave's standing applications in canonical order (uuid sorts by its bytes), with what the filters ask:
-- what the outside checks found, was the citizen ever selected (in any programme, or in this one), and how many of the
-- household are members of it, or will be by an appeal's seat of this wave. Read by COPY: no field is NULL and each has one length; a stratum is one number.
SELECT a.application_id, a.household_id, (2 * a.province::integer + (a.tier = 'public')::integer)::smallint AS cell,
       (('blacklist' = ANY (a.exclusions))::integer + 2 * ('other-aid' = ANY (a.exclusions))::integer
        + 4 * (EXISTS (SELECT FROM member m
                        WHERE m.citizen_id = a.citizen_id AND (:once_per_lifetime OR m.programme = :programme))
               OR EXISTS (SELECT FROM appeal s  -- a seat of this very wave is theirs already
                           WHERE s.citizen_id = a.citizen_id AND s.used_by_wave_id = :wave_id))::integer)::smallint AS marks,
       ((SELECT count(*) FROM member h
          WHERE h.household_id = a.household_id AND h.programme = :programme AND h.revoked_at IS NULL)
        + (SELECT count(*) FROM appeal s
            WHERE s.household_id = a.household_id AND s.used_by_wave_id = :wave_id))::smallint AS household_members
  FROM application a
 WHERE a.wave_id = :wave_id AND a.application_id > :after AND a.withdrawn_at IS NULL
 ORDER BY a.application_id
 LIMIT :limit;

-- name: wave_commit!
UPDATE wave
   SET state = :state, commitment = :commitment, signature = :signature, root = :root, pool_count = :pool_count,
       beacon_round = :beacon_round, draw_due_at = :draw_due_at, committed_at = :committed_at, waiting = NULL,
       applications_seen = :applications_seen
 WHERE wave_id = :wave_id;

-- name: pool_page
-- One page of a frozen pool in canonical order, with the salts, as it was committed to. Leaves ascend with ids, so the
-- page is one range of the applications too; without its two ends the planner may read all applications for each page.
SELECT p.leaf, uuid_send(p.application_id) AS application_id, a.province, a.tier, p.household_group, p.places, p.salt
  FROM pool_entry p
  JOIN application a ON a.wave_id = p.wave_id AND a.application_id = p.application_id
 WHERE p.wave_id = :wave_id AND p.leaf >= :first AND p.leaf < :last
   AND a.application_id >= (SELECT f.application_id FROM pool_entry f WHERE f.wave_id = :wave_id AND f.leaf = :first)
   AND a.application_id <= (SELECT l.application_id FROM pool_entry l
                             WHERE l.wave_id = :wave_id AND l.leaf < :last ORDER BY l.leaf DESC LIMIT 1)
 ORDER BY p.leaf;

-- name: pool_columns
-- The same, as the draw takes it: by COPY, a stratum as one number.
SELECT p.application_id, (2 * a.province::integer + (a.tier = 'public')::integer)::smallint AS cell, p.household_group,
       p.places, p.salt
  FROM pool_entry p
  JOIN application a ON a.wave_id = p.wave_id AND a.application_id = p.application_id
 WHERE p.wave_id = :wave_id AND p.leaf >= :first AND p.leaf < :last
   AND a.application_id >= (SELECT f.application_id FROM pool_entry f WHERE f.wave_id = :wave_id AND f.leaf = :first)
   AND a.application_id <= (SELECT l.application_id FROM pool_entry l
                             WHERE l.wave_id = :wave_id AND l.leaf < :last ORDER BY l.leaf DESC LIMIT 1)
 ORDER BY p.leaf;

-- name: applications_analyse!
-- A wave arrives between two looks of autovacuum. Without this the planner takes it for empty, and joins of a million
-- rows become nested loops. The same holds for the pool and the results below, which one transaction fills.
ANALYZE application;

-- name: pool_analyse!
ANALYZE pool_entry, exclusion;

-- name: results_analyse!
ANALYZE draw_result;

-- name: members_add!
-- Winners within a range of leaves become members in the transaction of the draw, page by page, so that no statement
-- meets the time limit. The primary key refuses a second membership.
INSERT INTO member (citizen_id, programme, wave_id, application_id, household_id, seat_province, seat_tier)
SELECT a.citizen_id, w.programme, w.wave_id, a.application_id, a.household_id, r.seat_province, r.seat_tier
  FROM wave w
  JOIN draw_result r ON r.wave_id = w.wave_id AND r.seat_province IS NOT NULL
  JOIN pool_entry p ON p.wave_id = r.wave_id AND p.leaf = r.leaf
  JOIN application a ON a.wave_id = p.wave_id AND a.application_id = p.application_id
 WHERE w.wave_id = :wave_id AND r.leaf >= :first AND r.leaf < :last
 ORDER BY a.citizen_id;

-- name: stratum_results_add!
INSERT INTO stratum_result (wave_id, province, tier, seats, applicants, winners, cutoff)
SELECT :wave_id, told.province, told.tier, told.seats, told.applicants, told.winners, told.cutoff
  FROM unnest(:provinces::text[], :tiers::text[], :seats::integer[], :applicants::integer[], :winners::integer[],
              :cutoffs::bytea[])
    AS told (province, tier, seats, applicants, winners, cutoff);

-- name: stratum_results_of
SELECT province, tier, seats, applicants, winners, cutoff
  FROM stratum_result
 WHERE wave_id = :wave_id
 ORDER BY province, tier;

-- name: wave_draw!
UPDATE wave
   SET state = :state, beacon_signature = :beacon_signature, randomness = :randomness, seed = :seed,
       winners = :winners, drawn_at = :drawn_at, waiting = NULL
 WHERE wave_id = :wave_id;

-- name: results_counted^
-- One range of the primary key, once per draw before its first result is told.
SELECT count(*)::integer AS results, count(seat_province)::integer AS winners
  FROM draw_result
 WHERE wave_id = :wave_id;

-- name: results_page
-- The next results in the order of application ids: one range of the primary key, so a wave of any size goes out page by
-- page. An application is either excluded or in the pool; all joins are by key, and each begins where the page does.
-- Read by COPY: no field is NULL and each has one length. `fate`: 0 unknown to the draw, 1 to 3 excluded, 4 household cap,
-- 5 lost, 6 won.
SELECT a.application_id, a.citizen_id, (2 * a.province::integer + (a.tier = 'public')::integer)::smallint AS cell,
       (CASE WHEN e.reason = 'blacklist' THEN 1
             WHEN e.reason = 'other-aid' THEN 2
             WHEN e.reason = 'already-member' THEN 3
             WHEN r.ticket IS NULL THEN 0
             WHEN r.rank IS NULL THEN 4
             WHEN r.seat_province IS NULL THEN 5
             ELSE 6 END)::smallint AS fate,
       coalesce(r.ticket, decode(repeat('00', 32), 'hex')) AS ticket, coalesce(r.rank, 0) AS rank
  FROM application a
  LEFT JOIN exclusion e ON e.wave_id = a.wave_id AND e.application_id = a.application_id AND e.application_id > :after
  LEFT JOIN pool_entry p ON p.wave_id = a.wave_id AND p.application_id = a.application_id AND p.application_id > :after
  LEFT JOIN draw_result r ON r.wave_id = p.wave_id AND r.leaf = p.leaf
 WHERE a.wave_id = :wave_id AND a.application_id > :after AND a.withdrawn_at IS NULL
 ORDER BY a.application_id
 LIMIT :limit;

-- name: wave_announced!
UPDATE wave
   SET announced_up_to = :announced_up_to, announced = announced + :announced,
       not_selected = not_selected + :not_selected
 WHERE wave_id = :wave_id;

-- name: wave_publish!
UPDATE wave
   SET state = :state, published_at = :now, waiting = NULL
 WHERE wave_id = :wave_id;

-- name: wave_view^
-- Everything the public may know about a wave.
SELECT w.wave_id, w.programme, w.wave, w.attempt, w.state, w.seats, w.recycle, w.decreed, w.opens_at, w.closes_at,
       w.draws_at, w.proposed_at, w.approved_at, w.waiting, w.applications_seen, w.lanes_missing, w.commitment, w.signature, w.root,
       w.pool_count, w.beacon_round, w.draw_due_at, w.committed_at, w.beacon_signature, w.randomness, w.seed, w.winners, w.drawn_at, w.not_selected,
       w.published_at, w.void_reason, w.void_asked_at, w.voided_at, w.reveal_until, w.reveals, w.reveals_signature,
       w.announced_up_to IS NOT NULL AS results_sent,
       i.count AS intake_count
  FROM wave w
  LEFT JOIN intake i ON i.wave_id = w.wave_id
 WHERE w.programme = :programme AND w.wave = :wave
   AND (w.attempt = :attempt OR (:attempt::integer IS NULL AND w.current));

-- name: waves_list
-- Seats are those that the draw gives, as everywhere: with recycled ones, without those that upheld appeals took.
SELECT w.programme, w.wave, w.state, given.seats, w.opens_at, w.closes_at, w.draws_at, w.pool_count, w.winners,
       w.not_selected, w.waiting, given.recycled_seats
  FROM wave w
 CROSS JOIN LATERAL (SELECT coalesce(sum(q.seats), 0)::integer AS seats,
                            coalesce(sum(q.recycled), 0)::integer AS recycled_seats
                       FROM quota q WHERE q.wave_id = w.wave_id) AS given
 WHERE w.current AND (w.approved_at IS NOT NULL OR NOT :announced)
 ORDER BY w.programme, w.wave
 LIMIT :limit;

-- name: freed_seats_used
-- Where the recycled seats of a wave came from, counted by the wave that lost them.
SELECT w.wave AS from_wave, f.province, f.tier, count(*)::integer AS seats
  FROM freed_seat f
  JOIN wave w ON w.wave_id = f.from_wave_id
 WHERE f.used_by_wave_id = :wave_id
 GROUP BY w.wave, f.province, f.tier
 ORDER BY w.wave, f.province, f.tier;

-- name: recycled_seats
-- Each recycled seat of a wave, numbered in the order in which they were freed. What a wave has claimed does not change
-- once it is announced, so the numbers stay.
SELECT freed.number, freed.seat_id, freed.from_wave, freed.province, freed.tier, freed.reason, freed.freed_at
  FROM (SELECT row_number() OVER (ORDER BY f.freed_at, f.seat_id) AS number, f.seat_id, w.wave AS from_wave, f.province,
               f.tier, f.reason, f.freed_at
          FROM freed_seat f
          JOIN wave w ON w.wave_id = f.from_wave_id
         WHERE f.used_by_wave_id = :wave_id) AS freed
 WHERE freed.number > :after
 ORDER BY freed.number
 LIMIT :limit;

-- name: draws_of_citizen
-- A citizen's standing applications, the newest wave first, each with its place in the pool and its result.
SELECT w.wave_id, w.programme, w.wave, w.attempt, w.state, w.commitment, w.signature, w.root, w.pool_count, w.randomness, w.seed,
       a.application_id, a.province, a.tier, e.reason AS excluded, p.leaf, p.household_group, p.places, p.salt,
       r.ticket, r.rank, r.seat_province, r.seat_tier, s.applicants, s.cutoff
  FROM application a
  JOIN wave w ON w.wave_id = a.wave_id
  LEFT JOIN exclusion e ON e.wave_id = a.wave_id AND e.application_id = a.application_id
  LEFT JOIN pool_entry p ON p.wave_id = a.wave_id AND p.application_id = a.application_id
  LEFT JOIN draw_result r ON r.wave_id = p.wave_id AND r.leaf = p.leaf
  LEFT JOIN stratum_result s ON s.wave_id = a.wave_id AND s.province = a.province AND s.tier = a.tier
 WHERE a.citizen_id = :citizen_id AND a.withdrawn_at IS NULL
 ORDER BY w.wave_id DESC
 LIMIT :limit;

-- name: merkle_hashes
-- Thirty-two bytes from each named place of the tree; chunks are stored uncompressed, so nothing else is read.
SELECT substring(m.hashes FROM told.byte FOR 32) AS hash
  FROM unnest(:levels::integer[], :chunks::integer[], :bytes::integer[])
       WITH ORDINALITY AS told (level, chunk, byte, nth)
  JOIN merkle m ON m.wave_id = :wave_id AND m.level = told.level AND m.chunk = told.chunk
 ORDER BY told.nth;

-- name: exclusions_page
-- One range of the primary key. Ordered by the column, not by the bytes of the same name, for which no index is kept.
SELECT uuid_send(e.application_id) AS application_id
  FROM exclusion e
 WHERE e.wave_id = :wave_id AND e.application_id > :after
 ORDER BY e.application_id
 LIMIT :limit;

-- name: winners_page
-- The winners within one range of leaves, for the public bundle.
SELECT leaf, rank, seat_province, seat_tier
  FROM draw_result
 WHERE wave_id = :wave_id AND leaf >= :first AND leaf < :last AND seat_province IS NOT NULL
 ORDER BY leaf;

-- name: entry_shown^
-- What became of one application, for whoever knows its number. Every join is by key.
SELECT a.province, a.tier, p.leaf, r.ticket, r.rank, r.seat_province, r.seat_tier, s.applicants, s.cutoff
  FROM application a
  LEFT JOIN pool_entry p ON p.wave_id = a.wave_id AND p.application_id = a.application_id
  LEFT JOIN draw_result r ON r.wave_id = p.wave_id AND r.leaf = p.leaf
  LEFT JOIN stratum_result s ON s.wave_id = a.wave_id AND s.province = a.province AND s.tier = a.tier
 WHERE a.wave_id = :wave_id AND a.application_id = :application_id AND a.withdrawn_at IS NULL;

-- name: winners_shown
-- The next winners' numbers from one number on. Leaves ascend with ids, so the first leaf is found by the unique key and
-- the page is one range of the results.
SELECT uuid_send(p.application_id) AS application_id
  FROM draw_result r
  JOIN pool_entry p ON p.wave_id = r.wave_id AND p.leaf = r.leaf
 WHERE r.wave_id = :wave_id AND r.seat_province IS NOT NULL
   AND r.leaf >= (SELECT f.leaf FROM pool_entry f
                   WHERE f.wave_id = :wave_id AND f.application_id >= :start
                   ORDER BY f.application_id LIMIT 1)
 ORDER BY r.leaf
 LIMIT :limit;

-- name: wave_people^
-- Who asked for what waits, and whether it is too late for that: for officers alone.
SELECT maker_person, void_maker_person
  FROM wave
 WHERE wave_id = :wave_id;

-- name: requests_open
-- What waits for a person, over all waves: a proposal, other times, another draw or a void for a checker, and a secret
-- for the official who has committed to it; with what tells whether it can still be done. Few waves live at a time, and
-- each has few of them.
SELECT w.programme, w.wave, w.state, w.draw_due_at, w.waiting, w.reveal_until,
       w.announced_up_to IS NOT NULL AS results_sent, asked.kind, asked.person, asked.at
  FROM wave w
  JOIN (SELECT wave_id, 'proposal' AS kind, maker_person AS person, proposed_at AS at
          FROM wave
         WHERE state = 'proposed'
        UNION ALL
        SELECT wave_id, step, maker_person, asked_at
          FROM wave_change
         WHERE decided_at IS NULL
        UNION ALL
        SELECT wave_id, 'void', void_maker_person, void_asked_at
          FROM wave
         WHERE void_asked_at IS NOT NULL
        UNION ALL
        SELECT o.wave_id, 'reveal', o.person, r.reveal_until
          FROM official o
          JOIN wave r ON r.wave_id = o.wave_id
         WHERE r.state = 'committed' AND r.reveal_until IS NOT NULL AND r.reveals IS NULL AND o.secret IS NULL
       ) AS asked ON asked.wave_id = w.wave_id
 WHERE w.current AND w.state NOT IN ('published', 'voided')
   AND w.announced_up_to IS NULL  -- while results go out nothing is voided or drawn again
 ORDER BY asked.at, w.programme, w.wave
 LIMIT :limit;

-- name: hand_ins_open
-- Waves in which a person may still commit to a secret: for an office of theirs that nobody has spoken for yet, unless
-- they have spoken for another. The wave that closes first comes first.
SELECT w.programme, w.wave, 'hand-in' AS kind, :person::text AS person, w.closes_at AS at
  FROM wave w
 WHERE w.current AND w.state IN ('announced', 'open') AND w.closes_at > :now
   AND NOT EXISTS (SELECT FROM official o WHERE o.wave_id = w.wave_id AND o.person = :person)
   AND EXISTS (SELECT
                 FROM unnest(:programmes::text[], :offices::text[]) AS told (programme, office)
                WHERE told.programme = w.programme
                  AND NOT EXISTS (SELECT FROM official o WHERE o.wave_id = w.wave_id AND o.office = told.office))
 ORDER BY w.closes_at, w.programme, w.wave
 LIMIT :limit;

-- name: freed_seats_free
-- Seats that wait for a wave, by programme.
SELECT programme, count(*)::integer AS seats
  FROM freed_seat
 WHERE used_by_wave_id IS NULL
 GROUP BY programme
 ORDER BY programme;

-- name: appeals_counted
SELECT state, count(*)::integer AS appeals
  FROM appeal
 WHERE state IN ('lodged', 'examined')
 GROUP BY state;

-- name: appeals_page
-- Appeals of one state, the oldest first; with `after`, those behind that one.
SELECT a.appeal_id, w.programme, w.wave, a.reason, a.ground, a.lodged_at, a.finding, a.maker_person
  FROM appeal a
  JOIN wave w ON w.wave_id = a.wave_id
 WHERE a.state = :state AND a.state IN ('lodged', 'examined')
   AND (:after::uuid IS NULL
        OR (a.lodged_at, a.appeal_id) > (SELECT b.lodged_at, b.appeal_id FROM appeal b WHERE b.appeal_id = :after))
 ORDER BY a.lodged_at, a.appeal_id
 LIMIT :limit;

-- name: appeal_shown^
-- One appeal for officers. Nothing here says who it is of.
SELECT a.appeal_id, w.programme, w.wave, a.application_id, a.reason, a.ground, a.lodged_at, a.state, a.finding, a.maker_person,
       a.examined_at, a.decided_at, u.wave AS seat_wave,
       EXISTS (SELECT FROM member m
                WHERE m.citizen_id = a.citizen_id
                  AND (m.programme = w.programme OR w.programme = ANY (:lifetime::text[]))) AS is_member
  FROM appeal a
  JOIN wave w ON w.wave_id = a.wave_id
  LEFT JOIN wave u ON u.wave_id = a.used_by_wave_id
 WHERE a.appeal_id = :appeal_id;

-- name: result_of^
-- What a published wave decided about one application of one citizen.
SELECT w.wave_id, w.programme, w.wave, w.published_at, a.application_id, a.citizen_id, a.province, a.tier,
       e.reason AS excluded, r.rank, r.seat_province, l.lodged_at, l.ground
  FROM application a
  JOIN wave w ON w.wave_id = a.wave_id AND w.state = 'published'
  LEFT JOIN exclusion e ON e.wave_id = a.wave_id AND e.application_id = a.application_id
  LEFT JOIN pool_entry p ON p.wave_id = a.wave_id AND p.application_id = a.application_id
  LEFT JOIN draw_result r ON r.wave_id = p.wave_id AND r.leaf = p.leaf
  LEFT JOIN appeal l ON l.application_id = a.application_id
 WHERE a.citizen_id = :citizen_id AND a.application_id = :application_id AND a.withdrawn_at IS NULL;

-- name: appeal_lodge$
-- One appeal per result: a repeat finds it and adds nothing.
INSERT INTO appeal (appeal_id, application_id, wave_id, citizen_id, household_id, contested, reason, ground, lodged_at,
                    state)
SELECT :appeal_id, p.application_id, p.wave_id, p.citizen_id, p.household_id, :contested, :reason, :ground, :now, :state
  FROM application p
 WHERE p.wave_id = :wave_id AND p.application_id = :application_id
    ON CONFLICT (application_id) DO NOTHING
RETURNING appeal_id;

-- name: appeal_for_update^
-- Whoever examines or decides has it alone.
SELECT a.appeal_id, a.application_id, a.citizen_id, w.programme, w.wave, a.contested, a.state, a.finding, a.maker_person,
       EXISTS (SELECT FROM member m
                WHERE m.citizen_id = a.citizen_id
                  AND (m.programme = w.programme OR w.programme = ANY (:lifetime::text[]))) AS is_member
  FROM appeal a
  JOIN wave w ON w.wave_id = a.wave_id
 WHERE a.appeal_id = :appeal_id
   FOR UPDATE OF a;

-- name: appeal_examine!
UPDATE appeal
   SET state = :state, finding = :finding, maker_person = :person, examined_at = :now
 WHERE appeal_id = :appeal_id;

-- name: appeal_decide!
UPDATE appeal
   SET state = :state, checker_person = :person, decided_at = :now
 WHERE appeal_id = :appeal_id;

-- name: appeals_of_citizen
-- A finding is a maker's own until a checker agrees, and a proposed wave may still be replaced: neither is told before.
SELECT a.appeal_id, w.programme, w.wave, a.application_id, a.contested, a.reason, a.ground, a.lodged_at, a.state,
       CASE WHEN a.state IN ('upheld', 'dismissed') THEN a.finding END AS finding, a.decided_at, u.wave AS seat_wave
  FROM appeal a
  JOIN wave w ON w.wave_id = a.wave_id
  LEFT JOIN wave u ON u.wave_id = a.used_by_wave_id AND u.approved_at IS NOT NULL
 WHERE a.citizen_id = :citizen_id
 ORDER BY a.lodged_at, a.appeal_id
 LIMIT :limit;

-- name: appeals_open
-- What waits for officers, the oldest first.
SELECT a.appeal_id, w.programme, w.wave, a.application_id, a.contested, a.reason, a.ground, a.lodged_at, a.state, a.finding,
       a.decided_at, NULL::integer AS seat_wave
  FROM appeal a
  JOIN wave w ON w.wave_id = a.wave_id
 WHERE a.state IN ('lodged', 'examined')
 ORDER BY a.lodged_at, a.appeal_id
 LIMIT :limit;

-- name: appeal_seats_wanted
-- Upheld appeals of a programme that have no seat yet, the first decided first; who became a member meanwhile (of any
-- programme, where it is once per lifetime) gets none. An appeal that another proposal is claiming now is that one's.
SELECT a.appeal_id, a.citizen_id, p.province, p.tier
  FROM appeal a
  JOIN wave w ON w.wave_id = a.wave_id AND w.programme = :programme
  JOIN application p ON p.wave_id = a.wave_id AND p.application_id = a.application_id
 WHERE a.state = 'upheld' AND a.used_by_wave_id IS NULL AND a.wave_id <> :wave_id
   AND NOT EXISTS (SELECT FROM member m
                    WHERE m.citizen_id = a.citizen_id AND (:once_per_lifetime OR m.programme = :programme))
 ORDER BY a.decided_at, a.appeal_id
   FOR UPDATE OF a SKIP LOCKED;

-- name: appeal_seats_claim!
UPDATE appeal a
   SET used_by_wave_id = :wave_id, seat_application_id = told.application_id
  FROM unnest(:appeals::uuid[], :applications::uuid[]) AS told (appeal_id, application_id)
 WHERE a.appeal_id = told.appeal_id;

-- name: appeal_seats_release!
-- The proposal was replaced, or its wave voided: the appeals wait for another wave.
UPDATE appeal
   SET used_by_wave_id = NULL, seat_application_id = NULL
 WHERE used_by_wave_id = :wave_id;

-- name: appeal_seats_return!
-- Just before a pool is frozen: the seat of whoever became a member since it was claimed goes back to the quota. If another
-- wave is drawn before the commitment is written, all begins again; and from there to the draw none is.
WITH returned AS (
    UPDATE appeal a
       SET used_by_wave_id = NULL, seat_application_id = NULL
      FROM application p
     WHERE a.used_by_wave_id = :wave_id AND p.wave_id = a.wave_id AND p.application_id = a.application_id
       AND EXISTS (SELECT FROM member m
                    WHERE m.citizen_id = a.citizen_id AND (:once_per_lifetime OR m.programme = :programme))
    RETURNING p.province, p.tier
)
UPDATE quota q
   SET seats = q.seats + back.seats, appealed = q.appealed - back.seats
  FROM (SELECT province, tier, count(*)::integer AS seats FROM returned GROUP BY province, tier) AS back
 WHERE q.wave_id = :wave_id AND q.province = back.province AND q.tier = back.tier;

-- name: appeal_seats_of
-- How many seats of a wave went to upheld appeals before the draw, by stratum and by the wave whose result they contested.
SELECT f.wave AS from_wave, p.province, p.tier, count(*)::integer AS seats
  FROM appeal a
  JOIN wave f ON f.wave_id = a.wave_id
  JOIN application p ON p.wave_id = a.wave_id AND p.application_id = a.application_id
 WHERE a.used_by_wave_id = :wave_id
 GROUP BY f.wave, p.province, p.tier
 ORDER BY f.wave, p.province, p.tier;

-- name: appeal_members_add!
-- In the transaction of the draw. Who became a member elsewhere since the proposal has lost the seat at the commitment;
-- the primary key refuses a second membership.
INSERT INTO member (citizen_id, programme, wave_id, application_id, household_id, seat_province, seat_tier)
SELECT a.citizen_id, w.programme, w.wave_id, a.seat_application_id, p.household_id, p.province, p.tier
  FROM appeal a
  JOIN wave w ON w.wave_id = a.used_by_wave_id
  JOIN application p ON p.wave_id = a.wave_id AND p.application_id = a.application_id
 WHERE a.used_by_wave_id = :wave_id
 ORDER BY a.citizen_id;

-- name: appeal_seats_given
-- The seats that appeals were given in a drawn wave. Their ranks go on after all who were drawn in the stratum.
SELECT a.appeal_id, m.application_id, m.citizen_id, m.seat_province AS province, m.seat_tier AS tier,
       coalesce(s.applicants, 0) + row_number() OVER (PARTITION BY m.seat_province, m.seat_tier ORDER BY m.application_id)
           AS rank
  FROM appeal a
  JOIN member m ON m.application_id = a.seat_application_id
  LEFT JOIN stratum_result s ON s.wave_id = m.wave_id AND s.province = m.seat_province AND s.tier = m.seat_tier
 WHERE a.used_by_wave_id = :wave_id
 ORDER BY m.application_id;

-- name: official_add$
-- One commitment for each person, office and secret; what is noted is never replaced.
INSERT INTO official (wave_id, person, office, secret_commitment, handed_in_at)
VALUES (:wave_id, :person, :office, :secret_commitment, :now)
    ON CONFLICT DO NOTHING
RETURNING wave_id;

-- name: official_of^
SELECT office, secret_commitment, secret
  FROM official
 WHERE wave_id = :wave_id AND person = :person;

-- name: officials_of
SELECT office, secret_commitment, secret
  FROM official
 WHERE wave_id = :wave_id
 ORDER BY secret_commitment;

-- name: official_reveal!
UPDATE official
   SET secret = :secret, revealed_at = :now
 WHERE wave_id = :wave_id AND person = :person AND secret IS NULL;

-- name: wave_reveal_until!
UPDATE wave
   SET reveal_until = :reveal_until
 WHERE wave_id = :wave_id;

-- name: wave_reveals!
UPDATE wave
   SET reveals = :reveals, reveals_signature = :signature, reveals_closed_at = :now
 WHERE wave_id = :wave_id;
