-- The only SQL of selection. Large tables carry wave_id, which stands for (programme, wave).

-- name: wave_for_update^
-- Whoever moves a wave locks it first, so two steps can never be taken from the same state.
SELECT wave_id, programme, wave, state, seats, recycle, opens_at, closes_at, draws_at, maker_person, approver_person,
       commitment, root, pool_count, beacon_round, draw_due_at, seed, winners, announced_up_to, announced, not_selected,
       void_reason, void_maker_person
  FROM wave
 WHERE programme = :programme AND wave = :wave
   FOR UPDATE;

-- name: waves_in_state
-- Waves that may have to move, the earliest draw first. Served by the partial index over living waves.
SELECT wave_id, programme, wave, state, seats, recycle, opens_at, closes_at, draws_at, maker_person, approver_person,
       commitment, root, pool_count, beacon_round, draw_due_at, seed, winners, announced_up_to, announced, not_selected,
       void_reason, void_maker_person
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
INSERT INTO wave (programme, wave, state, seats, recycle, opens_at, closes_at, draws_at, maker_person, proposed_at)
VALUES (:programme, :wave, 'proposed', :seats, :recycle, :opens_at, :closes_at, :draws_at, :maker_person, :now)
    ON CONFLICT (programme, wave) DO UPDATE
   SET seats = excluded.seats, recycle = excluded.recycle, opens_at = excluded.opens_at,
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
INSERT INTO quota (wave_id, province, tier, seats, recycled)
SELECT :wave_id, told.province, told.tier, told.seats, told.recycled
  FROM unnest(:provinces::text[], :tiers::text[], :seats::integer[], :recycled::integer[])
    AS told (province, tier, seats, recycled);

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
   SET waiting = :waiting, applications_seen = :applications_seen
 WHERE wave_id = :wave_id
   AND (waiting, applications_seen) IS DISTINCT FROM (:waiting::text, :applications_seen::integer);

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
    ON w.programme = told.programme AND w.wave = told.wave
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
-- was the citizen ever selected (in any programme, or in this one), and how many of the household are members of it.
SELECT uuid_send(a.application_id) AS application_id, uuid_send(a.household_id) AS household_id, a.province, a.tier,
       a.exclusions,
       EXISTS (SELECT FROM member m
                WHERE m.citizen_id = a.citizen_id AND (:once_per_lifetime OR m.programme = :programme)) AS is_member,
       (SELECT count(*)::integer FROM member h
         WHERE h.household_id = a.household_id AND h.programme = :programme AND h.revoked_at IS NULL) AS household_members
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
-- One page of a frozen pool in canonical order, with the salts, as it was committed to.
SELECT p.leaf, uuid_send(p.application_id) AS application_id, a.province, a.tier, p.household_group, p.places, p.salt
  FROM pool_entry p
  JOIN application a ON a.wave_id = p.wave_id AND a.application_id = p.application_id
 WHERE p.wave_id = :wave_id AND p.leaf >= :first AND p.leaf < :last
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
-- Winners become members in the transaction of the draw. The primary key refuses a second membership.
INSERT INTO member (citizen_id, programme, wave_id, application_id, household_id, seat_province, seat_tier)
SELECT a.citizen_id, w.programme, w.wave_id, a.application_id, a.household_id, r.seat_province, r.seat_tier
  FROM wave w
  JOIN draw_result r ON r.wave_id = w.wave_id AND r.seat_province IS NOT NULL
  JOIN pool_entry p ON p.wave_id = r.wave_id AND p.leaf = r.leaf
  JOIN application a ON a.wave_id = p.wave_id AND a.application_id = p.application_id
 WHERE w.wave_id = :wave_id
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

-- name: results_page
-- The next results in the order of application ids: one range of the primary key, so a wave of any size goes out page by
-- page. An application is either excluded or in the pool; both joins are by key.
SELECT a.application_id, a.citizen_id, a.province, a.tier, e.reason AS excluded, p.leaf, r.ticket, r.rank,
       r.seat_province, s.cutoff
  FROM application a
  LEFT JOIN exclusion e ON e.wave_id = a.wave_id AND e.application_id = a.application_id
  LEFT JOIN pool_entry p ON p.wave_id = a.wave_id AND p.application_id = a.application_id
  LEFT JOIN draw_result r ON r.wave_id = p.wave_id AND r.leaf = p.leaf
  LEFT JOIN stratum_result s ON s.wave_id = a.wave_id AND s.province = a.province AND s.tier = a.tier
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
   SET state = :state, published_at = :now
 WHERE wave_id = :wave_id;

-- name: wave_view^
-- Everything the public may know about a wave.
SELECT w.wave_id, w.programme, w.wave, w.state, w.seats, w.recycle, w.opens_at, w.closes_at, w.draws_at, w.proposed_at,
       w.approved_at, w.waiting, w.applications_seen, w.commitment, w.signature, w.root, w.pool_count, w.beacon_round,
       w.draw_due_at, w.committed_at, w.beacon_signature, w.randomness, w.seed, w.winners, w.drawn_at, w.not_selected,
       w.published_at, w.void_reason, w.void_asked_at, w.voided_at, i.count AS intake_count
  FROM wave w
  LEFT JOIN intake i ON i.wave_id = w.wave_id
 WHERE w.programme = :programme AND w.wave = :wave;

-- name: waves_list
SELECT w.programme, w.wave, w.state, w.seats, w.opens_at, w.closes_at, w.draws_at, w.pool_count, w.winners,
       w.not_selected, w.waiting,
       (SELECT coalesce(sum(q.recycled), 0)::integer FROM quota q WHERE q.wave_id = w.wave_id) AS recycled_seats
  FROM wave w
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

-- name: draws_of_citizen
-- A citizen's standing applications, the newest wave first, each with its place in the pool and its result.
SELECT w.wave_id, w.programme, w.wave, w.state, w.commitment, w.signature, w.root, w.pool_count, w.randomness, w.seed,
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
SELECT uuid_send(application_id) AS application_id
  FROM exclusion
 WHERE wave_id = :wave_id AND application_id > :after
 ORDER BY application_id
 LIMIT :limit;

-- name: winners_page
-- The winners within one range of leaves, for the public bundle.
SELECT leaf, rank, seat_province, seat_tier
  FROM draw_result
 WHERE wave_id = :wave_id AND leaf >= :first AND leaf < :last AND seat_province IS NOT NULL
 ORDER BY leaf;
