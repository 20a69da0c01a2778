-- needs: 1
-- All that counting failures by filter needs, so that it need not look at the records; success costs nothing here.

CREATE INDEX records_undone ON penstock.records (state, task, queue, worker, created_at)
    WHERE state IN ('FAILURE', 'REVOKED');
