-- The last log lines of tasks, in the pieces that they were written in.

-- name: schema
CREATE TABLE IF NOT EXISTS logs (
    seq    INTEGER NOT NULL,                -- the record's
    number INTEGER NOT NULL,                -- the order of writing
    lines  BLOB    NOT NULL,                -- JSON
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;

-- name: known
SELECT task_id, seq FROM records WHERE task_id IN (SELECT value FROM json_each(:ids));

-- name: add
INSERT INTO logs VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: trim
DELETE FROM logs WHERE (seq, number) IN (
    SELECT seq, number FROM (
        SELECT seq, number, sum(length(lines)) OVER newer AS size, row_number() OVER newer AS place
        FROM logs WHERE seq IN (SELECT value FROM json_each(:seqs))
        WINDOW newer AS (PARTITION BY seq ORDER BY number DESC)
    ) WHERE size > :keep AND place > 1
);

-- name: tell
INSERT INTO changes (at, task_id, task, queue, state, worker)
SELECT :now, task_id, task, queue, 'LOG', worker FROM records WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: of_task
SELECT number, lines FROM logs WHERE seq = (SELECT seq FROM records WHERE task_id = ?) ORDER BY number;
