-- Leases. One that was condemned stays, with no time at all, until it is closed.

-- name: schema
CREATE TABLE IF NOT EXISTS leases (
    lease  TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    until  REAL NOT NULL                    -- not to be condemned before then (unix seconds); 0: it was, and is dead
) WITHOUT ROWID;

-- name: open
INSERT INTO leases VALUES (:lease, :worker, :now + :seconds)
ON CONFLICT (lease) DO UPDATE SET until = excluded.until WHERE until > 0;

-- name: renew
UPDATE leases SET until = ? WHERE lease = ? AND until > 0;

-- name: owner
SELECT worker FROM leases WHERE lease = ? AND until > 0;

-- name: lapsed
SELECT lease FROM leases WHERE until <= ? ORDER BY until;

-- name: condemn
UPDATE leases SET until = 0 WHERE lease = ? AND until <= ?;

-- name: close
DELETE FROM leases WHERE lease = ?;
