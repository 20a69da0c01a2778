-- The register of workers.

-- name: schema
CREATE TABLE IF NOT EXISTS workers (
    name    TEXT PRIMARY KEY,
    pid     INTEGER NOT NULL,
    info    BLOB    NOT NULL,               -- JSON: what it registered
    status  BLOB    NOT NULL,               -- JSON: its last report
    seen_at REAL    NOT NULL,
    until   REAL    NOT NULL                -- alive before then (unix seconds)
);

-- name: register
INSERT INTO workers VALUES (:name, :pid, :info, :status, :now, :until)
ON CONFLICT (name) DO UPDATE SET
    pid = excluded.pid, info = excluded.info, status = excluded.status, seen_at = excluded.seen_at, until = excluded.until
WHERE workers.pid = excluded.pid OR workers.until <= :now;

-- name: report
UPDATE workers SET status = :status, seen_at = :now, until = :until WHERE name = :name AND until > :now;

-- name: leave
DELETE FROM workers WHERE name = ?;

-- name: all
SELECT info, status, seen_at FROM workers WHERE until > ? ORDER BY name;

-- name: sweep
DELETE FROM workers WHERE name IN (SELECT name FROM workers WHERE until <= :now LIMIT :limit);
