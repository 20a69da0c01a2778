-- Messages that wait in PostgreSQL, or are with a worker. $1 is the time, NULL for the server's own, where one is needed.
-- `publish`, `publish_one`, `settle` and `claim` may be parts of one statement (drivers/postgres/parts.py).

-- name: publish
WITH met AS (
    INSERT INTO penstock.queues (name)
    SELECT name FROM (SELECT DISTINCT unnest($2::text[]) AS name OFFSET 0) AS each
    WHERE NOT EXISTS (SELECT FROM penstock.queues WHERE queues.name = each.name)
    ON CONFLICT DO NOTHING
), sent AS (
    INSERT INTO penstock.messages (queue, step, priority, published, due, task_id, head, body)
    SELECT queue, step, priority, penstock.moment($1), CASE WHEN due > penstock.moment($1) THEN due END, task_id, head, body
    FROM unnest($2::text[], $3::smallint[], $4::int[], $5::float8[], $6::text[], $7::bytea[], $8::bytea[])
    AS each (queue, step, priority, due, task_id, head, body)
)
SELECT true AS well;

-- name: publish_one
-- The same for one message, to a queue that is known: values cost the server less than a function's rows, and us less
-- than arrays.
WITH sent AS (
    INSERT INTO penstock.messages (queue, step, priority, published, due, task_id, head, body) VALUES (
        $2, $3, $4, penstock.moment($1), CASE WHEN $5::float8 > penstock.moment($1) THEN $5 END, $6, $7, $8
    )
)
SELECT true AS well;

-- name: enlist
SELECT penstock.enlist_messages('{}');

-- name: claim
-- Each queue is walked from its front; rows that others claim at this moment are passed over. What is due is made ready
-- first ($6), and the answer is then one row that says so: ask again. With $7, it also tells how the tasks stand.
-- Rows are named by arrays of their ids, here and below: of a join, where the table was empty when it was last analysed,
-- the planner would make a walk over all messages.
WITH turns AS MATERIALIZED (
    SELECT given.queue, turn FROM unnest($3::text[]) WITH ORDINALITY AS given (queue, turn)
    WHERE NOT EXISTS (SELECT FROM penstock.queues WHERE name = given.queue AND paused)
), promoted AS (
    UPDATE penstock.messages SET due = NULL WHERE id = ANY (ARRAY(
        SELECT late.id FROM turns CROSS JOIN LATERAL (
            SELECT id FROM penstock.messages
            WHERE $6 AND messages.queue = turns.queue AND due <= penstock.moment($1) AND due IS NOT NULL
            ORDER BY due LIMIT 1000 FOR UPDATE SKIP LOCKED
        ) AS late
    ))
    RETURNING id
), found AS MATERIALIZED (
    SELECT ready.id, step, turn, size FROM turns CROSS JOIN LATERAL (
        SELECT id, step, octet_length(head) + octet_length(body) AS size FROM penstock.messages
        WHERE messages.queue = turns.queue AND lease IS NULL AND due IS NULL
        ORDER BY step DESC, id LIMIT $4 FOR UPDATE SKIP LOCKED
    ) AS ready
    WHERE NOT EXISTS (SELECT FROM promoted)
), ranked AS (
    SELECT id, step, turn, size, row_number() OVER (PARTITION BY turn, step ORDER BY id) AS place FROM found
), placed AS (
    SELECT id, row_number() OVER walk AS number, sum(size) OVER walk AS total FROM ranked
    WINDOW walk AS (ORDER BY step DESC, place, turn)
), chosen AS (
    SELECT array_agg(id ORDER BY number) AS ids FROM placed
    WHERE number <= $4 AND (number = 1 OR total <= $5)
), claimed AS (
    UPDATE penstock.messages SET lease = $2 WHERE id = ANY ((SELECT ids FROM chosen)::bigint[])
    RETURNING array_position((SELECT ids FROM chosen), id) AS number, id, queue, priority, redelivered, head, body, task_id
), found_queues AS (
    INSERT INTO penstock.queues (name)
    SELECT queue FROM (SELECT DISTINCT queue FROM claimed OFFSET 0) AS each
    WHERE NOT EXISTS (SELECT FROM penstock.queues WHERE name = each.queue)
    ON CONFLICT DO NOTHING
), standing AS (
    SELECT number, id, queue, priority, redelivered, head, body, state, cancel, generation, retries, deliveries, held
    FROM claimed LEFT JOIN LATERAL (
        SELECT state, cancel, generation, retries, deliveries, CASE WHEN lease IS NOT NULL THEN (
            SELECT until - penstock.moment($1) FROM penstock.leases WHERE leases.lease = records.lease AND until > 0
        ) END AS held
        FROM penstock.records WHERE $7 AND records.task_id = claimed.task_id OFFSET 0
    ) AS record ON true
)
SELECT * FROM standing
UNION ALL SELECT 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
WHERE EXISTS (SELECT FROM promoted);

-- name: declare
INSERT INTO penstock.queues (name) SELECT DISTINCT unnest($1::text[]) ON CONFLICT DO NOTHING;

-- name: outlook
-- What a claim that found nothing is to wait for: whether others hold rows of these queues at this moment, or the next
-- that is due.
SELECT bool_or(EXISTS (
    SELECT FROM penstock.messages WHERE messages.queue = given.queue AND lease IS NULL AND due IS NULL
)), min((SELECT min(due) FROM penstock.messages WHERE messages.queue = given.queue AND due IS NOT NULL))
FROM unnest($1::text[]) AS given (queue)
WHERE NOT EXISTS (SELECT FROM penstock.queues WHERE name = given.queue AND paused);

-- name: settle
-- The lease is compared so that its index, in which all that is held would be walked, is of no use.
WITH settled AS (
    DELETE FROM penstock.messages WHERE id = ANY($1::bigint[]) AND lease IS NOT DISTINCT FROM $2
)
SELECT true AS well;

-- name: hand_back
UPDATE penstock.messages SET lease = NULL, due = CASE WHEN $4::float8 > 0 THEN penstock.moment($1) + $4 END
WHERE id = ANY($2::bigint[]) AND lease = $3;

-- name: claimed
SELECT id, queue, priority, redelivered, head, body FROM penstock.messages
WHERE lease = $1 AND id <> ALL ($2::bigint[]) ORDER BY id LIMIT 100;

-- name: holders
SELECT DISTINCT lease FROM penstock.messages WHERE lease IS NOT NULL ORDER BY lease;

-- name: release
UPDATE penstock.messages SET lease = NULL, redelivered = true WHERE lease = ANY($1::text[])
RETURNING coalesce(task_id, '');

-- name: withdraw
WITH gone AS (DELETE FROM penstock.messages WHERE task_id = $1 AND lease IS NULL RETURNING 1)
SELECT (SELECT count(*) FROM gone)::int,
    (SELECT lease FROM penstock.messages WHERE task_id = $1 AND lease IS NOT NULL LIMIT 1);

-- name: depth
-- What there is, is added up; what is claimed, which is never much, is counted, and the rest is ready. Queues that nobody
-- has claimed from yet may be known by their messages only: those that came in users' transactions.
-- A step is compared as a range: otherwise the planner may walk all messages by id, where that step has none.
SELECT name, (sum(messages) - sum(delayed) - sum(claimed))::int, sum(delayed)::int, sum(claimed)::int, bool_or(paused),
    (SELECT min(published) FROM (
        SELECT (SELECT published FROM penstock.messages
                WHERE queue = name AND lease IS NULL AND due IS NULL AND step >= steps.step AND step <= steps.step
                ORDER BY step DESC, id LIMIT 1)
        FROM unnest(ARRAY[9, 6, 3, 0]::smallint[]) AS steps (step)
    ) AS oldest)
FROM (
    SELECT name, 0 AS messages, 0 AS delayed, 0 AS claimed, paused, true AS known FROM penstock.queues
    UNION ALL SELECT queue, messages, delayed, 0, false, false FROM penstock.tally
    UNION ALL SELECT queue, 0, 0, 1, false, false FROM penstock.messages WHERE lease IS NOT NULL
) AS parts
WHERE $1::text[] IS NULL OR name = ANY($1)
GROUP BY name HAVING bool_or(known) OR sum(messages) > 0 ORDER BY name;

-- name: pause
INSERT INTO penstock.queues (name, paused) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET paused = excluded.paused;

-- name: purge_ready
DELETE FROM penstock.messages WHERE id = ANY (ARRAY(
    SELECT id FROM penstock.messages WHERE queue = $1 AND lease IS NULL AND due IS NULL
    ORDER BY step DESC, id LIMIT $2 FOR UPDATE SKIP LOCKED
)) RETURNING coalesce(task_id, '');

-- name: purge_delayed
DELETE FROM penstock.messages WHERE id = ANY (ARRAY(
    SELECT id FROM penstock.messages WHERE queue = $1 AND due IS NOT NULL ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
)) RETURNING coalesce(task_id, '');

-- name: ping
-- A transaction that writes nothing lasting, but asks whether it could.
SELECT pg_current_xact_id();
