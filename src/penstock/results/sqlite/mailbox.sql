-- Letters to workers.

-- name: schema
CREATE TABLE IF NOT EXISTS letters (
    seq     INTEGER PRIMARY KEY,            -- the order of coming
    worker  TEXT NOT NULL,
    until   REAL NOT NULL,                  -- thrown away unread then (unix seconds)
    command BLOB NOT NULL                   -- JSON
);
CREATE INDEX IF NOT EXISTS letters_worker ON letters (worker);

-- name: send
INSERT INTO letters (worker, until, command) VALUES (?, ?, ?);

-- name: waiting
SELECT command FROM letters WHERE worker = ? AND until > ? ORDER BY seq;

-- name: remove
DELETE FROM letters WHERE worker = ?;

-- name: sweep
DELETE FROM letters WHERE seq IN (SELECT seq FROM letters WHERE until <= :now LIMIT :limit);
