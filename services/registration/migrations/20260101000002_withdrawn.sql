-- migrate:up
SET lock_timeout = '5s';

-- The statement of an intake counts withdrawals too; without this it would read the applications of every wave.
CREATE INDEX application_withdrawn ON application (programme, wave) WHERE state = 'withdrawn';

-- migrate:down
DROP INDEX application_withdrawn;
