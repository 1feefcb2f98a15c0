-- The fleet's page names devices whose connections take over one another: few, whatever the number of devices.
CREATE INDEX devices_takeovers ON devices (takeovers_since) WHERE takeovers >= 5;
