-- migrate:up
SET lock_timeout = '5s';

-- Whether the seats of each province come from a decreed table, or from the split by population. Everybody is told which.
-- A constant default writes no row anew, and yesterday's code, which does not name the column, still proposes.
ALTER TABLE wave ADD decreed boolean NOT NULL DEFAULT false;

-- migrate:down
ALTER TABLE wave DROP COLUMN decreed;
