-- When which task is due next.

-- name: schema
CREATE TABLE IF NOT EXISTS schedules (
    name         TEXT PRIMARY KEY,
    app          TEXT    NOT NULL,
    schedule     BLOB    NOT NULL,          -- JSON
    next_due     REAL    NOT NULL,          -- unix seconds
    paused       INTEGER NOT NULL DEFAULT 0,
    last_due     REAL,
    last_task_id TEXT    NOT NULL DEFAULT '',
    fired        INTEGER NOT NULL DEFAULT 0
);

-- name: all
SELECT app, schedule, next_due, paused, last_due, last_task_id, fired FROM schedules ORDER BY name;

-- name: get
SELECT app, schedule, next_due, paused, last_due, last_task_id, fired FROM schedules WHERE name = ?;

-- name: drop_others
DELETE FROM schedules WHERE app = :app AND name NOT IN (SELECT value FROM json_each(:names));

-- name: put
INSERT INTO schedules (name, app, schedule, next_due) VALUES (:name, :app, :schedule, :next_due)
ON CONFLICT (name) DO UPDATE SET app = excluded.app, schedule = excluded.schedule, next_due = excluded.next_due;

-- name: active
SELECT app, schedule, next_due, paused, last_due, last_task_id, fired FROM schedules
WHERE NOT paused AND app IN (SELECT value FROM json_each(?)) ORDER BY next_due, name;

-- name: advance
UPDATE schedules SET
    next_due = :next_due,
    last_due = iif(:task_id = '', last_due, :due),
    last_task_id = iif(:task_id = '', last_task_id, :task_id),
    fired = fired + (:task_id <> '')
WHERE name = :name AND next_due = :due;

-- name: pause
UPDATE schedules SET paused = ?, next_due = ? WHERE name = ?;
