-- migrate:up
SET lock_timeout = '5s';

-- What an operator did, and what the relay found out, where every process of the service can see it.
ALTER TABLE relay
    ADD COLUMN held           text,                         -- why nobody may act on this database; NULL: all may
    ADD COLUMN looked         boolean NOT NULL DEFAULT false, -- whether the owner has held the topics against this database
    ADD COLUMN epoch_xid      xid8   NOT NULL DEFAULT '0',  -- the cursor at which this epoch began: which numbers the
    ADD COLUMN epoch_position bigint NOT NULL DEFAULT 0;    -- rows before it had, the outbox does not say

-- migrate:down
SET lock_timeout = '5s';
ALTER TABLE relay DROP COLUMN held, DROP COLUMN looked, DROP COLUMN epoch_xid, DROP COLUMN epoch_position;
