-- Small values with a time to live, and locks.

-- name: put
INSERT INTO penstock.keys VALUES ($2, $3, penstock.moment($1) + $4::float8)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until;

-- name: add
-- What is there already is locked, and so stays until this transaction has ended.
INSERT INTO penstock.keys VALUES ($2, $3, penstock.moment($1) + $4::float8)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until WHERE keys.until <= penstock.moment($1)
RETURNING true;

-- name: get
SELECT value FROM penstock.keys WHERE key = $2 AND until > penstock.moment($1);

-- name: swap
UPDATE penstock.keys SET value = $4, until = penstock.moment($1) + $5::float8
WHERE key = $2 AND value = $3 AND until > penstock.moment($1);

-- name: delete
DELETE FROM penstock.keys WHERE key = $1;

-- name: take
INSERT INTO penstock.locks VALUES ($2, $3, penstock.moment($1) + $4::float8)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE locks.owner = excluded.owner OR locks.until <= penstock.moment($1);

-- name: unlock
DELETE FROM penstock.locks WHERE name = $1 AND owner = $2;
