-- What is deleted because it is old or too much, in portions.

-- name: prune
WITH old AS MATERIALIZED (
    SELECT seq FROM penstock.records WHERE finished_at IS NOT NULL AND (finished_at, seq) <= ($2::float8, $3::bigint)
        AND finished_at < penstock.moment($1) - $4::float8
    ORDER BY finished_at, seq LIMIT $5 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM penstock.records WHERE seq IN (SELECT seq FROM old) RETURNING seq
), paid AS (
    DELETE FROM penstock.payloads WHERE seq IN (SELECT seq FROM old)
), said AS (
    DELETE FROM penstock.logs WHERE seq IN (SELECT seq FROM old)
)
SELECT count(*)::int FROM gone;

-- name: range
-- No more records than this: counting them all would walk an index.
SELECT (coalesce((SELECT max(seq) FROM penstock.records), 0) - coalesce((SELECT min(seq) FROM penstock.records), 1) + 1)::bigint;

-- name: newest_to_go
-- The newest ending beyond those that are to be kept; what ended before it goes, too.
SELECT finished_at, seq FROM penstock.records WHERE finished_at IS NOT NULL
ORDER BY finished_at DESC, seq DESC OFFSET $1 LIMIT 1;

-- name: sweep_feed
-- $2 lines at most: of the row in which that ends, the first lines are no longer counted. The newest line stays.
WITH walk AS (
    SELECT last, feed, lines, spare, sum(spare) OVER (ORDER BY last) - spare AS before FROM (
        SELECT last, feed, lines, at, lines - (last = (SELECT max(last) FROM penstock.feed_order))::int AS spare
        FROM penstock.feed_order ORDER BY last LIMIT $2
    ) AS tail WHERE at <= penstock.moment($1) - $3::float8
), portion AS MATERIALIZED (
    SELECT last, feed, lines, least(spare, $2 - before)::int AS going FROM walk WHERE before < $2
), gone AS (
    DELETE FROM penstock.feed_order WHERE last IN (SELECT last FROM portion WHERE going = lines)
), told AS (
    DELETE FROM penstock.feed WHERE id IN (SELECT feed FROM portion WHERE going = lines)
), cut AS (
    UPDATE penstock.feed_order SET lines = feed_order.lines - going FROM portion
    WHERE feed_order.last = portion.last AND going BETWEEN 1 AND portion.lines - 1
)
SELECT coalesce(sum(going), 0)::int FROM portion;

-- name: sweep_keys
DELETE FROM penstock.keys WHERE key IN (SELECT key FROM penstock.keys WHERE until <= penstock.moment($1) LIMIT $2);

-- name: sweep_locks
DELETE FROM penstock.locks WHERE name IN (SELECT name FROM penstock.locks WHERE until <= penstock.moment($1) LIMIT $2);

-- name: sweep_letters
DELETE FROM penstock.letters WHERE seq IN (SELECT seq FROM penstock.letters WHERE until <= penstock.moment($1) LIMIT $2);

-- name: sweep_workers
DELETE FROM penstock.workers WHERE name IN (SELECT name FROM penstock.workers WHERE until <= penstock.moment($1) LIMIT $2);
