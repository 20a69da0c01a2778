-- needs: 1
-- How many messages there are, whatever their number. Every statement that adds, removes, delays or makes ready writes
-- what it changed as rows of its own, so that nobody waits for anybody, and what is rolled back was never counted; the
-- sum of all rows is exact in every snapshot. Triggers do it, so that it is right whoever writes, older versions too.

CREATE TABLE penstock.tally (
    queue    text   NOT NULL,
    messages bigint NOT NULL,                      -- so many more (fewer, below 0), claimed and delayed ones included
    delayed  bigint NOT NULL                       -- so many more of them that have a `due`
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- One row a queue for all that there are, except for those that others are folding at this moment. A transaction that
-- works with one snapshot would fail where somebody has folded since, and leaves it to others.
CREATE FUNCTION penstock.fold_tally() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        WITH gone AS (
            DELETE FROM penstock.tally WHERE ctid = ANY (ARRAY(SELECT ctid FROM penstock.tally FOR UPDATE SKIP LOCKED))
            RETURNING queue, messages, delayed
        )
        INSERT INTO penstock.tally SELECT queue, sum(messages), sum(delayed) FROM gone GROUP BY queue
        HAVING sum(messages) <> 0 OR sum(delayed) <> 0;
    END IF;
END $$;

-- Now and then whoever writes folds, so that there are never more than a few thousand rows to add up.
CREATE FUNCTION penstock.tally_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO penstock.tally SELECT queue, count(*), count(due) FROM changed GROUP BY queue;
    ELSE
        INSERT INTO penstock.tally SELECT queue, -count(*), -count(due) FROM changed GROUP BY queue;
    END IF;
    IF random() < 0.002 THEN
        PERFORM penstock.fold_tally();
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION penstock.tally_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO penstock.tally VALUES (NEW.queue, 0, CASE WHEN NEW.due IS NULL THEN -1 ELSE 1 END);
    IF random() < 0.002 THEN
        PERFORM penstock.fold_tally();
    END IF;
    RETURN NULL;
END $$;

-- Nobody writes from here to the end of the migration, so nothing is left out and nothing counted twice.
LOCK TABLE penstock.messages IN SHARE ROW EXCLUSIVE MODE;
CREATE TRIGGER tally_inserted AFTER INSERT ON penstock.messages
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION penstock.tally_statement();
CREATE TRIGGER tally_deleted AFTER DELETE ON penstock.messages
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION penstock.tally_statement();
CREATE TRIGGER tally_due AFTER UPDATE OF due ON penstock.messages
FOR EACH ROW WHEN ((OLD.due IS NULL) <> (NEW.due IS NULL)) EXECUTE FUNCTION penstock.tally_due();
-- each part by the index that holds just it
INSERT INTO penstock.tally
SELECT queue, count(*), 0 FROM penstock.messages WHERE lease IS NULL AND due IS NULL GROUP BY queue
UNION ALL SELECT queue, count(*), count(*) FROM penstock.messages WHERE due IS NOT NULL GROUP BY queue
UNION ALL SELECT queue, count(*), 0 FROM penstock.messages WHERE lease IS NOT NULL AND due IS NULL GROUP BY queue;
