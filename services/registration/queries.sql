-- The SQL of registration, in the order a citizen meets it: register, codes, identity, waves, applications, timeline, erasure.

-- name: citizens_add
-- Whoever collides with another citizen, or with an earlier row of the same list, is left out without failing the rest;
-- citizens_like tells why. Sorted, so that two batches wait for each other in one direction only.
INSERT INTO citizen (citizen_id, registration_id, email_index, phone_index, contact, registered_at)
SELECT citizen_id, registration_id, email_index, phone_index, contact, :now
  FROM unnest(:citizens::uuid[], :registrations::uuid[], :emails::bytea[], :phones::bytea[], :contacts::bytea[])
       AS new (citizen_id, registration_id, email_index, phone_index, contact)
 ORDER BY registration_id
ON CONFLICT DO NOTHING
RETURNING citizen_id;

-- name: citizens_like
-- Who stands in the way of a registration. A statement of its own: it sees what a concurrent batch has just committed.
SELECT citizen_id, registration_id, email_index, phone_index, email_confirmed_at IS NOT NULL AS email_confirmed
  FROM citizen
 WHERE registration_id = ANY(:registrations::uuid[])
    OR email_index = ANY(:emails::bytea[])
    OR phone_index = ANY(:phones::bytea[]);

-- name: keys_add!
-- In the transaction that adds the citizens: nobody is ever without a key.
INSERT INTO citizen_key (citizen_id, wrapped)
SELECT citizen_id, wrapped FROM unnest(:citizens::uuid[], :wrapped::bytea[]) AS new (citizen_id, wrapped);

-- name: keys_of
-- Without its key a citizen's data is noise; whoever was erased has no row here.
SELECT citizen_id, wrapped FROM citizen_key WHERE citizen_id = ANY(:citizens::uuid[]);

-- name: contacts_of
-- Erased citizens have no contact data and are left out.
SELECT citizen_id, contact, email_confirmed_at IS NOT NULL AS email_confirmed
  FROM citizen
 WHERE citizen_id = ANY(:citizens::uuid[]) AND erased_at IS NULL;

-- name: citizens_by_phone
-- The index of an erased citizen is NULL, so it finds nobody.
SELECT citizen_id, phone_index FROM citizen WHERE phone_index = ANY(:phones::bytea[]);

-- name: emails_confirm!
-- The first confirmation counts.
UPDATE citizen
   SET email_confirmed_at = :now
 WHERE citizen_id = ANY(:citizens::uuid[]) AND email_confirmed_at IS NULL AND erased_at IS NULL;

-- name: codes_of
-- Locked: of two attempts at the same moment each is counted. Sorted, so that two batches never wait in a circle.
SELECT citizen_id, purpose, hash, made_at, expires_at, failures, made_today
  FROM code
 WHERE citizen_id = ANY(:citizens::uuid[]) AND purpose = :purpose
 ORDER BY citizen_id
   FOR UPDATE;

-- name: codes_put!
-- A citizen has one code for each purpose; a new one, or a counted failure, takes its place.
INSERT INTO code (citizen_id, purpose, hash, made_at, expires_at, failures, made_today)
SELECT citizen_id, :purpose, hash, made_at, expires_at, failures, made_today
  FROM unnest(:citizens::uuid[], :hashes::bytea[], :made::timestamptz[], :expires::timestamptz[], :failures::integer[],
              :today::integer[]) AS new (citizen_id, hash, made_at, expires_at, failures, made_today)
 ORDER BY citizen_id
ON CONFLICT (citizen_id, purpose) DO UPDATE
   SET hash = excluded.hash, made_at = excluded.made_at, expires_at = excluded.expires_at,
       failures = excluded.failures, made_today = excluded.made_today;

-- name: codes_drop!
-- A code that was right is used up.
DELETE FROM code WHERE citizen_id = ANY(:citizens::uuid[]) AND purpose = :purpose;

-- name: messages_add!
-- Due at once; the errand that sends them books every later try.
INSERT INTO message (message_id, citizen_id, channel, sealed, made_at, due_at)
SELECT message_id, citizen_id, :channel, sealed, :now, :now
  FROM unnest(:messages::uuid[], :citizens::uuid[], :sealed::bytea[]) AS new (message_id, citizen_id, sealed);

-- name: messages_due
-- Oldest first. SKIP LOCKED: an erasure that is deleting a message wins over sending it.
SELECT message.message_id, message.citizen_id, message.channel, message.sealed, message.attempts, citizen_key.wrapped
  FROM message
  JOIN citizen_key ON citizen_key.citizen_id = message.citizen_id
 WHERE message.sent_at IS NULL AND message.due_at <= :now
 ORDER BY message.due_at, message.message_id
 LIMIT :limit
   FOR UPDATE OF message SKIP LOCKED;

-- name: messages_try!
-- The next try is booked before this one is made, so that a crash in between delays a message and never loses it.
UPDATE message
   SET attempts = message.attempts + 1, due_at = next.due_at
  FROM unnest(:messages::uuid[], :due::timestamptz[]) AS next (message_id, due_at)
 WHERE message.message_id = next.message_id AND message.sent_at IS NULL;

-- name: messages_sent!
-- The text is deleted here: nobody needs a used code, and nobody should find one.
UPDATE message
   SET sent_at = :now, sealed = NULL, due_at = NULL
 WHERE message_id = ANY(:messages::uuid[]) AND sent_at IS NULL;

-- name: standings
-- Locks the citizen, so that two submissions of one person follow each other. Sorted against waiting in a circle.
SELECT citizen.citizen_id, citizen.email_confirmed_at IS NOT NULL AS email_confirmed, citizen_key.wrapped,
       identity.state, identity.mismatch_field, identity.submissions
  FROM citizen
  JOIN citizen_key ON citizen_key.citizen_id = citizen.citizen_id
  LEFT JOIN identity ON identity.citizen_id = citizen.citizen_id
 WHERE citizen.citizen_id = ANY(:citizens::uuid[]) AND citizen.erased_at IS NULL
 ORDER BY citizen.citizen_id
   FOR NO KEY UPDATE OF citizen;

-- name: niks_held
-- Who holds these NIKs: only identities that are being checked or were verified hold one.
SELECT nik_index, citizen_id
  FROM identity
 WHERE nik_index = ANY(:niks::bytea[]) AND state IN ('checking', 'verified');

-- name: households_add!
-- A family card that is known already keeps its id. Sorted, so that two batches never wait in a circle.
INSERT INTO household (household_id, kk_index)
SELECT household_id, kk_index
  FROM unnest(:households::uuid[], :kks::bytea[]) AS new (household_id, kk_index)
 ORDER BY kk_index
ON CONFLICT (kk_index) DO NOTHING;

-- name: households_of
-- A statement of its own, after the insert: it also sees cards that a concurrent batch has just committed.
SELECT household_id, kk_index FROM household WHERE kk_index = ANY(:kks::bytea[]);

-- name: identities_put
-- The last submission counts; its reference is new, so an answer about an earlier one finds nothing. A NIK that somebody
-- else took at this very moment breaks identity_nik_once, which the store tells by that name. A row that was verified at
-- this very moment stays, and is left out of what comes back.
INSERT INTO identity (citizen_id, nik_index, household_id, sealed, province, occupation, in_education, nik_disagrees,
                      state, submitted_at, check_reference, check_due_at)
SELECT citizen_id, nik_index, household_id, sealed, province, occupation, in_education, nik_disagrees,
       'checking', :now, check_reference, :now
  FROM unnest(:citizens::uuid[], :niks::bytea[], :households::uuid[], :sealed::bytea[], :provinces::text[],
              :occupations::text[], :in_education::boolean[], :disagree::boolean[], :references::uuid[])
       AS new (citizen_id, nik_index, household_id, sealed, province, occupation, in_education, nik_disagrees, check_reference)
 ORDER BY citizen_id
ON CONFLICT (citizen_id) DO UPDATE
   SET nik_index = excluded.nik_index, household_id = excluded.household_id, sealed = excluded.sealed,
       province = excluded.province, occupation = excluded.occupation, in_education = excluded.in_education,
       nik_disagrees = excluded.nik_disagrees, state = 'checking', mismatch_field = NULL,
       submissions = identity.submissions + 1, submitted_at = excluded.submitted_at,
       check_reference = excluded.check_reference, check_attempts = 0, check_due_at = excluded.check_due_at
 WHERE identity.state <> 'verified'
RETURNING identity.citizen_id;

-- name: checks_due
-- Oldest first. SKIP LOCKED: a citizen who is correcting a submission at this moment wins over the check of the old one.
SELECT identity.citizen_id, identity.check_reference, identity.check_attempts, identity.sealed, citizen_key.wrapped
  FROM identity
  JOIN citizen_key ON citizen_key.citizen_id = identity.citizen_id
 WHERE identity.state = 'checking' AND identity.check_due_at <= :now
 ORDER BY identity.check_due_at, identity.citizen_id
 LIMIT :limit
   FOR UPDATE OF identity SKIP LOCKED;

-- name: checks_try!
-- The next try is booked before this one is made, so that a crash in between delays a check and never loses it.
UPDATE identity
   SET check_attempts = identity.check_attempts + 1, check_due_at = next.due_at
  FROM unnest(:references::uuid[], :due::timestamptz[]) AS next (check_reference, due_at)
 WHERE identity.check_reference = next.check_reference AND identity.state = 'checking';

-- name: checks_found
-- An answer changes the submission it was about, and only while that is still being checked: a late or repeated answer
-- has no effect.
UPDATE identity
   SET state = found.state, mismatch_field = found.mismatch_field, blacklisted = found.blacklisted,
       other_aid = found.other_aid, laid_off_listed = found.laid_off_listed, check_due_at = NULL, checked_at = :now
  FROM unnest(:references::uuid[], :states::text[], :fields::text[], :blacklisted::boolean[], :other_aid::boolean[],
              :laid_off::boolean[]) AS found (check_reference, state, mismatch_field, blacklisted, other_aid, laid_off_listed)
 WHERE identity.check_reference = found.check_reference AND identity.state = 'checking'
RETURNING identity.citizen_id, identity.check_reference, identity.state, identity.mismatch_field;

-- name: identity_of^
-- One citizen's verified identity with what opens it, for the token that disbursement reads.
SELECT identity.sealed, citizen.contact, citizen_key.wrapped
  FROM identity
  JOIN citizen ON citizen.citizen_id = identity.citizen_id
  JOIN citizen_key ON citizen_key.citizen_id = identity.citizen_id
 WHERE identity.citizen_id = :citizen AND identity.state = 'verified';

-- name: waves_announce!
-- Announced again with other times: the newest word counts, and a wave that has gone further keeps its state.
INSERT INTO wave (programme, wave, state, opens_at, closes_at, draws_at, seats)
SELECT programme, wave, 'announced', opens_at, closes_at, draws_at, seats
  FROM unnest(:programmes::text[], :waves::integer[], :opens::timestamptz[], :closes::timestamptz[], :draws::timestamptz[],
              :seats::integer[]) AS new (programme, wave, opens_at, closes_at, draws_at, seats)
ON CONFLICT (programme, wave) DO UPDATE
   SET opens_at = excluded.opens_at, closes_at = excluded.closes_at, draws_at = excluded.draws_at, seats = excluded.seats;

-- name: wave_reschedule!
-- Selection owns the times; the newest word counts, and whoever joins looks at them under the gate.
UPDATE wave
   SET opens_at = :opens_at, closes_at = :closes_at, draws_at = :draws_at
 WHERE programme = :programme AND wave = :wave;

-- name: wave_move!
-- Selection owns the states of a wave and sends them in order; here they are followed, not judged. But what it says may
-- come twice, and a wave whose intake was stated must not take anybody more.
UPDATE wave SET state = :state
 WHERE programme = :programme AND wave = :wave AND NOT (:state = 'open' AND intake_digest IS NOT NULL);

-- name: wave_lock$
-- Waits until every join that is under way has committed; whoever joins later waits here and then finds the wave closed.
SELECT state FROM wave WHERE programme = :programme AND wave = :wave FOR UPDATE;

-- name: wave_count^
-- A statement of its own, after the lock: it sees all that was committed before. The digest is the SHA-256 of the ids as
-- 16 bytes each in ascending order, as the contract of intake-closed says.
SELECT count(*)::integer AS count,
       encode(sha256(coalesce(string_agg(uuid_send(application_id), ''::bytea ORDER BY application_id), ''::bytea)), 'hex') AS digest
  FROM application
 WHERE programme = :programme AND wave = :wave AND state = 'applied';

-- name: wave_lanes
-- The same by partition of the topic `applied`: CRC-32 of the citizen's key modulo their number. `last` counts what was
-- said of the wave there: each application, and each withdrawal. Before a wave is drawn it has no other states.
SELECT crc32(convert_to(replace(told.citizen_id::text, '-', ''), 'UTF8')) % :lanes AS lane,
       (count(*) + count(*) FILTER (WHERE NOT told.stands))::integer AS last,
       (count(*) FILTER (WHERE told.stands))::integer AS count,
       encode(sha256(coalesce(string_agg(uuid_send(told.application_id), ''::bytea ORDER BY told.application_id)
                              FILTER (WHERE told.stands), ''::bytea)), 'hex') AS digest
  FROM (SELECT citizen_id, application_id, true AS stands
          FROM application
         WHERE programme = :programme AND wave = :wave AND state = 'applied'
        UNION ALL
        SELECT citizen_id, application_id, false
          FROM application
         WHERE programme = :programme AND wave = :wave AND state = 'withdrawn') AS told
 GROUP BY 1
 ORDER BY 1;

-- name: wave_close!
-- In the transaction that counted, under the lock: what is stated is what stands.
UPDATE wave
   SET state = 'closed', intake_count = :count, intake_digest = :digest
 WHERE programme = :programme AND wave = :wave;

-- name: wave_steps_add!
-- Each step happens once to a wave; a repeat has no effect.
INSERT INTO wave_step (programme, wave, what, at, data)
SELECT programme, wave, what, at, data::jsonb
  FROM unnest(:programmes::text[], :waves::integer[], :whats::text[], :at::timestamptz[], :data::text[])
       AS new (programme, wave, what, at, data)
ON CONFLICT (programme, wave, what) DO NOTHING;

-- name: waves_held
-- The gate of joining and leaving: a shared lock, so that many come through together and closing waits for all of them.
SELECT programme, wave, state, closes_at
  FROM wave
 WHERE (programme, wave) IN (SELECT programme, wave FROM unnest(:programmes::text[], :waves::integer[]) AS wanted (programme, wave))
 ORDER BY programme, wave
   FOR SHARE;

-- name: waves_all
-- Waves are few: some dozens in a year.
SELECT programme, wave, state, opens_at, closes_at, draws_at, seats, intake_count, intake_digest
  FROM wave
 ORDER BY programme, wave;

-- name: applicants
-- Everything the rules ask about a citizen who wants to join one wave, in which there is one live application at most.
-- The citizen is held against being erased.
SELECT wanted.nth, citizen_key.citizen_id, citizen_key.wrapped, identity.household_id, identity.province,
       identity.occupation, identity.in_education, identity.blacklisted, identity.other_aid, identity.laid_off_listed,
       identity.sealed,
       EXISTS (SELECT FROM membership WHERE membership.citizen_id = wanted.citizen_id) AS member,
       (SELECT count(*)::integer FROM application AS a
         WHERE a.citizen_id = wanted.citizen_id AND a.programme = wanted.programme AND a.wave = wanted.wave) AS applications,
       (SELECT a.state FROM application AS a
         WHERE a.citizen_id = wanted.citizen_id AND a.programme = wanted.programme AND a.wave = wanted.wave
           AND a.state <> 'withdrawn') AS live
  FROM unnest(:nths::integer[], :citizens::uuid[], :programmes::text[], :waves::integer[])
       AS wanted (nth, citizen_id, programme, wave)
  JOIN citizen ON citizen.citizen_id = wanted.citizen_id AND citizen.erased_at IS NULL
  JOIN citizen_key ON citizen_key.citizen_id = wanted.citizen_id
  LEFT JOIN identity ON identity.citizen_id = wanted.citizen_id AND identity.state = 'verified'
   FOR KEY SHARE OF citizen;

-- name: applications_add
-- Whoever has joined at the same moment by another request is left out, and is then told so.
INSERT INTO application (application_id, citizen_id, programme, wave, nth, state, applied_at)
SELECT application_id, citizen_id, programme, wave, nth, 'applied', :now
  FROM unnest(:applications::uuid[], :citizens::uuid[], :programmes::text[], :waves::integer[], :nths::integer[])
       AS new (application_id, citizen_id, programme, wave, nth)
 ORDER BY application_id
ON CONFLICT DO NOTHING
RETURNING application_id;

-- name: application_latest^
-- The live application if there is one, else the one withdrawn last: each is made after the one before was withdrawn.
SELECT application_id, citizen_id, programme, wave, state
  FROM application
 WHERE citizen_id = :citizen AND programme = :programme AND wave = :wave
 ORDER BY nth DESC
 LIMIT 1
   FOR UPDATE;

-- name: applications_move!
-- Only from the states the table of transitions allows; any other word about an application comes too late to matter.
UPDATE application
   SET state = :state
  FROM (SELECT application_id
          FROM application AS a
         WHERE a.application_id = ANY(:applications::uuid[]) AND a.state = ANY(:sources::text[])
         ORDER BY application_id
           FOR UPDATE) AS locked
 WHERE application.application_id = locked.application_id;

-- name: applications_revoke!
-- A revocation names the member, not the application.
UPDATE application
   SET state = 'revoked'
  FROM unnest(:citizens::uuid[], :programmes::text[], :waves::integer[]) AS gone (citizen_id, programme, wave)
 WHERE application.citizen_id = gone.citizen_id AND application.programme = gone.programme AND application.wave = gone.wave
   AND application.state = ANY(:sources::text[]);

-- name: applications_void!
-- After the wave is locked and can take nobody any more, so none is missed.
UPDATE application
   SET state = 'voided'
 WHERE programme = :programme AND wave = :wave AND state = ANY(:sources::text[]);

-- name: members_add!
-- A revocation that came first, by its own topic, stands.
INSERT INTO membership (citizen_id, programme, wave, state)
SELECT citizen_id, programme, wave, 'member'
  FROM unnest(:citizens::uuid[], :programmes::text[], :waves::integer[]) AS new (citizen_id, programme, wave)
 ORDER BY citizen_id, programme
ON CONFLICT (citizen_id, programme) DO NOTHING;

-- name: members_revoke!
-- Whether or not the selection has been heard of yet, the last word is the revocation. Sorted against circles.
INSERT INTO membership (citizen_id, programme, wave, state)
SELECT citizen_id, programme, wave, 'revoked'
  FROM unnest(:citizens::uuid[], :programmes::text[], :waves::integer[]) AS new (citizen_id, programme, wave)
 ORDER BY citizen_id, programme
ON CONFLICT (citizen_id, programme) DO UPDATE SET state = 'revoked';

-- name: timeline_add!
-- A step that is told twice stands once. Sorted by key, so that two batches never wait in a circle.
INSERT INTO timeline (citizen_id, entry_id, at, what, data)
SELECT citizen_id, entry_id, at, what, data::jsonb
  FROM unnest(:citizens::uuid[], :entries::uuid[], :at::timestamptz[], :whats::text[], :data::text[])
       WITH ORDINALITY AS new (citizen_id, entry_id, at, what, data, nth)
 ORDER BY citizen_id, nth
ON CONFLICT (citizen_id, entry_id) DO NOTHING;

-- name: timeline_of
-- The citizen's own steps, and those of every wave the citizen stood in at the time; newest first. Which of two steps of
-- one moment came first is the domain's to say.
SELECT told.at, told.what, told.data, told.position
  FROM (SELECT timeline.at, timeline.what, timeline.data::text AS data, timeline.position
          FROM timeline
         WHERE timeline.citizen_id = :citizen
        UNION ALL
        SELECT wave_step.at, wave_step.what, wave_step.data::text, 0
          FROM wave_step
          JOIN application ON application.programme = wave_step.programme AND application.wave = wave_step.wave
         WHERE application.citizen_id = :citizen AND application.state <> 'withdrawn'
           AND wave_step.at >= application.applied_at AND wave_step.what <> 'wave-opened') AS told
 ORDER BY told.at DESC, told.position DESC
 LIMIT :limit;

-- name: citizen_now^
-- Everything one page needs in one look, so that its parts agree. Erased citizens have no key and are not found.
SELECT citizen.citizen_id, citizen.email_confirmed_at IS NOT NULL AS email_confirmed, citizen_key.wrapped,
       identity.state, identity.mismatch_field, identity.sealed, identity.occupation, identity.in_education,
       identity.nik_disagrees, identity.blacklisted, identity.other_aid, identity.laid_off_listed,
       EXISTS (SELECT FROM membership WHERE membership.citizen_id = citizen.citizen_id) AS member
  FROM citizen
  JOIN citizen_key ON citizen_key.citizen_id = citizen.citizen_id
  LEFT JOIN identity ON identity.citizen_id = citizen.citizen_id
 WHERE citizen.citizen_id = :citizen;

-- name: applications_of
-- In the order they were made; those of one moment by wave and number.
SELECT application_id, programme, wave, state
  FROM application
 WHERE citizen_id = :citizen
 ORDER BY applied_at, programme, wave, nth;

-- name: erasure_lock$
-- Waits for a join or a submission that is under way; whatever begins later waits here and then finds nobody.
SELECT citizen_id FROM citizen WHERE citizen_id = :citizen FOR UPDATE;

-- name: erasure_look^
-- What stands against erasing a person. A statement of its own, after the lock: it sees what was committed before.
SELECT citizen.erased_at IS NOT NULL AS erased,
       EXISTS (SELECT FROM membership WHERE membership.citizen_id = citizen.citizen_id) AS member,
       EXISTS (SELECT FROM application
                WHERE application.citizen_id = citizen.citizen_id AND application.state = 'applied') AS applied
  FROM citizen
 WHERE citizen.citizen_id = :citizen;

-- name: erase_citizen!
-- The bare row stays: applications and events name it.
UPDATE citizen
   SET email_index = NULL, phone_index = NULL, contact = NULL, erased_at = :now
 WHERE citizen_id = :citizen;

-- name: erase_key!
-- From here on nothing sealed for the citizen opens, wherever a copy of it lies.
DELETE FROM citizen_key WHERE citizen_id = :citizen;

-- name: erase_identity$
-- Gives the family card the person was on, which may be left without anybody.
DELETE FROM identity WHERE citizen_id = :citizen RETURNING household_id;

-- name: erase_household!
-- A family card stays while another person is on it. Locked by this delete; somebody who joins the card at the same
-- moment makes the foreign key fail, and the erasure is tried again.
DELETE FROM household
 WHERE household_id = :household
   AND NOT EXISTS (SELECT FROM identity WHERE identity.household_id = household.household_id);

-- name: erase_codes!
-- All purposes.
DELETE FROM code WHERE citizen_id = :citizen;

-- name: erase_messages!
-- Sent or not: a message that waits would still name its recipient.
DELETE FROM message WHERE citizen_id = :citizen;

-- name: erase_timeline!
-- Steps hold nothing personal, yet together they tell a life.
DELETE FROM timeline WHERE citizen_id = :citizen;
