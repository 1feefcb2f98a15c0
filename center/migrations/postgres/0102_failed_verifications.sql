-- The fleet's page asks for the firmware verifications that failed lately: few among a million failed upgrades.
CREATE INDEX upgrades_failed_verifications ON upgrades (state, ended_at) WHERE verifies IS NOT NULL;
