-- needs: 1
-- The last log lines of tasks, in the pieces that they were written in. Whoever deletes a record deletes them with it.

CREATE TABLE penstock.logs (
    seq    bigint NOT NULL,                        -- the record's
    number bigint NOT NULL,                        -- the order of writing
    lines  bytea  NOT NULL,                        -- JSON
    PRIMARY KEY (seq, number)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000, autovacuum_vacuum_cost_delay = 0
);
