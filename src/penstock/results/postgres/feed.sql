-- The feed: a stretch of at most $2 lines after number $1. Each row of feed_order stands for the lines of a transaction,
-- or for the last ones of them, after a sweep.

-- name: stretch
SELECT line.seq, told.at, task_id, task, queue, state, worker, line.progress FROM (
    SELECT last, lines, feed FROM (
        SELECT last, lines, feed, sum(lines) OVER (ORDER BY last) - lines AS before
        FROM (SELECT * FROM penstock.feed_order WHERE last > $1 ORDER BY last LIMIT $2) AS next
    ) AS counted WHERE before < $2 + 10000
) AS numbered JOIN penstock.feed AS told ON told.id = feed CROSS JOIN LATERAL (
    SELECT last - cardinality(task_ids) + n AS seq, task_id, task, queue, state, worker, told.progress[n] AS progress
    FROM unnest(task_ids, tasks, queues, states, workers) WITH ORDINALITY
        AS each (task_id, task, queue, state, worker, n)
    WHERE n > cardinality(task_ids) - numbered.lines
) AS line WHERE line.seq > $1 ORDER BY line.seq LIMIT $2

-- name: changes
{stretch};

-- name: excerpt
WITH stretch AS MATERIALIZED ({stretch}), summary AS (
    SELECT count(*)::int AS lines, max(seq) AS upto FROM stretch
)
SELECT seq, at, task_id, task, queue, state, worker, progress, lines, upto FROM summary
LEFT JOIN stretch ON task_id = ANY($3::text[]) ORDER BY seq;

-- name: newest
SELECT last AS seq, told.at, task_ids[n], tasks[n], queues[n], states[n], workers[n], progress[n] FROM (
    SELECT last, feed FROM penstock.feed_order ORDER BY last DESC LIMIT 1
) AS numbered JOIN penstock.feed AS told ON told.id = feed CROSS JOIN cardinality(task_ids) AS n;
