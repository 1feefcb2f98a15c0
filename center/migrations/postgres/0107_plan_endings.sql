-- Plans that are over and whose devices are not all decided in their rows yet. From the moment of this row on whoever reads an
-- upgrade takes it as ended by it; the rows follow in batches, so that no write visits the whole fleet.
CREATE TABLE plan_endings (
    -- The plan.
    ending          BIGINT PRIMARY KEY REFERENCES plans (id),
    -- What becomes of upgrades that no device has confirmed; those that wait for another attempt have failed.
    end_state       TEXT COLLATE "C" NOT NULL,
    end_reason      TEXT COLLATE "C" NOT NULL,
    end_at          BIGINT NOT NULL,
    -- Upgrades up to this number are written; NULL: all are.
    written_to      BIGINT,
    -- Devices from here on, up to the last one of that time, are still to be counted, if they were never offered the plan.
    counted_to      BIGINT NOT NULL,
    count_until     BIGINT NOT NULL
);
