-- A plan's devices by reason and state are counted in this index alone: with a million devices a page must not wait for their rows.
DROP INDEX upgrades_reason;
CREATE INDEX upgrades_reason ON upgrades (plan_id, reason, id, state);
