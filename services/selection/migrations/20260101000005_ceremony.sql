-- migrate:up
SET lock_timeout = '5s';

-- Officials who have committed to a secret before the intake closed, and the secret once they have revealed it.
CREATE TABLE official (
    wave_id           integer     NOT NULL REFERENCES wave,
    person            text        NOT NULL,
    office            text        NOT NULL CHECK (office ~ '^[ -~]{1,80}$' AND office !~ '["\\]|^ | $'),
    secret_commitment bytea       NOT NULL CHECK (octet_length(secret_commitment) = 32),
    handed_in_at      timestamptz NOT NULL,
    secret            bytea       CHECK (octet_length(secret) = 32),
    revealed_at       timestamptz,
    PRIMARY KEY (wave_id, person),
    UNIQUE (wave_id, office),
    UNIQUE (wave_id, secret_commitment),
    CONSTRAINT official_revealed CHECK ((secret IS NULL) = (revealed_at IS NULL))
);

-- The list of reveals is closed after the last word and before the round is out, or never.
ALTER TABLE wave ADD reveal_until      timestamptz;
ALTER TABLE wave ADD reveals           text;
ALTER TABLE wave ADD reveals_signature bytea CHECK (octet_length(reveals_signature) = 64);
ALTER TABLE wave ADD reveals_closed_at timestamptz;
ALTER TABLE wave ADD CONSTRAINT wave_reveals_in_time CHECK (
    (reveals IS NULL) = (reveals_closed_at IS NULL) AND (reveals IS NULL) = (reveals_signature IS NULL)
    AND (reveals IS NULL OR (reveals_closed_at >= reveal_until AND reveals_closed_at < draw_due_at)));
ALTER TABLE wave ADD CONSTRAINT wave_ceremony_before_draw CHECK (
    drawn_at IS NULL OR reveal_until IS NULL OR reveals IS NOT NULL);

DO $$
DECLARE app text := replace(current_user, '_owner', '_app');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (secret, revealed_at) ON official TO %I', app);
END $$;

-- migrate:down
ALTER TABLE wave DROP CONSTRAINT wave_ceremony_before_draw, DROP CONSTRAINT wave_reveals_in_time,
                 DROP COLUMN reveals_closed_at, DROP COLUMN reveals_signature, DROP COLUMN reveals, DROP COLUMN reveal_until;
DROP TABLE official;
