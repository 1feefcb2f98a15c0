-- Firmware verification: one device gets one package, outside any plan. It is an upgrade without a plan.

-- The package that it verifies, and when it must be at its end.
ALTER TABLE upgrades ADD COLUMN verifies INTEGER;
ALTER TABLE upgrades ADD COLUMN deadline_at INTEGER;
CREATE INDEX upgrades_verifies ON upgrades (verifies, id) WHERE verifies IS NOT NULL;
CREATE INDEX upgrades_deadline ON upgrades (deadline_at) WHERE deadline_at IS NOT NULL AND ended_at IS NULL;

-- Whether the plan's activation needs its packages to be verified.
ALTER TABLE plans ADD COLUMN verification TEXT NOT NULL DEFAULT 'optional';
