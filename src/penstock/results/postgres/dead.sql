-- Messages that nobody will run again by themselves.

-- name: add
INSERT INTO penstock.dead (id, queue, reason, detail, died_at, task_id, task, deliveries, head, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::float8[], $6::text[], $7::text[], $8::bigint[],
    $9::bytea[], $10::bytea[])
ON CONFLICT (id) DO NOTHING;

-- name: get
SELECT * FROM penstock.dead WHERE id = $1;

-- name: page
SELECT * FROM penstock.dead WHERE seq < $1 AND ($2 = '' OR reason = $2) ORDER BY seq DESC LIMIT $3;

-- name: page_of_queue
SELECT * FROM penstock.dead WHERE queue = $4 AND seq < $1 AND ($2 = '' OR reason = $2) ORDER BY seq DESC LIMIT $3;

-- name: count
SELECT count(*)::int FROM penstock.dead WHERE ($1 = '' OR queue = $1) AND ($2 = '' OR reason = $2);

-- name: discard
DELETE FROM penstock.dead WHERE id = ANY($1::text[]);

-- name: of_task
SELECT * FROM penstock.dead WHERE task_id = $1 AND task_id <> '' ORDER BY seq DESC;
