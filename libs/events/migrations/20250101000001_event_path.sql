-- migrate:up
SET lock_timeout = '5s';

-- The stamp of a row that is written now: its transaction's id, or that of the newest transaction that has ended, if that
-- is greater. A transaction may get its id long before it gets the lock of a citizen; whoever had that lock before has
-- ended by then, so the later decision never gets the smaller stamp. Equal ones are ordered by position.
CREATE FUNCTION outbox_stamp() RETURNS xid8 LANGUAGE sql VOLATILE AS $$
    SELECT greatest(pg_current_xact_id(), (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)::text::xid8)
$$;

-- What this service has to say. Insert-only. Read in the order (xid, position) below pg_snapshot_xmin: a stamp is never
-- smaller than the id of its transaction, so a row can only become visible behind the reader if its transaction is still
-- running, and those are exactly the ones left out.
-- Partitioned by position, so that sent rows leave by dropping a table and never by DELETE.
CREATE TABLE outbox (
    xid      xid8     NOT NULL DEFAULT outbox_stamp(),
    position bigint   NOT NULL GENERATED ALWAYS AS IDENTITY,
    topic    text     NOT NULL,
    lane     smallint NOT NULL,   -- the Kafka partition, fixed when the event is written
    key      text     NOT NULL,
    value    bytea    NOT NULL,   -- the CloudEvent in JSON, without the sequence the relay adds
    PRIMARY KEY (xid, position)
) PARTITION BY RANGE (position);

CREATE TABLE outbox_0 PARTITION OF outbox FOR VALUES FROM (MINVALUE) TO (5000000);
CREATE TABLE outbox_1 PARTITION OF outbox FOR VALUES FROM (5000000) TO (10000000);

-- This table and the others whose few rows change with every batch keep nine tenths of each page free: a new version then
-- stands beside the old one, no index is touched, and whoever comes next clears what nobody can see any more. Vacuum leaves
-- the pages as they are: to give one back it would lock everybody out, and the next batch would need it again.
-- A row whose page is full, since a snapshot was held, moves to an empty one; when each has its own, no more are added: 48 rows
-- had 41 pages after five snapshots of 0.8 s, and 42 after eighty.
-- How far the relay has come. One row. Whoever holds `owner` may move it: a relay that lost it finds out when it stores.
CREATE TABLE relay (
    one           boolean     PRIMARY KEY DEFAULT true CHECK (one),
    owner         uuid,
    backend       integer,                 -- the owner's connection, to tell a dead owner from a slow one
    backend_start timestamptz,
    beat          bigint      NOT NULL DEFAULT 0,
    epoch         integer     NOT NULL DEFAULT 1,
    xid           xid8        NOT NULL DEFAULT '0',
    position      bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 10, vacuum_truncate = off);
INSERT INTO relay DEFAULT VALUES;

-- The last number given in each partition, and the offset at which Kafka has it; stored in the same transaction as the
-- cursor above. If the number stands there, in a log that began when this one did, nothing before it was lost.
CREATE TABLE relay_number (
    topic     text     NOT NULL,
    lane      smallint NOT NULL,
    number    bigint   NOT NULL CHECK (number >= 0),
    number_at bigint   NOT NULL DEFAULT -1,   -- -1: not known
    born      bigint,                         -- when the first record was written, milliseconds of Kafka
    PRIMARY KEY (topic, lane)
) WITH (fillfactor = 10, vacuum_truncate = off);

-- How far this service has come in what others say. The row is locked, and moves, in the transaction of the effects.
CREATE TABLE position (
    source      text     NOT NULL,
    topic       text     NOT NULL,
    lane        smallint NOT NULL,
    next_offset bigint   NOT NULL DEFAULT 0 CHECK (next_offset >= 0),
    number      bigint   NOT NULL DEFAULT 0 CHECK (number >= 0),
    epoch       integer  NOT NULL DEFAULT 0,
    number_at   bigint   NOT NULL DEFAULT 0 CHECK (number_at >= 0),   -- the offset of `number`: reading goes on there
    mark        bigint   NOT NULL DEFAULT 0,   -- another one whenever it changes what is parked in the lane; 0: never was
    furthest    bigint   NOT NULL DEFAULT -1,  -- the last offset at which anything was ever parked
    PRIMARY KEY (source, topic, lane)
) WITH (fillfactor = 10, vacuum_truncate = off);

-- Events that could not be applied, and every later event of their keys, until somebody repairs the cause.
CREATE TABLE parked (
    id        bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,  -- the order in which a key's events are replayed
    topic     text        NOT NULL,
    lane      smallint    NOT NULL,
    "offset"  bigint      NOT NULL,        -- where the record stood, for people; a rebuilt topic may use it again
    key       text,                        -- NULL: the record had none, so it holds nobody up
    number    bigint,
    type      text        NOT NULL,
    reason    text        NOT NULL,
    detail    text        NOT NULL,
    attempt   integer     NOT NULL DEFAULT 1,
    value     bytea       NOT NULL,
    parked_at timestamptz NOT NULL
);
CREATE INDEX parked_by_key ON parked (key) WHERE key IS NOT NULL;
CREATE INDEX parked_by_place ON parked (topic, lane, "offset");

-- When each job is due next, in programme time.
CREATE TABLE job (
    name   text        PRIMARY KEY,
    due_at timestamptz NOT NULL
);

-- The runtime role has no right to create or drop tables; it may ask for exactly this.
-- Keeps at least `size` rows of room ahead, and drops the partitions that are sent and older than the newest `keep` rows.
-- Many processes ask for it every few seconds: whoever comes while another is at it has nothing to do.
CREATE FUNCTION outbox_rotate(size bigint, keep bigint) RETURNS TABLE (created integer, dropped integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    unsent boolean;
    upper  bigint;
    newest bigint;
    part   record;
BEGIN
    created := 0;
    dropped := 0;
    IF NOT pg_try_advisory_xact_lock(hashtext('outbox_rotate')) THEN
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint)
      INTO upper FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'outbox'::regclass;
    SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'position')::regclass), 0) INTO newest;
    WHILE newest + size > upper LOOP
        -- Made apart and then attached: that waits for no writer, and none waits for it.
        EXECUTE format('CREATE TABLE outbox_%s (LIKE outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', upper);
        EXECUTE format('ALTER TABLE outbox ATTACH PARTITION outbox_%s FOR VALUES FROM (%s) TO (%s)', upper, upper, upper + size);
        upper := upper + size;
        created := created + 1;
    END LOOP;
    FOR part IN
        SELECT c.oid::regclass AS name, (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint AS ends
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'outbox'::regclass
    LOOP
        CONTINUE WHEN part.ends > newest - keep;
        -- Unsent rows keep their partition, whatever the caller believes. The second look is behind the lock: whoever
        -- still wrote into it has ended then. All writers and readers wait meanwhile, so the lock is not waited for
        -- long; where somebody holds on (a dump, a long transaction) the partition goes another time.
        EXECUTE format('SELECT EXISTS (SELECT FROM %s o, relay r WHERE (o.xid, o.position) > (r.xid, r.position))', part.name)
           INTO unsent;
        CONTINUE WHEN unsent;
        BEGIN
            LOCK TABLE ONLY outbox IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('SELECT EXISTS (SELECT FROM %s o, relay r WHERE (o.xid, o.position) > (r.xid, r.position))', part.name)
               INTO unsent;
            IF NOT unsent THEN
                EXECUTE format('DROP TABLE %s', part.name);
                dropped := dropped + 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            EXIT;
        END;
    END LOOP;
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION outbox_rotate(bigint, bigint) FROM PUBLIC;

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON outbox TO %I', app);
    EXECUTE format('GRANT SELECT, UPDATE ON relay TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON relay_number, position, job TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON parked TO %I', app);
    EXECUTE format('GRANT EXECUTE ON FUNCTION outbox_rotate(bigint, bigint) TO %I', app);
END $$;

-- migrate:down
DROP FUNCTION outbox_rotate(bigint, bigint);
DROP TABLE job, parked, position, relay_number, relay, outbox;
DROP FUNCTION outbox_stamp();
