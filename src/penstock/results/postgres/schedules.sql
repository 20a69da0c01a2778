-- When which task is due next.

-- name: all
SELECT app, schedule, next_due, paused, last_due, last_task_id, fired FROM penstock.schedules ORDER BY name;

-- name: get
SELECT app, schedule, next_due, paused, last_due, last_task_id, fired FROM penstock.schedules WHERE name = $1 FOR UPDATE;

-- name: drop_others
DELETE FROM penstock.schedules WHERE app = $1 AND name <> ALL($2::text[]);

-- name: put
INSERT INTO penstock.schedules (name, app, schedule, next_due) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET app = excluded.app, schedule = excluded.schedule, next_due = excluded.next_due;

-- name: active
SELECT app, schedule, next_due, paused, last_due, last_task_id, fired, penstock.moment($1) FROM penstock.schedules
WHERE NOT paused AND app = ANY($2::text[]) ORDER BY next_due, name;

-- name: advance
UPDATE penstock.schedules SET
    next_due = $3,
    last_due = CASE WHEN $4 = '' THEN last_due ELSE $2 END,
    last_task_id = CASE WHEN $4 = '' THEN last_task_id ELSE $4 END,
    fired = fired + CASE WHEN $4 = '' THEN 0 ELSE 1 END
WHERE name = $1 AND next_due = $2;

-- name: pause
UPDATE penstock.schedules SET paused = $2, next_due = $3 WHERE name = $1;

-- name: now
SELECT penstock.moment($1);
