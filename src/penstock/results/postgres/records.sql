-- The records of tasks, what only their runs and readers need (payloads), and the feed of changes.
-- $1 is the time, NULL for the server's own, where a statement needs it. What changes many rows does so in one statement,
-- and writes its lines of the feed in the same one: a row of `feed` for all of them.

-- name: columns
records.seq, records.task_id, task, state, queue, created_at, eta, expires, started_at, finished_at, worker, pid, retries,
deliveries, generation, cancel, submitter, owed, result, traceback, progress, children, attempts, head, body

-- name: paid
-- Each by its number: of a join, where the tables were empty when they were last analysed, the planner would make a walk
-- over all payloads.
CROSS JOIN LATERAL (SELECT head, body FROM penstock.payloads WHERE payloads.seq = records.seq OFFSET 0) AS paid

-- name: tell_lines
INSERT INTO penstock.feed (lines, at, task_ids, tasks, queues, states, workers)
SELECT count(*), penstock.moment($1), array_agg(task_id ORDER BY n), array_agg(task ORDER BY n),
    array_agg(queue ORDER BY n), array_agg(state ORDER BY n), array_agg(worker ORDER BY n)
FROM done HAVING count(*) > 0

-- name: submit
-- Plain submissions, all of which are new; else it fails, and `create` does it. This one, `submit_one`, `finish` and `retry`
-- may be parts of one statement (drivers/postgres/parts.py).
WITH given AS MATERIALIZED (
    SELECT nextval('penstock.records_seq_seq') AS seq, * FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::float8[], $8::text[], $9::float8[],
        $10::bytea[], $11::bytea[], $12::int[], $13::bytea[]
    ) AS each (task_id, task, queue, created_at, eta, expires, submitter, owed, head, body, extent, searched)
), made AS (
    INSERT INTO penstock.records (seq, task_id, task, state, queue, created_at, eta, expires, submitter, owed)
    SELECT seq, task_id, task, 'PENDING', queue, created_at, eta, expires, submitter, owed FROM given
), paid AS (
    INSERT INTO penstock.payloads SELECT seq, head, body, extent, searched FROM given
), told AS (
    INSERT INTO penstock.feed (lines, at, task_ids, tasks, queues, states, workers)
    SELECT cardinality($2), penstock.moment($1), $2, $3, $4, array_fill('PENDING'::text, ARRAY[cardinality($2)]),
        array_fill(''::text, ARRAY[cardinality($2)])
)
SELECT true AS well;

-- name: submit_one
-- The same for one: a row of values costs the server less than a function's rows, and us less than arrays.
WITH made AS (
    INSERT INTO penstock.records (task_id, task, state, queue, created_at, eta, expires, submitter, owed)
    VALUES ($2::text, $3::text, 'PENDING', $4::text, $5, $6, $7, $8, $9) RETURNING seq
), paid AS (
    INSERT INTO penstock.payloads SELECT seq, $10::bytea, $11::bytea, $12::int, $13::bytea FROM made
), told AS (
    INSERT INTO penstock.feed (lines, at, task_ids, tasks, queues, states, workers)
    VALUES (1, penstock.moment($1), ARRAY[$2], ARRAY[$3], ARRAY[$4], '{PENDING}', '{""}')
)
SELECT true AS well;

-- name: create
-- $26: the feed tells of them.
WITH given AS MATERIALIZED (
    SELECT nextval('penstock.records_seq_seq') AS seq, * FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::float8[], $8::float8[], $9::float8[],
        $10::float8[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::text[],
        $18::float8[], $19::bytea[], $20::bytea[], $21::bytea[], $22::bytea[], $23::bytea[], $24::int[], $25::bytea[]
    ) WITH ORDINALITY AS each (
        task_id, task, state, queue, created_at, eta, expires, started_at, finished_at, worker, pid, retries, deliveries,
        generation, cancel, submitter, owed, result, traceback, progress, head, body, extent, searched, n
    )
), made AS (
    INSERT INTO penstock.records (
        seq, task_id, task, state, queue, created_at, eta, expires, started_at, finished_at, worker, pid, retries,
        deliveries, generation, cancel, submitter, owed, result, traceback, progress
    )
    SELECT seq, task_id, task, state, queue, created_at, eta, expires, started_at, finished_at, worker, pid, retries,
        deliveries, generation, cancel, submitter, owed, result, traceback, progress
    FROM given ON CONFLICT (task_id) DO NOTHING RETURNING seq AS n, task_id, task, queue, state, worker
), paid AS (
    INSERT INTO penstock.payloads SELECT seq, head, body, extent, searched FROM given
    WHERE (SELECT count(*) FROM made) = cardinality($2)
), done AS (
    SELECT * FROM made WHERE $26
), told AS (
    {tell_lines}
)
SELECT CASE WHEN count(*) < cardinality($2) THEN coalesce(array_agg(task_id), '{}') END FROM made;

-- name: enlist
SELECT penstock.enlist_records('{}');

-- name: pay
INSERT INTO penstock.payloads
SELECT seq, head, body, extent, searched FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::int[], $5::bytea[])
    AS given (task_id, head, body, extent, searched) JOIN penstock.records USING (task_id);

-- name: embellish
UPDATE penstock.records SET children = $2, attempts = $3 WHERE task_id = $1;

-- name: submissions
SELECT task_id, submitter, created_at FROM penstock.records WHERE task_id = ANY($1::text[]);

-- name: get
SELECT {columns} FROM penstock.records {paid} WHERE task_id = ANY($1::text[]);

-- name: get_ended
SELECT {columns} FROM penstock.records {paid}
WHERE task_id = ANY($1::text[]) AND state IN ('SUCCESS', 'FAILURE', 'REVOKED');

-- name: get_seqs
SELECT {columns} FROM penstock.records {paid}
WHERE records.seq = ANY($1::bigint[]) ORDER BY records.seq DESC;

-- name: get_near
-- The same where most of the numbers between the first and the last are wanted: along the tables, not one by one.
WITH wanted AS MATERIALIZED (
    SELECT * FROM penstock.records WHERE seq BETWEEN $2 AND $3 AND seq + 0 = ANY($1::bigint[])
), paid AS MATERIALIZED (
    SELECT * FROM penstock.payloads WHERE seq BETWEEN $2 AND $3 AND seq + 0 = ANY($1::bigint[])
)
SELECT {columns} FROM wanted AS records JOIN paid ON paid.seq = records.seq ORDER BY records.seq DESC;

-- name: lock
SELECT {columns} FROM penstock.records {paid} WHERE task_id = $1 FOR UPDATE OF records;

-- name: exist
SELECT task_id FROM penstock.records WHERE task_id = ANY($1::text[]);

-- name: check
SELECT task_id, state, cancel, generation, retries, deliveries, CASE WHEN lease IS NOT NULL THEN (
    SELECT until - penstock.moment($1) FROM penstock.leases WHERE leases.lease = records.lease AND until > 0) END
FROM penstock.records WHERE task_id = ANY($2::text[]);

-- name: states
SELECT task_id, state FROM penstock.records WHERE task_id = ANY($1::text[]);

-- name: alive
-- The lock keeps it alive until this transaction has ended.
SELECT 1 FROM penstock.leases WHERE lease = $1 AND until > 0 FOR SHARE;

-- name: start
WITH alive AS MATERIALIZED (
    SELECT 1 FROM penstock.leases WHERE lease = $2 AND until > 0 FOR SHARE
), done AS (
    UPDATE penstock.records AS r SET
        state = 'STARTED', started_at = given.started_at, worker = given.worker, pid = given.pid,
        deliveries = greatest(r.deliveries, given.deliveries), lease = $2, result = NULL, traceback = NULL,
        progress = NULL, owed = NULL
    FROM unnest($3::text[], $4::bigint[], $5::float8[], $6::text[], $7::bigint[], $8::bigint[])
        WITH ORDINALITY AS given (task_id, generation, started_at, worker, pid, deliveries, n)
    WHERE r.task_id = given.task_id AND r.generation <= given.generation AND r.cancel = '' AND r.finished_at IS NULL
        AND EXISTS (SELECT FROM alive)
    RETURNING n, r.task_id, r.task, r.queue, r.state, r.worker
), told AS (
    {tell_lines}
)
SELECT (SELECT count(*) FROM alive)::int, (SELECT array_agg(n) FROM done);

-- name: finish
WITH alive AS MATERIALIZED (
    SELECT 1 FROM penstock.leases WHERE lease = $2 AND until > 0 FOR SHARE
), done AS (
    UPDATE penstock.records AS r SET
        state = given.state, finished_at = given.finished_at, started_at = coalesce(given.started_at, r.started_at),
        worker = given.worker, pid = given.pid, result = given.result, traceback = given.traceback,
        deliveries = greatest(r.deliveries, given.deliveries), lease = NULL, owed = NULL
    FROM unnest($3::text[], $4::bigint[], $5::text[], $6::float8[], $7::float8[], $8::text[], $9::bigint[], $10::bytea[],
        $11::bytea[], $12::bigint[])
        WITH ORDINALITY AS given (
            task_id, generation, state, finished_at, started_at, worker, pid, result, traceback, deliveries, n
        )
    WHERE r.task_id = given.task_id AND r.generation <= given.generation AND r.finished_at IS NULL
        AND EXISTS (SELECT FROM alive)
    RETURNING n, r.task_id, r.task, r.queue, r.state, r.worker
), told AS (
    {tell_lines}
)
SELECT (SELECT count(*) FROM done) = cardinality($3) AS well,
    (SELECT count(*) FROM alive)::int AS alive, (SELECT array_agg(n) FROM done) AS done;

-- name: retry
WITH alive AS MATERIALIZED (
    SELECT 1 FROM penstock.leases WHERE lease = $2 AND until > 0 FOR SHARE
), done AS (
    UPDATE penstock.records AS r SET
        state = 'RETRY', retries = greatest(r.retries, given.retries), deliveries = 0, eta = given.eta, started_at = NULL,
        worker = given.worker, pid = given.pid, result = given.result, traceback = given.traceback, progress = NULL,
        lease = NULL, owed = NULL,
        attempts = CASE WHEN given.attempt IS NULL THEN r.attempts ELSE r.attempts || given.attempt END
    FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::float8[], $7::text[], $8::bigint[], $9::bytea[], $10::bytea[],
        $11::bytea[])
        WITH ORDINALITY AS given (task_id, generation, retries, eta, worker, pid, result, traceback, attempt, n)
    WHERE r.task_id = given.task_id AND r.generation <= given.generation AND r.finished_at IS NULL
        AND EXISTS (SELECT FROM alive)
    RETURNING n, r.task_id, r.task, r.queue, r.state, r.worker
), told AS (
    {tell_lines}
)
SELECT (SELECT count(*) FROM done) = cardinality($3) AS well,
    (SELECT count(*) FROM alive)::int AS alive, (SELECT array_agg(n) FROM done) AS done;

-- name: add_children
UPDATE penstock.records SET children = children || $2::text[] WHERE task_id = $1;

-- name: progress
WITH done AS (
    UPDATE penstock.records AS r SET progress = given.progress
    FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS given (task_id, progress, n)
    WHERE r.task_id = given.task_id AND r.finished_at IS NULL
    RETURNING n, r.task_id, r.task, r.queue, r.worker, r.progress
)
INSERT INTO penstock.feed (lines, at, task_ids, tasks, queues, states, workers, progress)
SELECT count(*), penstock.moment($1), array_agg(task_id ORDER BY n), array_agg(task ORDER BY n),
    array_agg(queue ORDER BY n), array_agg('PROGRESS'::text), array_agg(worker ORDER BY n), array_agg(progress ORDER BY n)
FROM done HAVING count(*) > 0;

-- name: charge
UPDATE penstock.records AS r SET deliveries = greatest(r.deliveries, given.deliveries)
FROM unnest($1::text[], $2::bigint[]) AS given (task_id, deliveries)
WHERE r.task_id = given.task_id AND r.finished_at IS NULL;

-- name: park
UPDATE penstock.records SET owed = coalesce(owed, created_at)
WHERE task_id = ANY($1::text[]) AND state = 'STARTED' AND lease = $2 RETURNING task_id;

-- name: put_back
WITH done AS (
    UPDATE penstock.records AS r SET
        state = 'PENDING', started_at = NULL, deliveries = given.deliveries, lease = NULL
    FROM unnest($3::text[], $4::bigint[]) WITH ORDINALITY AS given (task_id, deliveries, n)
    WHERE r.task_id = given.task_id AND r.state = 'STARTED' AND r.lease = $2
    RETURNING n, r.task_id, r.task, r.queue, r.state, r.worker
)
{tell_lines};

-- name: runs
SELECT task_id, attempts, worker, pid, started_at FROM penstock.records
WHERE lease = $1 AND state = 'STARTED' ORDER BY seq FOR UPDATE;

-- name: lose
WITH done AS (
    UPDATE penstock.records AS r SET
        state = 'PENDING', started_at = NULL, attempts = r.attempts || given.attempt, lease = NULL
    FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS given (task_id, attempt, n)
    WHERE r.task_id = given.task_id
    RETURNING n, r.task_id, r.task, r.queue, r.state, r.worker
)
{tell_lines};

-- name: cancel
UPDATE penstock.records SET cancel = $3, owed = coalesce(owed, penstock.moment($1))
WHERE task_id = ANY($2::text[]) AND finished_at IS NULL;

-- name: revoke
WITH done AS (
    UPDATE penstock.records AS r SET state = 'REVOKED', result = $3, finished_at = penstock.moment($1)
    FROM unnest($2::text[]) WITH ORDINALITY AS given (task_id, n)
    WHERE r.task_id = given.task_id AND r.state IN ('PENDING', 'RECEIVED', 'RETRY')
    RETURNING n, r.task_id, r.task, r.queue, r.state, r.worker
), told AS (
    {tell_lines}
)
SELECT task_id FROM done;

-- name: reopen
WITH done AS (
    UPDATE penstock.records AS r SET
        state = 'PENDING', eta = NULL, expires = NULL, started_at = NULL, finished_at = NULL, retries = 0, deliveries = 0,
        generation = $3, cancel = '', owed = penstock.moment($1), result = NULL, traceback = NULL, progress = NULL,
        attempts = $4
    WHERE r.task_id = $2
    RETURNING 1 AS n, seq, r.task_id, r.task, r.queue, r.state, r.worker
), paid AS (
    UPDATE penstock.payloads SET head = $5 FROM done WHERE payloads.seq = done.seq
)
{tell_lines};

-- name: forget
WITH gone AS (
    DELETE FROM penstock.records WHERE task_id = ANY($1::text[]) AND finished_at IS NOT NULL RETURNING seq
), paid AS (
    DELETE FROM penstock.payloads WHERE seq IN (SELECT seq FROM gone)
), said AS (
    DELETE FROM penstock.logs WHERE seq IN (SELECT seq FROM gone)
)
SELECT count(*)::int FROM gone;

-- name: discard
WITH gone AS (
    DELETE FROM penstock.records WHERE task_id = ANY($1::text[]) AND state = 'PENDING' AND owed IS NOT NULL RETURNING seq
), paid AS (
    DELETE FROM penstock.payloads WHERE seq IN (SELECT seq FROM gone)
), said AS (
    DELETE FROM penstock.logs WHERE seq IN (SELECT seq FROM gone)
)
SELECT count(*)::int FROM gone;

-- name: confirm
UPDATE penstock.records SET owed = NULL WHERE task_id = ANY($1::text[]) AND owed IS NOT NULL;

-- name: unconfirmed
SELECT {columns} FROM penstock.records {paid}
WHERE owed <= penstock.moment($1) - $2::float8 AND owed IS NOT NULL AND state IN ('PENDING', 'RECEIVED', 'RETRY')
ORDER BY owed, records.seq LIMIT $3;

-- name: expired
SELECT task_id FROM penstock.records
WHERE expires <= penstock.moment($1) AND expires IS NOT NULL AND finished_at IS NULL
    AND state IN ('PENDING', 'RECEIVED', 'RETRY')
ORDER BY expires LIMIT $2;
