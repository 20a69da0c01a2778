-- Small values with a time to live, and locks.

-- name: schema
CREATE TABLE IF NOT EXISTS keys (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    until REAL NOT NULL                     -- there before then (unix seconds)
);
CREATE INDEX IF NOT EXISTS keys_until ON keys (until);
CREATE TABLE IF NOT EXISTS locks (
    name  TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until REAL NOT NULL                     -- held before then (unix seconds)
) WITHOUT ROWID;

-- name: put
INSERT INTO keys VALUES (:key, :value, :until)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until;

-- name: get
SELECT value FROM keys WHERE key = :key AND until > :now;

-- name: swap
UPDATE keys SET value = :value, until = :until WHERE key = :key AND value = :old AND until > :now;

-- name: delete
DELETE FROM keys WHERE key = ?;

-- name: lock
INSERT INTO locks VALUES (:name, :owner, :until)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE locks.owner = excluded.owner OR locks.until <= :now;

-- name: unlock
DELETE FROM locks WHERE name = ? AND owner = ?;

-- name: sweep
DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE until <= :now LIMIT :limit);

-- name: sweep_locks
DELETE FROM locks WHERE name IN (SELECT name FROM locks WHERE until <= :now LIMIT :limit);
