-- Messages that wait in SQLite, or are with a worker. Three states, each with its own partial index:
-- ready (no lease, no due), delayed (due), claimed (lease).

-- name: schema
CREATE TABLE IF NOT EXISTS messages (
    id          INTEGER PRIMARY KEY,                -- when it was published, in microseconds, raised where that is taken: the
                                                    -- order, and (unlike a plain count) never used again for another message
    queue       TEXT    NOT NULL,
    step        INTEGER NOT NULL,                   -- the step of the priority: 9, 6, 3 or 0
    priority    INTEGER NOT NULL,
    due         REAL,                               -- delayed until then (unix seconds)
    lease       TEXT,                               -- claimed under it
    redelivered INTEGER NOT NULL DEFAULT 0,
    task_id     TEXT,                               -- NULL for raw messages
    head        BLOB    NOT NULL,                   -- see core/head.py
    body        BLOB    NOT NULL
);
-- lease and due are NULL in every entry, at the cost of no byte; with them in it, counting never touches the rows
CREATE INDEX IF NOT EXISTS messages_ready ON messages (queue, lease, due, step DESC) WHERE lease IS NULL AND due IS NULL;
CREATE INDEX IF NOT EXISTS messages_delayed ON messages (queue, due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_claimed ON messages (lease, queue) WHERE lease IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_task ON messages (task_id) WHERE task_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS queues (
    name   TEXT PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- name: add_queue
INSERT OR IGNORE INTO queues (name) VALUES (?);

-- name: publish
INSERT INTO messages (id, queue, step, priority, due, task_id, head, body)
VALUES (max(?, 1 + ifnull((SELECT max(id) FROM messages), 0)), ?, ?, ?, nullif(?, 0), nullif(?, ''), ?, ?);

-- name: paused
SELECT name FROM queues WHERE paused;

-- name: promote
UPDATE messages SET due = NULL
WHERE id IN (SELECT id FROM messages WHERE queue = :queue AND due <= :now ORDER BY due LIMIT :limit);

-- name: next_due
SELECT min(due) FROM messages WHERE queue = ? AND due IS NOT NULL;

-- name: ready
SELECT id, step, queue, priority, redelivered, head, body FROM messages
WHERE queue = ? AND lease IS NULL AND due IS NULL
ORDER BY step DESC, id;

-- name: claim
UPDATE messages SET lease = :lease WHERE id IN (SELECT value FROM json_each(:ids));

-- name: settle
-- (+lease: the way to the row is its id, not the index of all that the lease holds)
DELETE FROM messages WHERE id IN (SELECT value FROM json_each(:ids)) AND +lease = :lease;

-- name: hand_back
UPDATE messages SET lease = NULL, due = :due WHERE id IN (SELECT value FROM json_each(:ids)) AND +lease = :lease;

-- name: holders
SELECT DISTINCT lease FROM messages WHERE lease IS NOT NULL ORDER BY lease;

-- name: release
UPDATE messages SET lease = NULL, redelivered = 1 WHERE lease IN (SELECT value FROM json_each(:leases))
RETURNING ifnull(task_id, '');

-- name: withdraw
DELETE FROM messages WHERE task_id = ? AND lease IS NULL;

-- name: holder
SELECT lease FROM messages WHERE task_id = ? AND lease IS NOT NULL LIMIT 1;

-- name: depth
SELECT name,
    (SELECT count(*) FROM messages WHERE queue = name AND lease IS NULL AND due IS NULL),
    (SELECT count(*) FROM messages WHERE queue = name AND due IS NOT NULL),
    (SELECT count(*) FROM messages INDEXED BY messages_claimed WHERE queue = name AND lease IS NOT NULL),
    paused
FROM queues ORDER BY name;

-- name: oldest
SELECT min(id) FROM (
    SELECT min(id) AS id FROM messages WHERE queue = ?1 AND step = 9 AND lease IS NULL AND due IS NULL UNION ALL
    SELECT min(id) FROM messages WHERE queue = ?1 AND step = 6 AND lease IS NULL AND due IS NULL UNION ALL
    SELECT min(id) FROM messages WHERE queue = ?1 AND step = 3 AND lease IS NULL AND due IS NULL UNION ALL
    SELECT min(id) FROM messages WHERE queue = ?1 AND step = 0 AND lease IS NULL AND due IS NULL
);

-- name: pause
INSERT INTO queues (name, paused) VALUES (:name, :paused) ON CONFLICT (name) DO UPDATE SET paused = :paused;

-- name: purge_ready
DELETE FROM messages WHERE id IN (
    SELECT id FROM messages WHERE queue = :queue AND lease IS NULL AND due IS NULL ORDER BY step DESC, id LIMIT :limit
) RETURNING ifnull(task_id, '');

-- name: purge_delayed
DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE queue = :queue AND due IS NOT NULL LIMIT :limit)
RETURNING ifnull(task_id, '');
