-- The register of workers.

-- name: register
INSERT INTO penstock.workers VALUES ($2, $3, $4, $5, penstock.moment($1), penstock.moment($1) + $6::float8)
ON CONFLICT (name) DO UPDATE SET
    pid = excluded.pid, info = excluded.info, status = excluded.status, seen_at = excluded.seen_at, until = excluded.until
WHERE workers.pid = excluded.pid OR workers.until <= penstock.moment($1);

-- name: report
UPDATE penstock.workers SET status = $3, seen_at = penstock.moment($1), until = penstock.moment($1) + $4::float8
WHERE name = $2 AND until > penstock.moment($1);

-- name: leave
DELETE FROM penstock.workers WHERE name = $1;

-- name: all
SELECT info, status, seen_at FROM penstock.workers WHERE until > penstock.moment($1) ORDER BY name;
