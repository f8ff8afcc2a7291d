-- The SQL of the event path. The names say who uses a query: outbox, relay, position, parked, job.

-- name: outbox_add!
-- A handful of events at once; larger lists go in by COPY.
INSERT INTO outbox (topic, lane, key, value)
SELECT topic, lane, key, value
  FROM unnest(:topics::text[], :lanes::smallint[], :keys::text[], :values::bytea[]) AS event (topic, lane, key, value);

-- name: outbox_after
-- The next rows to send, one row a lane. Below pg_snapshot_xmin every transaction has ended, so nothing can still appear
-- behind the cursor; the order is a function of the outbox alone, so any relay reads the same run. The arrays are filled in
-- the order of the rows as long as nothing sorts in between; to say ORDER BY in each would sort the values themselves, three
-- times the cost of all the rest, so `numbering.in_order` looks instead. A large value comes as NULL: an array ends at 1 GB.
-- Whoever meets one reads again by `outbox_after_large`.
SELECT topic, lane, array_agg(xid) AS xids, array_agg(position) AS positions, array_agg(key) AS keys,
       array_agg(CASE WHEN octet_length(value) <= 4096 THEN value END) AS values
  FROM (SELECT xid, position, topic, lane, key, value
          FROM outbox
         WHERE (xid, position) > (:xid::xid8, :position::bigint)
           AND xid < pg_snapshot_xmin(pg_current_snapshot())
         ORDER BY outbox.xid, outbox.position
         LIMIT :limit) AS next
 GROUP BY topic, lane;

-- name: outbox_after_large
-- The same with values of any size: as many rows as begin within 16 MiB, at least one. To add sizes up costs a quarter of
-- the whole read, so it is left to those who must.
SELECT topic, lane, array_agg(xid) AS xids, array_agg(position) AS positions, array_agg(key) AS keys,
       array_agg(value) AS values
  FROM (SELECT xid, position, topic, lane, key, value,
               sum(octet_length(value)) OVER (ORDER BY xid, position ROWS UNBOUNDED PRECEDING) AS until
          FROM (SELECT xid, position, topic, lane, key, value
                  FROM outbox
                 WHERE (xid, position) > (:xid::xid8, :position::bigint)
                   AND xid < pg_snapshot_xmin(pg_current_snapshot())
                 ORDER BY outbox.xid, outbox.position
                 LIMIT :limit) AS following) AS next
 WHERE until - octet_length(value) < 16 * 1024 * 1024
 GROUP BY topic, lane;

-- name: read_by_index!
-- A backlog is younger than what the planner knows of the outbox. It takes the rows behind the cursor for one or two, and
-- would rather sort them than walk the index: all of the backlog is read then, for every batch.
SET enable_sort = off;

-- name: read_as_usual!
SET enable_sort = on;

-- name: outbox_unsent$
-- How many rows wait for the relay, committed or about to be; counted only up to a limit, since zero is the question.
SELECT count(*)
  FROM (SELECT FROM outbox, relay WHERE (outbox.xid, outbox.position) > (relay.xid, relay.position) LIMIT 10000) AS waiting;

-- name: outbox_lane_after$
-- The unsent row of a lane that the relay would number `count` after the last: to hold against the topic's tail.
SELECT value
  FROM outbox
 WHERE (xid, position) > (:xid::xid8, :position::bigint) AND topic = :topic AND lane = :lane
 ORDER BY outbox.xid, outbox.position
OFFSET :count - 1
 LIMIT 1;

-- name: outbox_lane_before^
-- The cursor just before the last `count` rows that were sent in one lane: where to go back to.
SELECT xid, position
  FROM outbox
 WHERE (xid, position) <= (:xid::xid8, :position::bigint) AND topic = :topic AND lane = :lane
 ORDER BY outbox.xid DESC, outbox.position DESC
OFFSET :count - 1
 LIMIT 1;

-- name: outbox_rotate^
-- Make room for `size` rows ahead and drop partitions older than the newest `keep` rows. Runs with the rights of the owner
-- role, makes no writer wait for the new partition, and never touches one with unsent rows.
SELECT created, dropped FROM outbox_rotate(:size, :keep);

-- name: relay_state^
SELECT owner, beat, epoch, xid, position FROM relay;

-- name: relay_from_elsewhere$
-- Whether cursor or outbox bear a stamp that this server's counter has not reached: another server has written it. The
-- greatest stamp is the end of each partition's index; to ask whether there is one that is too great would read them all.
SELECT greatest(relay.xid, (SELECT outbox.xid FROM outbox ORDER BY outbox.xid DESC, outbox.position DESC LIMIT 1))
       >= pg_snapshot_xmax(pg_current_snapshot())
  FROM relay;

-- name: relay_take^
-- Become the owner if there is none, if its connection is gone, or if it has not moved since we last looked (`beat`).
-- The old owner is fenced from this moment: it can not store any more.
UPDATE relay
   SET owner = :owner::uuid,
       backend = pg_backend_pid(),
       backend_start = (SELECT activity.backend_start FROM pg_stat_activity AS activity WHERE activity.pid = pg_backend_pid()),
       beat = beat + 1,
       looked = false
 WHERE owner IS NULL
    OR beat = :silent_since::bigint
    OR NOT EXISTS (SELECT FROM pg_stat_activity AS activity
                    WHERE activity.pid = relay.backend AND activity.backend_start = relay.backend_start)
RETURNING epoch, xid, position;

-- name: relay_numbers
SELECT topic, lane, number, number_at, born FROM relay_number;

-- name: relay_store$
-- Cursor and numbers move together or not at all, and only for the owner. Returns how many rows moved: 0 means fenced.
WITH moved AS (
    UPDATE relay SET xid = :xid::xid8, position = :position::bigint, beat = beat + 1 WHERE owner = :owner::uuid RETURNING one
), numbers AS (
    INSERT INTO relay_number (topic, lane, number, number_at, born)
    SELECT given.topic, given.lane, given.number, given.number_at, given.born
      FROM unnest(:topics::text[], :lanes::smallint[], :numbers::bigint[], :numbers_at::bigint[], :births::bigint[])
           AS given (topic, lane, number, number_at, born), moved
     ORDER BY given.topic, given.lane
    ON CONFLICT (topic, lane) DO UPDATE SET number = excluded.number, number_at = excluded.number_at, born = excluded.born
)
SELECT count(*) FROM moved;

-- name: relay_beat!
-- A sign of life while there is nothing to send.
UPDATE relay SET beat = beat + 1 WHERE owner = :owner::uuid;

-- name: relay_leave!
-- A clean end: the next relay need not wait.
UPDATE relay SET owner = NULL WHERE owner = :owner::uuid;

-- name: relay_allow_a_long_look#
-- To count back in a lane, and what is sent again, reads tens of millions of rows when a whole log was lost.
SET LOCAL statement_timeout = '10min';

-- name: relay_rewind!
-- Go back to an earlier cursor: every lane's number falls by the rows that will be sent again, so each gets its old one.
-- Where it stood, if it still stands anywhere, nobody remembers. Only the owner may, for the numbers as for the cursor:
-- the numbers move by the row that was moved, so whoever loses the relay while it waits for that row moves none.
WITH moved AS (
    UPDATE relay SET xid = :xid::xid8, position = :position::bigint
      FROM (SELECT one, xid, position FROM relay WHERE owner = :owner::uuid FOR UPDATE) AS before
     WHERE relay.one = before.one
    RETURNING before.xid, before.position
), back AS (
    SELECT topic, lane, count(*) AS rows
      FROM outbox, moved
     WHERE (outbox.xid, outbox.position) > (:xid::xid8, :position::bigint)
       AND (outbox.xid, outbox.position) <= (moved.xid, moved.position)
     GROUP BY topic, lane
)
UPDATE relay_number SET number = relay_number.number - back.rows, number_at = -1
  FROM back WHERE back.topic = relay_number.topic AND back.lane = relay_number.lane;

-- name: relay_forget_place!
-- What a lane has lost can not be sent again: it goes on in the log it has now, whose offsets are other ones.
UPDATE relay_number SET number_at = -1, born = NULL
  FROM relay
 WHERE relay.owner = :owner::uuid AND relay_number.topic = :topic AND relay_number.lane = :lane;

-- name: relay_seize!
-- An operator takes the cursor from whoever has it: that relay can not store any more. It waits for this transaction, then
-- starts again from what it left.
UPDATE relay SET owner = :owner::uuid, backend = NULL, backend_start = NULL, beat = beat + 1;

-- name: relay_works$
-- Whether a relay owns the cursor, over a connection that is still there.
SELECT EXISTS (SELECT FROM relay JOIN pg_stat_activity AS activity
                   ON activity.pid = relay.backend AND activity.backend_start = relay.backend_start
                WHERE relay.owner IS NOT NULL);

-- name: relay_epoch^
SELECT epoch, epoch_xid, epoch_position FROM relay;

-- name: relay_back^
-- What a rewind to this cursor sends again, and in how many lanes.
SELECT count(*) AS rows, count(DISTINCT (topic, lane)) AS lanes
  FROM outbox, relay
 WHERE (outbox.xid, outbox.position) > (:xid::xid8, :position::bigint)
   AND (outbox.xid, outbox.position) <= (relay.xid, relay.position);

-- name: relay_open_epoch!
-- Begins where the cursor stands, once: whoever comes second finds another epoch.
UPDATE relay
   SET epoch = relay.epoch + 1, epoch_xid = xid, epoch_position = position, owner = NULL
 WHERE relay.epoch = :epoch;

-- name: relay_go_on!
-- Numbers after which lanes go on in a new epoch; where those stand in Kafka, this database does not know.
INSERT INTO relay_number (topic, lane, number)
SELECT given.topic, given.lane, given.number
  FROM unnest(:topics::text[], :lanes::smallint[], :numbers::bigint[]) AS given (topic, lane, number)
 ORDER BY given.topic, given.lane
ON CONFLICT (topic, lane) DO UPDATE SET number = excluded.number, number_at = -1;

-- name: relay_hold!
-- Tell all processes of the service to hold still, with the reason; an empty one lets them go on.
UPDATE relay SET held = nullif(:why, '') WHERE held IS DISTINCT FROM nullif(:why, '');

-- name: relay_looked!
-- The owner has held the topics against this database, and may send.
UPDATE relay SET looked = true WHERE owner = :owner::uuid;

-- name: relay_held^
-- Why nobody may act, and whether an owner that is still there has looked. A database put back from a copy names an owner
-- whose connection is gone.
SELECT held, looked AND owner IS NOT NULL AND EXISTS (SELECT FROM pg_stat_activity AS activity
                                 WHERE activity.pid = backend AND activity.backend_start = relay.backend_start) AS looked
  FROM relay;

-- name: position_open!
-- A row for every lane this service may be given; an existing one is left as it is.
INSERT INTO position (source, topic, lane)
SELECT source, topic, lane
  FROM unnest(:sources::text[], :topics::text[], :lanes::smallint[]) AS lane (source, topic, lane)
ON CONFLICT (source, topic, lane) DO NOTHING;

-- name: position_lock
-- Sorted, so that two workers never wait for each other in a circle. Whoever waits here then sees what the other applied.
SELECT topic, lane, next_offset, number, epoch, number_at, mark, furthest
  FROM position
 WHERE (topic, lane) IN (SELECT topic, lane FROM unnest(:topics::text[], :lanes::smallint[]) AS wanted (topic, lane))
 ORDER BY topic, lane
   FOR UPDATE;

-- name: position_all
SELECT topic, lane, next_offset, number, epoch, number_at FROM position;

-- name: position_advance!
-- Lanes move on, and what could not be applied is kept, in its order: one question, since each costs a poll its while.
WITH kept AS (
    INSERT INTO parked (topic, lane, "offset", key, number, type, reason, detail, value, parked_at)
    SELECT topic, lane, "offset", key, number, type, reason, detail, value, :now
      FROM unnest(:parked_topics::text[], :parked_lanes::smallint[], :parked_offsets::bigint[], :keys::text[],
                  :parked_numbers::bigint[], :types::text[], :reasons::text[], :details::text[], :values::bytea[])
           WITH ORDINALITY AS one (topic, lane, "offset", key, number, type, reason, detail, value, nth)
     ORDER BY nth
)
UPDATE position
   SET next_offset = moved.next_offset, number = moved.number, epoch = moved.epoch, number_at = moved.number_at,
       mark = moved.mark, furthest = moved.furthest
  FROM unnest(:topics::text[], :lanes::smallint[], :offsets::bigint[], :numbers::bigint[], :epochs::integer[],
              :numbers_at::bigint[], :marks::bigint[], :furthest::bigint[])
       AS moved (topic, lane, next_offset, number, epoch, number_at, mark, furthest)
 WHERE position.topic = moved.topic AND position.lane = moved.lane;

-- name: position_mark!
-- What is parked in these lanes is not what it was, as every worker will see; under their locks.
UPDATE position
   SET mark = :mark
 WHERE (topic, lane) IN (SELECT topic, lane FROM unnest(:topics::text[], :lanes::smallint[]) AS changed (topic, lane));

-- name: parked_some
-- The keys that wait in these lanes, up to a limit. A statement of its own, after position_lock: it sees what the last holder
-- of the locks has parked. One list for each lane: far cheaper to take in than rows.
SELECT topic, lane, array_agg(key) AS keys
  FROM (SELECT topic, lane, key
          FROM parked
         WHERE key IS NOT NULL
           AND (topic, lane) IN (SELECT topic, lane FROM unnest(:topics::text[], :lanes::smallint[]) AS held (topic, lane))
         LIMIT :limit) AS waiting
 GROUP BY topic, lane;

-- name: parked_keys
-- Which of these keys wait in these lanes.
SELECT topic, lane, array_agg(DISTINCT key) AS keys
  FROM parked
 WHERE key = ANY(:keys::text[])
   AND (topic, lane) IN (SELECT topic, lane FROM unnest(:topics::text[], :lanes::smallint[]) AS held (topic, lane))
 GROUP BY topic, lane;

-- name: parked_lanes
-- Where these stand.
SELECT DISTINCT topic, lane FROM parked WHERE id = ANY(:ids::bigint[]);

-- name: parked_at
-- What is parked of these places. A rebuilt topic may have another record there, so whoever asks compares the value too.
SELECT topic, lane, "offset", value
  FROM parked
 WHERE (topic, lane, "offset") IN (SELECT topic, lane, "offset"
                                     FROM unnest(:topics::text[], :lanes::smallint[], :offsets::bigint[])
                                          AS place (topic, lane, "offset"));

-- name: parked_count$
SELECT count(*) FROM parked WHERE reason <> 'dropped';

-- name: parked_list
SELECT id, topic, lane, "offset", key, type, reason, detail, attempt, parked_at
  FROM parked
 WHERE reason <> 'dropped'
 ORDER BY id
 LIMIT :limit;

-- name: parked_heads
-- The first parked event of each key in its lane, and every keyless one: what a redrive can try next.
SELECT DISTINCT ON (topic, lane, coalesce(key, id::text)) id, topic, lane, key
  FROM parked
 WHERE reason <> 'dropped'
 ORDER BY topic, lane, coalesce(key, id::text), id;

-- name: parked_of_key
-- The first of what is parked for one key. Locked: one redrive at a time works on a key.
SELECT id, topic, lane, "offset", key, number, type, reason, detail, value
  FROM parked
 WHERE topic = :topic AND lane = :lane AND (key = :key OR (:key::text IS NULL AND id = :id))
 ORDER BY id
 LIMIT 1
   FOR UPDATE;

-- name: parked_done!
DELETE FROM parked WHERE id = ANY(:ids::bigint[]);

-- name: parked_drop$
-- A record that counts by no number of its lane is told from news by nothing but its place, and a lane is read more than
-- once: its row stays, holds up no key, and is shown to nobody. As many as operators drop.
WITH strays AS (
    UPDATE parked SET reason = 'dropped', key = NULL
     WHERE id = ANY(:ids::bigint[]) AND (number IS NULL OR reason = 'old-epoch') AND reason <> 'dropped'
    RETURNING id
), others AS (
    DELETE FROM parked WHERE id = ANY(:ids::bigint[]) AND number IS NOT NULL AND reason NOT IN ('old-epoch', 'dropped')
    RETURNING id
)
SELECT (SELECT count(*) FROM strays) + (SELECT count(*) FROM others);

-- name: parked_again!
-- The first reason stays, since it names the cause; only "behind" gives way to the reason of the event itself.
UPDATE parked
   SET attempt = attempt + 1, reason = CASE reason WHEN 'behind' THEN :reason ELSE reason END, detail = :detail
 WHERE id = :id;

-- name: job_open!
-- A new job is due at once; one that is known keeps its date.
INSERT INTO job (name, due_at)
SELECT name, :now FROM unnest(:names::text[]) AS job (name)
ON CONFLICT (name) DO NOTHING;

-- name: at_rest^
-- Whether anything waits, in one look: events unsent (counted as `outbox_unsent` does), jobs due, events parked, how far
-- each lane was read, and a sum that changes whenever something was sent or applied.
WITH read AS (SELECT array_agg(topic) AS topics, array_agg(lane) AS lanes, array_agg(next_offset) AS offsets,
                     coalesce(sum(number), 0)::bigint AS applied
                FROM position)
SELECT (SELECT count(*) FROM (SELECT FROM outbox WHERE (outbox.xid, outbox.position) > (relay.xid, relay.position) LIMIT 10000) AS waiting)
           AS unsent,
       (SELECT coalesce(array_agg(name ORDER BY due_at, name), '{}') FROM job WHERE due_at <= :now AND name = ANY(:names::text[]))
           AS due,
       (SELECT count(*) FROM parked WHERE reason <> 'dropped') AS parked,
       coalesce(read.topics, '{}') AS topics, coalesce(read.lanes, '{}') AS lanes, coalesce(read.offsets, '{}') AS offsets,
       read.applied + relay.position AS moved
  FROM relay, read;

-- name: job_dates
SELECT name, due_at FROM job WHERE name = ANY(:names::text[]) ORDER BY due_at, name;

-- name: job_done!
UPDATE job SET due_at = :due_at WHERE name = :name;

-- name: job_try$
-- One process at a time runs a job; the lock goes with the connection, so a dead process holds nobody up.
SELECT pg_try_advisory_lock(hashtext('job'), hashtext(:name));

-- name: job_leave!
-- Given back at once, so that the same or another process may run the job again.
SELECT pg_advisory_unlock(hashtext('job'), hashtext(:name));
