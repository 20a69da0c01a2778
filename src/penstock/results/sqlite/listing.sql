-- Which records a filter means, newest first: with a state along its index, else along the table itself.
-- A parameter that is NULL asks for nothing. A text has up to three forms; they are looked for in the id, the result and
-- the arguments.

-- name: plain
    AND (:tasks IS NULL OR task IN (SELECT value FROM json_each(:tasks)))
    AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    AND (:workers IS NULL OR worker IN (SELECT value FROM json_each(:workers)))
    AND (:since IS NULL OR created_at >= :since)
    AND (:until IS NULL OR created_at < :until)

-- name: conditions
    AND (:due_after IS NULL OR eta > :due_after)
    AND (:due_by IS NULL OR eta IS NULL OR eta <= :due_by)
    AND (:unconfirmed IS NULL OR owed IS NOT NULL)
    AND (:form IS NULL
        OR instr(lower(task_id), :form)
        OR instr(lower(CAST(result AS TEXT)), :form)
        OR :form_2 IS NOT NULL AND (
            instr(lower(task_id), :form_2)
            OR instr(lower(CAST(result AS TEXT)), :form_2) OR instr(lower(CAST(result AS TEXT)), :form_3))
        OR EXISTS (
            SELECT 1 FROM payloads WHERE payloads.seq = records.seq AND (
                instr(lower(CAST(iif(extent, substr(body, 2, extent), searched) AS TEXT)), :form)
                OR :form_2 IS NOT NULL AND (
                    instr(lower(CAST(iif(extent, substr(body, 2, extent), searched) AS TEXT)), :form_2)
                    OR instr(lower(CAST(iif(extent, substr(body, 2, extent), searched) AS TEXT)), :form_3)))))

-- name: page
SELECT seq FROM records WHERE seq < :before AND seq >= :floor {conditions} ORDER BY seq DESC LIMIT :limit;

-- name: page_of_state
SELECT seq FROM records WHERE state = :state AND seq < :before AND seq >= :floor {conditions} ORDER BY seq DESC LIMIT :limit;

-- name: floor
SELECT seq, created_at FROM records WHERE seq < :before ORDER BY seq DESC LIMIT 1 OFFSET :others;

-- name: floor_of_state
SELECT seq, created_at FROM records WHERE state = :state AND seq < :before ORDER BY seq DESC LIMIT 1 OFFSET :others;

-- name: tally
SELECT count(*) FROM records WHERE seq < :before AND seq >= :floor {conditions};

-- name: tally_of_state
SELECT count(*) FROM records INDEXED BY records_state
WHERE state = :state AND seq < :before AND seq >= :floor {conditions};

-- name: count_all
SELECT min(count(*), :limit) FROM records;

-- name: count
SELECT count(*) FROM (SELECT 1 FROM records WHERE 1 {conditions} LIMIT :limit);

-- name: count_of_undone
SELECT count(*) FROM (
    SELECT 1 FROM records INDEXED BY records_undone
    WHERE state IN ('FAILURE', 'REVOKED') AND state = :state {plain} LIMIT :limit
);

-- name: count_of_state
SELECT count(*) FROM (SELECT 1 FROM records WHERE state = :state {conditions} LIMIT :limit);

-- name: oldest
SELECT seq, created_at FROM records WHERE 1 {conditions} ORDER BY seq LIMIT 1;

-- name: oldest_of_state
SELECT seq, created_at FROM records WHERE state = :state {conditions} ORDER BY seq LIMIT 1;
