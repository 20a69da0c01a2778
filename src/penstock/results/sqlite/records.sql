-- The records of tasks, what only their runs and readers need (payloads), and the feed of changes.
-- Records are narrow, so that a change of state writes little and a search for state, task or time reads little.
-- `+state` keeps the planner off the index of states, which may hold a million waiting ones.

-- name: schema
CREATE TABLE IF NOT EXISTS records (
    seq         INTEGER PRIMARY KEY,        -- the order of coming
    task_id     TEXT    NOT NULL,
    task        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    queue       TEXT    NOT NULL,
    created_at  REAL    NOT NULL,           -- unix seconds, as all times
    eta         REAL,
    expires     REAL,
    started_at  REAL,
    finished_at REAL,                       -- set exactly where the state is an ending
    worker      TEXT    NOT NULL,
    pid         INTEGER NOT NULL,
    retries     INTEGER NOT NULL,
    deliveries  INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    cancel      TEXT    NOT NULL,
    submitter   TEXT    NOT NULL,
    owed        REAL,                       -- the confirmation of the publish is missing since then
    lease       TEXT,                       -- runs under it
    result      BLOB,                       -- JSON
    traceback   TEXT,
    progress    BLOB,                       -- JSON
    children    TEXT,                       -- JSON: [id, …]; NULL for none
    attempts    TEXT                        -- JSON: [attempt, …]; NULL for none
);
CREATE UNIQUE INDEX IF NOT EXISTS records_id ON records (task_id);
CREATE INDEX IF NOT EXISTS records_state ON records (state);
-- all that counting failures by filter needs; success costs nothing here
CREATE INDEX IF NOT EXISTS records_undone ON records (state, task, queue, worker, created_at)
    WHERE state IN ('FAILURE', 'REVOKED');
CREATE INDEX IF NOT EXISTS records_finished ON records (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS records_expires ON records (expires) WHERE expires IS NOT NULL AND finished_at IS NULL;
CREATE INDEX IF NOT EXISTS records_owed ON records (owed) WHERE owed IS NOT NULL;
CREATE INDEX IF NOT EXISTS records_lease ON records (lease) WHERE lease IS NOT NULL;
CREATE TABLE IF NOT EXISTS payloads (
    seq      INTEGER PRIMARY KEY,           -- the record's
    head     BLOB    NOT NULL,              -- see core/head.py
    body     BLOB    NOT NULL,
    extent   INTEGER NOT NULL,              -- bytes of the body, from its second one on, that are searched
    searched BLOB    NOT NULL               -- what is searched where it is not part of the body as it stands
);
CREATE TABLE IF NOT EXISTS changes (
    seq      INTEGER PRIMARY KEY,
    at       REAL NOT NULL,
    task_id  TEXT NOT NULL,
    task     TEXT NOT NULL,
    queue    TEXT NOT NULL,
    state    TEXT NOT NULL,
    worker   TEXT NOT NULL,
    progress BLOB
);

-- name: next_seq
SELECT coalesce(max(seq), 0) + 1 FROM records;

-- name: create
INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_id) DO NOTHING;

-- name: submit
INSERT INTO records (
    seq, task_id, task, state, queue, created_at, worker, pid, retries, deliveries, generation, cancel, submitter
) VALUES (?, ?, ?, ?, ?, ?, '', 0, 0, 0, 0, '', '')
ON CONFLICT (task_id) DO NOTHING;

-- name: create_payload
INSERT INTO payloads VALUES (?, ?, ?, ?, ?);

-- name: tell_created
INSERT INTO changes (at, task_id, task, queue, state, worker)
SELECT :now, task_id, task, queue, state, worker FROM records WHERE seq >= :seq ORDER BY seq;

-- name: tell
INSERT INTO changes (at, task_id, task, queue, state, worker)
SELECT :now, task_id, task, queue, state, worker FROM json_each(:ids) AS given JOIN records ON task_id = given.value
ORDER BY given.key;

-- name: tell_progress
INSERT INTO changes (at, task_id, task, queue, state, worker, progress)
SELECT :now, task_id, task, queue, 'PROGRESS', worker, progress
FROM json_each(:ids) AS given JOIN records ON task_id = given.value
WHERE finished_at IS NULL
ORDER BY given.key;

-- name: submissions
SELECT task_id, seq, submitter, created_at FROM records WHERE task_id IN (SELECT value FROM json_each(:ids));

-- name: get
SELECT records.*, head, body FROM records JOIN payloads USING (seq)
WHERE task_id IN (SELECT value FROM json_each(:ids));

-- name: get_ended
SELECT records.*, head, body FROM records JOIN payloads USING (seq)
WHERE task_id IN (SELECT value FROM json_each(:ids)) AND +state IN ('SUCCESS', 'FAILURE', 'REVOKED');

-- name: get_seqs
SELECT records.*, head, body FROM records JOIN payloads USING (seq)
WHERE seq IN (SELECT value FROM json_each(:seqs)) ORDER BY seq DESC;

-- name: exists
SELECT 1 FROM records WHERE task_id = ?;

-- name: check
SELECT task_id, state, cancel, generation, retries, deliveries, iif(lease IS NULL, NULL, (
    SELECT until - :now FROM leases WHERE leases.lease = records.lease AND until > 0)) FROM records
WHERE task_id IN (SELECT value FROM json_each(:ids));

-- name: stirred
-- (what stands otherwise than a task that has not run and was left alone)
SELECT task_id, state, cancel, generation, retries, deliveries, iif(lease IS NULL, NULL, (
    SELECT until - :now FROM leases WHERE leases.lease = records.lease AND until > 0))
FROM json_each(:ids) CROSS JOIN records ON task_id = value
WHERE NOT (+state = 'PENDING' AND cancel = '' AND generation = 0 AND retries = 0 AND deliveries = 0 AND lease IS NULL);

-- name: states
SELECT task_id, state FROM records WHERE task_id IN (SELECT value FROM json_each(:ids));

-- name: start
UPDATE records SET
    state = 'STARTED', started_at = ?1, worker = ?2, pid = ?3, deliveries = max(deliveries, ?4), lease = ?5,
    result = NULL, traceback = NULL, progress = NULL, owed = NULL
WHERE task_id = ?6 AND generation <= ?7 AND cancel = '' AND finished_at IS NULL;

-- name: finish
-- (the row of values is there as often as there are endings; one without a task ends none)
UPDATE records SET
    state = column1, finished_at = column2, started_at = coalesce(column3, started_at), worker = column4, pid = column5,
    result = column6, traceback = nullif(column7, ''), deliveries = max(deliveries, column8), lease = NULL, owed = NULL
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) WHERE task_id = column9 AND generation <= column10 AND finished_at IS NULL;

-- name: retry
UPDATE records SET
    state = 'RETRY', retries = max(retries, ?1), deliveries = 0, eta = ?2, started_at = NULL, worker = ?3, pid = ?4,
    result = ?5, traceback = ?6, progress = NULL, lease = NULL, owed = NULL,
    attempts = CASE WHEN ?7 IS NULL THEN attempts ELSE json_insert(coalesce(attempts, '[]'), '$[#]', json(?7)) END
WHERE task_id = ?8 AND generation <= ?9 AND finished_at IS NULL;

-- name: add_child
UPDATE records SET children = json_insert(coalesce(children, '[]'), '$[#]', ?) WHERE task_id = ?;

-- name: progress
UPDATE records SET progress = ? WHERE task_id = ? AND finished_at IS NULL;

-- name: charge
UPDATE records SET deliveries = max(deliveries, ?)
WHERE task_id = ? AND finished_at IS NULL;

-- name: park
UPDATE records SET owed = coalesce(owed, created_at) WHERE task_id = ? AND state = 'STARTED' AND lease = ?;

-- name: put_back
UPDATE records SET state = 'PENDING', started_at = NULL, deliveries = ?, lease = NULL
WHERE task_id = ? AND state = 'STARTED' AND lease = ?;

-- name: runs
SELECT task_id, attempts, worker, pid, started_at FROM records WHERE lease = ? AND state = 'STARTED' ORDER BY seq;

-- name: lose
UPDATE records SET state = 'PENDING', started_at = NULL, attempts = ?, lease = NULL WHERE task_id = ?;

-- name: cancel
UPDATE records SET cancel = :reason, owed = coalesce(owed, :now)
WHERE task_id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NULL;

-- name: revoke
UPDATE records SET state = 'REVOKED', result = :result, finished_at = :now
WHERE task_id IN (SELECT value FROM json_each(:ids)) AND +state IN ('PENDING', 'RECEIVED', 'RETRY');

-- name: reopen
UPDATE records SET
    state = 'PENDING', eta = NULL, expires = NULL, started_at = NULL, finished_at = NULL, retries = 0, deliveries = 0,
    generation = :generation, cancel = '', owed = :now, result = NULL, traceback = NULL, progress = NULL,
    attempts = :attempts
WHERE task_id = :task_id;

-- name: reopen_payload
UPDATE payloads SET head = :head WHERE seq = (SELECT seq FROM records WHERE task_id = :task_id);

-- name: ended
SELECT seq FROM records
WHERE task_id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL;

-- name: unsent
SELECT seq FROM records
WHERE task_id IN (SELECT value FROM json_each(:ids)) AND +state = 'PENDING' AND owed IS NOT NULL;

-- name: delete
DELETE FROM records WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: delete_payloads
DELETE FROM payloads WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: delete_logs
DELETE FROM logs WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: confirm
UPDATE records SET owed = NULL
WHERE task_id IN (SELECT value FROM json_each(:ids)) AND owed IS NOT NULL;

-- name: unconfirmed
SELECT records.*, head, body FROM records JOIN payloads USING (seq)
WHERE owed <= :since AND +state IN ('PENDING', 'RECEIVED', 'RETRY') ORDER BY owed, seq LIMIT :limit;

-- name: expired
SELECT task_id FROM records
WHERE expires <= :now AND expires IS NOT NULL AND finished_at IS NULL AND +state IN ('PENDING', 'RECEIVED', 'RETRY')
ORDER BY expires LIMIT :limit;

-- name: too_old
SELECT seq FROM records WHERE finished_at < :before AND finished_at IS NOT NULL ORDER BY finished_at, seq LIMIT :limit;

-- name: at_most
SELECT (SELECT coalesce(max(seq), 0) FROM records) - (SELECT coalesce(min(seq), 1) FROM records) + 1;

-- name: count_ended
SELECT count(*) FROM records WHERE finished_at IS NOT NULL;

-- name: changes
SELECT seq, at, task_id, task, queue, state, worker, progress FROM changes WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: glance
SELECT seq, task_id FROM changes WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: changes_numbered
SELECT seq, at, task_id, task, queue, state, worker, progress FROM changes
WHERE seq IN (SELECT value FROM json_each(:seqs)) ORDER BY seq;

-- name: newest_change
SELECT seq, at, task_id, task, queue, state, worker, progress FROM changes ORDER BY seq DESC LIMIT 1;

-- name: feed_until
SELECT max(seq) FROM (SELECT seq, at FROM changes ORDER BY seq LIMIT :limit) WHERE at <= :before;

-- name: sweep_feed
DELETE FROM changes WHERE seq <= :until AND at <= :before AND seq < (SELECT max(seq) FROM changes);

-- name: free_pages
PRAGMA freelist_count;

-- name: pages
PRAGMA page_count;

-- name: give_back
PRAGMA incremental_vacuum(1);
