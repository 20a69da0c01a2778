-- Which records a filter means, newest first: with states along their index, else along the table's own order. Only the
-- conditions that a filter has are put together into a statement ({conditions}).
-- A text is looked for in the id, the result and the arguments, byte by byte, ASCII letters in either case.

-- name: tasks
task = ANY({0}::text[])

-- name: queues
queue = ANY({0}::text[])

-- name: workers
worker = ANY({0}::text[])

-- name: since
created_at >= {0}::float8

-- name: until
created_at < {0}::float8

-- name: due_after
eta > {0}::float8

-- name: due_by
(eta IS NULL OR eta <= {0}::float8)

-- name: unconfirmed
({0}::boolean AND owed IS NOT NULL)

-- name: forms
EXISTS (SELECT FROM unnest({0}::bytea[]) AS forms (form) WHERE
    position(convert_from(form, 'LATIN1') IN lower(convert_from(convert_to(task_id, 'UTF8'), 'LATIN1') COLLATE "C")) > 0
    OR position(convert_from(form, 'LATIN1') IN lower(convert_from(result, 'LATIN1') COLLATE "C")) > 0
    OR EXISTS (
        SELECT FROM penstock.payloads WHERE payloads.seq = records.seq AND position(convert_from(form, 'LATIN1') IN lower(
            convert_from(CASE WHEN extent > 0 THEN substring(body FROM 2 FOR extent) ELSE searched END, 'LATIN1')
            COLLATE "C")) > 0))

-- name: floor
SELECT seq, created_at FROM penstock.records WHERE seq = (
    SELECT seq FROM penstock.records WHERE seq < $1 ORDER BY seq DESC OFFSET $2 LIMIT 1
);

-- name: floor_of_states
SELECT seq, created_at FROM penstock.records WHERE seq = (
    SELECT max(found.seq) FROM unnest($3::text[]) AS given (wanted) CROSS JOIN LATERAL (
        SELECT seq FROM penstock.records WHERE (state, seq) >= (wanted, 0::bigint) AND (state, seq) < (wanted, $1)
        ORDER BY state DESC, seq DESC OFFSET $2 LIMIT 1
    ) AS found
);

-- name: tally
SELECT count(*)::int FROM penstock.records WHERE seq < $1 AND seq >= $2 {conditions};

-- name: tally_of_states
SELECT coalesce(sum(found.number), 0)::int FROM unnest($3::text[]) AS given (wanted) CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM penstock.records
    WHERE (state, seq) >= (wanted, $2) AND (state, seq) < (wanted, $1) {conditions}
) AS found;

-- name: page
SELECT seq FROM penstock.records WHERE seq < $1 AND seq >= $2 {conditions} ORDER BY seq DESC LIMIT $3;

-- name: page_of_states
-- Compared as pairs: otherwise the planner may walk all records backwards, however few are in that state.
SELECT found.seq FROM unnest($4::text[]) AS given (wanted) CROSS JOIN LATERAL (
    SELECT seq FROM penstock.records
    WHERE (state, seq) >= (wanted, $2) AND (state, seq) < (wanted, $1) {conditions}
    ORDER BY state DESC, seq DESC LIMIT $3
) AS found ORDER BY found.seq DESC LIMIT $3;

-- name: count
SELECT count(*)::int FROM (SELECT FROM penstock.records WHERE true {conditions} LIMIT $1) AS found;

-- name: undone
-- says to the planner which index is meant
state IN ('FAILURE', 'REVOKED')

-- name: count_of_states
SELECT count(*)::int FROM (SELECT FROM penstock.records WHERE state = ANY($2::text[]) {conditions} LIMIT $1) AS found;

-- name: oldest
SELECT created_at FROM penstock.records WHERE true {conditions} ORDER BY seq LIMIT 1;

-- name: oldest_of_states
SELECT found.created_at FROM unnest($1::text[]) AS given (wanted) CROSS JOIN LATERAL (
    SELECT seq, created_at FROM penstock.records
    WHERE (state, seq) >= (wanted, 0::bigint) AND (state, seq) < (wanted, 9223372036854775807) {conditions}
    ORDER BY state, seq LIMIT 1
) AS found ORDER BY found.seq LIMIT 1;
