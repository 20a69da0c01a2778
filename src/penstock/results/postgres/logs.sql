-- The last log lines of tasks.

-- name: add
WITH given AS MATERIALIZED (
    SELECT seq, number, lines FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS each (task_id, number, lines)
    JOIN penstock.records USING (task_id)
)
INSERT INTO penstock.logs SELECT seq, number, lines FROM given ON CONFLICT DO NOTHING;

-- name: known
SELECT seq, task_id, task, queue, worker FROM penstock.records WHERE task_id = ANY($1::text[]) ORDER BY seq;

-- name: trim
DELETE FROM penstock.logs USING (
    SELECT seq, number, sum(length(lines)) OVER newer AS size, row_number() OVER newer AS place
    FROM penstock.logs WHERE seq = ANY($1::bigint[])
    WINDOW newer AS (PARTITION BY seq ORDER BY number DESC)
) AS each WHERE logs.seq = each.seq AND logs.number = each.number AND size > $2 AND place > 1;

-- name: tell
INSERT INTO penstock.feed (lines, at, task_ids, tasks, queues, states, workers)
SELECT cardinality($2::text[]), penstock.moment($1), $2::text[], $3::text[], $4::text[],
    array_fill('LOG'::text, ARRAY[cardinality($2::text[])]), $5::text[]
WHERE cardinality($2::text[]) > 0;

-- name: of_task
SELECT number, lines FROM penstock.logs
WHERE seq = (SELECT seq FROM penstock.records WHERE task_id = $1) ORDER BY number;
