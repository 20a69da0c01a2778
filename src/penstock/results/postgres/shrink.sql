-- Rows move from the end of a table into the room that deleted ones left before it; VACUUM then gives the empty end back.
-- {table} is the table's name.

-- name: room
-- What the last VACUUM or ANALYZE found: pages, rows; then the pages that there are now, and those that the rows need.
SELECT relpages, reltuples, (pg_relation_size(pg_class.oid) / size)::int,
    ceil(greatest(reltuples, 0) * (SELECT 36 + coalesce(sum(avg_width * (1 - null_frac)), 0) FROM pg_stats
        WHERE schemaname = nspname AND tablename = relname) / size)::int
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace, (SELECT current_setting('block_size')::int AS size) AS block
WHERE pg_class.oid = 'penstock.{table}'::regclass;

-- name: move
-- The new version of a row goes where there is room: at first perhaps into its own page, which is then full.
-- Rows that others are changing are passed over, so that nobody waits for somebody who waits for this.
UPDATE penstock.{table} SET seq = seq WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM penstock.{table} WHERE ctid >= $1 AND ctid < $2 FOR NO KEY UPDATE SKIP LOCKED
));
