-- Letters to workers.

-- name: send
INSERT INTO penstock.letters (worker, until, command) VALUES ($2, penstock.moment($1) + $4::float8, $3);

-- name: take
WITH taken AS (
    DELETE FROM penstock.letters WHERE worker = $2 RETURNING seq, until, command
)
SELECT command FROM taken WHERE until > penstock.moment($1) ORDER BY seq;
