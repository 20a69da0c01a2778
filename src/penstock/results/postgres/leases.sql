-- Leases.

-- name: open
INSERT INTO penstock.leases VALUES ($2, $3, penstock.moment($1) + $4::float8)
ON CONFLICT (lease) DO UPDATE SET until = excluded.until WHERE leases.until > 0;

-- name: renew
WITH renewed AS (
    UPDATE penstock.leases SET until = penstock.moment($1) + $3::float8 WHERE lease = ANY($2::text[]) AND until > 0
    RETURNING lease
)
SELECT given FROM unnest($2::text[]) AS given WHERE given NOT IN (SELECT lease FROM renewed);

-- name: owner
SELECT worker FROM penstock.leases WHERE lease = $1 AND until > 0;

-- name: lapsed
SELECT lease FROM penstock.leases WHERE until <= penstock.moment($1) + $2::float8 ORDER BY until;

-- name: condemn
UPDATE penstock.leases SET until = 0 WHERE lease = ANY($2::text[]) AND until <= penstock.moment($1) RETURNING lease;

-- name: close
DELETE FROM penstock.leases WHERE lease = ANY($1::text[]);
