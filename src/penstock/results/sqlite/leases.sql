-- Leases. One that has lapsed stays until it is closed, and is dead for ever.

-- name: schema
CREATE TABLE IF NOT EXISTS leases (
    lease  TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    until  REAL NOT NULL                    -- alive before then (unix seconds)
) WITHOUT ROWID;

-- name: open
INSERT INTO leases VALUES (:lease, :worker, :now + :seconds)
ON CONFLICT (lease) DO UPDATE SET until = excluded.until WHERE until > :now;

-- name: renew
UPDATE leases SET until = ? WHERE lease = ? AND until > ?;

-- name: owner
SELECT worker FROM leases WHERE lease = ? AND until > ?;

-- name: lapsed
SELECT lease FROM leases WHERE until <= ? ORDER BY until;

-- name: close
DELETE FROM leases WHERE lease = ?;
