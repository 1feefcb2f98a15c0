-- A plan that is terminated fails its devices that it never reached too. These have no rows: they are counted then.
ALTER TABLE plans ADD COLUMN unreached BIGINT NOT NULL DEFAULT 0;
