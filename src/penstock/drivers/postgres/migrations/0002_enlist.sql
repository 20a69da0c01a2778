-- needs: 1
-- Submitting within a transaction of somebody else, on a connection of theirs, whatever its driver and its user: one
-- plain statement each. They run with the rights of the schema's owner; USAGE of the schema is enough to call them. The
-- argument is JSON in hexadecimal digits, so that it needs no quoting. NOTIFY is delivered by the commit, or never.

CREATE FUNCTION penstock.enlist_records(given text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    items jsonb := convert_from(decode(given, 'hex'), 'UTF8')::jsonb;
BEGIN
    BEGIN
        WITH item AS MATERIALIZED (
            SELECT nextval('penstock.records_seq_seq') AS seq, each.* FROM jsonb_to_recordset(items) AS each (
                task_id text, task text, queue text, created_at float8, eta float8, expires float8,
                head text, body text, extent int, searched text
            )
        ), made AS (
            INSERT INTO penstock.records (seq, task_id, task, state, queue, created_at, eta, expires)
            SELECT seq, task_id, task, 'PENDING', queue, created_at, eta, expires FROM item
        ), paid AS (
            INSERT INTO penstock.payloads
            SELECT seq, decode(head, 'hex'), decode(body, 'hex'), extent, decode(searched, 'hex') FROM item
        )
        INSERT INTO penstock.feed (lines, at, task_ids, tasks, queues, states, workers)
        SELECT count(*), penstock.moment(NULL), array_agg(task_id), array_agg(task), array_agg(queue),
            array_agg('PENDING'::text), array_agg(''::text)
        FROM item;
    EXCEPTION WHEN unique_violation THEN
        RETURN coalesce(
            (SELECT task_id FROM penstock.records
             WHERE task_id IN (SELECT each->>'task_id' FROM jsonb_array_elements(items) AS each) LIMIT 1),
            items->0->>'task_id'
        );
    END;
    PERFORM pg_notify('penstock.records', '');
    RETURN NULL;
END $$;

CREATE FUNCTION penstock.enlist_messages(given text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO penstock.messages (queue, step, priority, published, due, task_id, head, body)
    SELECT queue, step, priority, penstock.moment(NULL), CASE WHEN due > penstock.moment(NULL) THEN due END, task_id,
        decode(head, 'hex'), decode(body, 'hex')
    FROM jsonb_to_recordset(convert_from(decode(given, 'hex'), 'UTF8')::jsonb) AS each (
        queue text, step smallint, priority int, due float8, task_id text, head text, body text
    );
    PERFORM pg_notify('penstock.messages', '');
    RETURN NULL;
END $$;

-- runs at the end of a transaction of whoever submits
ALTER FUNCTION penstock.number_feed() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
