-- Messages that nobody will run again by themselves.

-- name: schema
CREATE TABLE IF NOT EXISTS dead (
    seq        INTEGER PRIMARY KEY,         -- the order of coming
    id         TEXT    NOT NULL UNIQUE,
    queue      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    died_at    REAL    NOT NULL,            -- unix seconds
    task_id    TEXT    NOT NULL,
    task       TEXT    NOT NULL,
    deliveries INTEGER NOT NULL,
    head       BLOB    NOT NULL,            -- see core/head.py
    body       BLOB    NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_queue ON dead (queue, reason);
CREATE INDEX IF NOT EXISTS dead_task ON dead (task_id) WHERE task_id <> '';

-- name: add
INSERT INTO dead (id, queue, reason, detail, died_at, task_id, task, deliveries, head, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING;

-- name: get
SELECT * FROM dead WHERE id = ?;

-- name: page
SELECT * FROM dead
WHERE seq < :before AND (:queue = '' OR queue = :queue) AND (:reason = '' OR reason = :reason)
ORDER BY seq DESC LIMIT :limit;

-- name: count
SELECT count(*) FROM dead WHERE (:queue = '' OR queue = :queue) AND (:reason = '' OR reason = :reason);

-- name: discard
DELETE FROM dead WHERE id IN (SELECT value FROM json_each(?));

-- name: of_task
SELECT * FROM dead WHERE task_id = ? AND task_id <> '' ORDER BY seq DESC;
