-- What the console's first page counts: failures of the last days by reason.
CREATE INDEX upgrades_failed ON upgrades (ended_at, reason) WHERE state = 'upgrade_failed';
