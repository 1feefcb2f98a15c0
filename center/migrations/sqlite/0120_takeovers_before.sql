-- Takeovers of the window right before the one that is counted: two devices with one key are named all the time, not anew in
-- each window.
ALTER TABLE devices ADD COLUMN takeovers_before BIGINT NOT NULL DEFAULT 0;
CREATE INDEX devices_takeovers_before ON devices (takeovers_since) WHERE takeovers >= 5 OR takeovers_before >= 5;
