-- When a plan was activated, suspended, halted, resumed, terminated or ended: the marks in the picture of its history.
CREATE TABLE plan_changes (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    plan_id     BIGINT NOT NULL REFERENCES plans (id),
    event       TEXT NOT NULL,
    -- Why the plan did it by itself.
    reason      TEXT,
    at          BIGINT NOT NULL
);
CREATE INDEX plan_changes_plan ON plan_changes (plan_id, id);
