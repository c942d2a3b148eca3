-- Every statement of the ledger. Each has a name, a sentence of meaning, and named places that Python fills.

-- Jobs: arrival ----------------------------------------------------------------------------------------------------

-- name: put_job
-- Take a job in; an id that is there already stays as it is and gives no row.
INSERT INTO jobs (
    id, kind, state, lane, repo, branch, digest, door, door_source, priority, phase, session, title, depends_on, options,
    received_at
) VALUES (
    :id, :kind, :state, :lane, :repo, :branch, :digest, :door, :door_source, :priority, :phase, :session, :title,
    :depends_on, :options, :received_at
)
ON CONFLICT (id) DO NOTHING
RETURNING seq;

-- name: put_body
-- Keep what the job is about.
INSERT INTO bodies (seq, body, source) VALUES (:seq, :body, :source);

-- name: is_full
-- Whether as many jobs wait in the lane as it may hold.
SELECT count(*) >= :most AS full
FROM (
    SELECT 1 FROM jobs INDEXED BY by_state WHERE state IN ('queued', 'held') AND lane = :lane LIMIT :most
);

-- name: next_number
-- The next number of a kind; none is given twice.
INSERT INTO numbers (kind, last) VALUES (:kind, 1)
ON CONFLICT (kind) DO UPDATE SET last = last + 1
RETURNING last;

-- name: is_taken
-- Whether an id is that of a job, or made a commit.
SELECT EXISTS (SELECT 1 FROM jobs WHERE id = :id) OR EXISTS (SELECT 1 FROM landed WHERE id = :id) AS taken;

-- Jobs: movement ---------------------------------------------------------------------------------------------------

-- name: next_runnable
-- The next job of a lane by priority, then arrival: due, on a branch where nobody works, nothing it depends on under way.
SELECT j.*, b.body
FROM jobs AS j INDEXED BY ready JOIN bodies AS b ON b.seq = j.seq
WHERE j.state = 'queued'
    AND j.lane = :lane
    AND j.not_before <= :now
    AND NOT EXISTS (SELECT 1 FROM facts WHERE key = 'paused:' || :lane)
    AND NOT EXISTS (
        SELECT 1 FROM jobs AS r INDEXED BY under_way
        WHERE r.repo = j.repo AND r.branch = j.branch AND r.state = 'running'
    )
    AND (
        j.depends_on = '[]'
        OR NOT EXISTS (
            SELECT 1
            FROM json_each(j.depends_on) AS wanted CROSS JOIN jobs AS other ON other.id = wanted.value
            WHERE other.id <> j.id AND other.state IN ('queued', 'held', 'running')
        )
    )
ORDER BY j.priority DESC, j.seq
LIMIT 1;

-- name: next_in_line
-- The first jobs of a lane that are due, whatever they may have to wait for.
SELECT j.*, b.body
FROM jobs AS j INDEXED BY ready JOIN bodies AS b ON b.seq = j.seq
WHERE j.state = 'queued'
    AND j.lane = :lane
    AND j.not_before <= :now
    AND NOT EXISTS (SELECT 1 FROM facts WHERE key = 'paused:' || :lane)
ORDER BY j.priority DESC, j.seq
LIMIT :most;

-- name: next_fence
-- More by so many than any claim on this branch has had: the last of so many new ones.
INSERT INTO fences (repo, branch, fence) VALUES (:repo, :branch, :many)
ON CONFLICT (repo, branch) DO UPDATE SET fence = fence + :many
RETURNING fence;

-- name: save_job
-- Write down where a job stands now, and who holds it for how long.
UPDATE jobs SET
    state = :state, attempts = :attempts, not_before = :not_before, fence = :fence, owner = :owner,
    leased_at = :leased_at, lease = :lease, started_at = :started_at, finished_at = :finished_at,
    statement = :statement, result = :result, summary = :summary, summary_due = :summary_due
WHERE seq = :seq;

-- name: renew_lease
-- Hold on to a running job; no row where the claim is not the newest.
UPDATE jobs SET leased_at = :now, lease = :lease
WHERE seq = :seq AND state = 'running' AND fence = :fence AND owner = :owner
RETURNING seq;

-- name: seal_job
-- Keep the sealed statement and prolong the lease; no row where the claim is not the newest.
UPDATE jobs SET statement = :statement, leased_at = :now, lease = :lease
WHERE seq = :seq AND state = 'running' AND fence = :fence AND owner = :owner
RETURNING seq;

-- name: end_job
-- Write down how the attempt under a claim ended; without a statement the one in the row stays. No row: not the newest.
UPDATE jobs SET
    state = :state, not_before = :not_before, owner = NULL, leased_at = NULL, lease = NULL, finished_at = :finished_at,
    statement = coalesce(:statement, statement), result = :result, summary = :summary, summary_due = :summary_due
WHERE seq = :seq AND state = 'running' AND fence = :fence AND owner = :owner
RETURNING statement;

-- name: abandoned_jobs
-- Running jobs whose owner is dead or whose lease has ended; one from the future was given before the machine restarted.
SELECT j.*, b.body
FROM jobs AS j JOIN bodies AS b ON b.seq = j.seq
WHERE j.state = 'running'
    AND (
        j.owner IN (SELECT value FROM json_each(:dead))
        OR j.leased_at > :now
        OR j.leased_at + j.lease <= :now
    )
ORDER BY j.seq;

-- name: owners
-- Who works on something.
SELECT DISTINCT owner FROM jobs WHERE state = 'running' AND owner IS NOT NULL ORDER BY owner;

-- name: branches
-- Where something was applied.
SELECT DISTINCT repo, branch FROM jobs WHERE state = 'applied' ORDER BY repo, branch;

-- name: committed
-- Which applied jobs of a branch must have a commit there: a freeze makes none, nor does a rollback of nothing.
SELECT id FROM jobs
WHERE state = 'applied' AND repo = :repo AND branch = :branch AND kind IN ('patch', 'rollback')
    AND json_extract(result, '$.commit') IS NOT NULL
ORDER BY seq;

-- Jobs: looking ----------------------------------------------------------------------------------------------------

-- name: job
-- One job by its id.
SELECT j.*, b.body FROM jobs AS j JOIN bodies AS b ON b.seq = j.seq WHERE j.id = :id;

-- name: source
-- The bytes of a job as they came.
SELECT b.source FROM jobs AS j JOIN bodies AS b ON b.seq = j.seq WHERE j.id = :id;

-- name: newest_jobs
-- Jobs in whatever state, the newest first.
SELECT j.*, b.body
FROM jobs AS j JOIN bodies AS b ON b.seq = j.seq
WHERE (:lane IS NULL OR j.lane = :lane) AND (:session IS NULL OR j.session = :session)
ORDER BY j.seq DESC
LIMIT :limit;

-- name: oldest_jobs
-- Jobs in whatever state, the oldest first.
SELECT j.*, b.body
FROM jobs AS j JOIN bodies AS b ON b.seq = j.seq
WHERE (:lane IS NULL OR j.lane = :lane) AND (:session IS NULL OR j.session = :session)
ORDER BY j.seq
LIMIT :limit;

-- name: jobs_in_states
-- Jobs in some states, in the order that `direction` (1 or -1) gives to the arrival.
SELECT j.*, b.body
FROM (
    SELECT i.seq
    FROM json_each(:states) AS wanted CROSS JOIN jobs AS i INDEXED BY by_state ON i.state = wanted.value
    WHERE (:lane IS NULL OR i.lane = :lane) AND (:session IS NULL OR i.session = :session)
    ORDER BY i.seq * :direction
    LIMIT :limit
) AS picked CROSS JOIN jobs AS j ON j.seq = picked.seq CROSS JOIN bodies AS b ON b.seq = picked.seq
ORDER BY j.seq * :direction;

-- name: counts
-- How many jobs stand where.
SELECT lane, state, count(*) AS many FROM jobs GROUP BY state, lane;

-- name: next_due_job
-- When the earliest of a lane's jobs that wait for a time is due.
SELECT min(not_before) AS due FROM jobs WHERE state = 'queued' AND lane = :lane AND not_before > :now;

-- name: unwritten_summaries
-- Terminal jobs whose summary was not seen on disk.
SELECT j.*, b.body FROM jobs AS j JOIN bodies AS b ON b.seq = j.seq WHERE j.summary_due = 1 ORDER BY j.seq;

-- name: finished_since
-- Jobs that came to their end since, with the text of their summaries.
SELECT j.*, b.body
FROM jobs AS j JOIN bodies AS b ON b.seq = j.seq
WHERE j.finished_at >= :since AND j.summary <> ''
ORDER BY j.seq;

-- name: newest_end
-- When the last job came to its end.
SELECT max(finished_at) AS time FROM jobs;

-- name: summary_written
-- The summary is on disk.
UPDATE jobs SET summary_due = 0 WHERE id = :id;

-- History ----------------------------------------------------------------------------------------------------------

-- name: tip
-- Up to where a branch was read.
SELECT tip FROM tips WHERE repo = :repo AND branch = :branch;

-- name: set_tip
-- A branch was read up to here.
INSERT INTO tips (repo, branch, tip) VALUES (:repo, :branch, :tip)
ON CONFLICT (repo, branch) DO UPDATE SET tip = :tip;

-- name: move_tip
-- A branch was read from one commit up to another; no row where it was not known up to there.
UPDATE tips SET tip = :tip WHERE repo = :repo AND branch = :branch AND tip = :before RETURNING tip;

-- name: forget_landed
-- Forget the commits of a branch.
DELETE FROM landed WHERE repo = :repo AND branch = :branch;

-- name: forget_effects
-- Forget what the commits of a branch did.
DELETE FROM effects WHERE repo = :repo AND branch = :branch;

-- name: add_landed
-- Put a commit behind the newest one of its branch; one that is known already gives no row.
INSERT INTO landed (repo, branch, position, oid, id, digest, proof, lane, phase, reverts, reapplies, restores)
SELECT
    :repo, :branch, coalesce(max(position), 0) + 1, :oid, :id, :digest, :proof, :lane, :phase, :reverts, :reapplies,
    :restores
FROM landed
WHERE repo = :repo AND branch = :branch
ON CONFLICT (repo, branch, oid) DO NOTHING
RETURNING position;

-- name: add_effect
-- A commit made, reverted or reapplied an id; trailers may say it twice.
INSERT INTO effects (repo, branch, id, position, effect) VALUES (:repo, :branch, :id, :position, :effect)
ON CONFLICT DO NOTHING;

-- name: newest_made
-- The newest commit that an id made on a branch.
SELECT l.*
FROM effects AS e JOIN landed AS l ON l.repo = e.repo AND l.branch = e.branch AND l.position = e.position
WHERE e.repo = :repo AND e.branch = :branch AND e.id = :id AND e.effect = 'made'
ORDER BY e.position DESC
LIMIT 1;

-- name: newest_effect
-- What was done last to an id on a branch, and by whom.
SELECT e.effect, l.id AS by
FROM effects AS e JOIN landed AS l ON l.repo = e.repo AND l.branch = e.branch AND l.position = e.position
WHERE e.repo = :repo AND e.branch = :branch AND e.id = :id
ORDER BY e.position DESC, e.effect DESC
LIMIT 1;

-- name: branch_commits
-- All our commits of a branch, oldest first.
SELECT * FROM landed WHERE repo = :repo AND branch = :branch ORDER BY position;

-- Proofs -----------------------------------------------------------------------------------------------------------

-- name: sealings
-- The statements with which jobs of a branch ended, in that order; an applied job's row keeps its own.
SELECT s.seq, j.id, coalesce(s.statement, j.statement) AS statement
FROM sealings AS s INDEXED BY sealings_of JOIN jobs AS j ON j.seq = s.job
WHERE s.repo = :repo AND s.branch = :branch AND s.seq > :since
ORDER BY s.seq
LIMIT :limit;

-- Gates ------------------------------------------------------------------------------------------------------------

-- name: add_gate_run
-- Keep what one run of a gate said and printed.
INSERT INTO gate_runs (
    id, attempt, gate, run, verdict, status, duration_ms, cached, flake, output, cut, audit, kept, time
)
VALUES (
    :id, :attempt, :gate, :run, :verdict, :status, :duration_ms, :cached, :flake, :output, :cut, :audit, :kept, :time
);

-- name: drop_gate_runs
-- Forget the oldest runs beyond a number, but for those that somebody asked to keep.
DELETE FROM gate_runs
WHERE kept = 0
    AND number <= (
        SELECT number FROM gate_runs INDEXED BY gate_runs_old
        WHERE kept = 0
        ORDER BY number DESC
        LIMIT 1 OFFSET :most
    );

-- name: gate_runs
-- The runs of gates for a job, in their order.
SELECT * FROM gate_runs INDEXED BY gate_runs_of WHERE id = :id AND (:gate IS NULL OR gate = :gate) ORDER BY number;

-- name: cached_pass
-- The pass that stands for a run.
SELECT * FROM gate_cache WHERE key = :key;

-- name: add_pass
-- Remember a pass; the same one again is only younger.
INSERT INTO gate_cache (key, gate, id, tool, files, duration_ms, made_at, used_at)
VALUES (:key, :gate, :id, :tool, :files, :duration_ms, :now, :now)
ON CONFLICT (key) DO UPDATE SET id = :id, duration_ms = :duration_ms, made_at = :now, used_at = :now;

-- name: use_pass
-- A pass stood for a run once more.
UPDATE gate_cache SET used_at = :now, uses = uses + 1 WHERE key = :key;

-- name: drop_old_passes
-- Forget passes that nobody used since a time.
DELETE FROM gate_cache WHERE used_at < :before;

-- name: drop_most_passes
-- Forget the passes that were used least lately, beyond a number.
DELETE FROM gate_cache
WHERE key IN (SELECT key FROM gate_cache INDEXED BY gate_cache_age ORDER BY used_at DESC LIMIT -1 OFFSET :most);

-- name: passes
-- All passes, those that were used last first.
SELECT * FROM gate_cache ORDER BY used_at DESC, key;

-- name: clear_passes
-- Forget the passes of a gate, or all.
DELETE FROM gate_cache WHERE :gate IS NULL OR gate = :gate RETURNING key;

-- Graph ------------------------------------------------------------------------------------------------------------

-- name: uncharted
-- The commits of a branch, from one on, whose touches were not read yet, oldest first.
SELECT l.oid
FROM landed AS l
WHERE l.repo = :repo AND l.branch = :branch
    AND l.position >= coalesce(
        (SELECT s.position FROM landed AS s WHERE s.repo = :repo AND s.branch = :branch AND s.oid = :since), 0
    )
    AND NOT EXISTS (SELECT 1 FROM charted AS c WHERE c.repo = l.repo AND c.oid = l.oid)
ORDER BY l.position;

-- name: mark_charted
-- The touches of a commit are all there.
INSERT INTO charted (repo, oid) VALUES (:repo, :oid) ON CONFLICT DO NOTHING;

-- name: add_touch
-- What a commit did to a path; it never changes.
INSERT INTO touches (repo, path, oid, was_mode, was, now_mode, now, spans)
VALUES (:repo, :path, :oid, :was_mode, :was, :now_mode, :now, :spans)
ON CONFLICT DO NOTHING;

-- name: touches_of
-- What a commit did, by path.
SELECT * FROM touches WHERE repo = :repo AND oid = :oid ORDER BY path;

-- name: touched
-- What the commits of a branch that are later than one did to a path, oldest first.
SELECT t.*
FROM touches AS t JOIN landed AS l ON l.repo = t.repo AND l.branch = :branch AND l.oid = t.oid
WHERE t.repo = :repo AND t.path = :path
    AND l.position > (
        SELECT s.position FROM landed AS s WHERE s.repo = :repo AND s.branch = :branch AND s.oid = :since
    )
ORDER BY l.position;

-- name: touched_between
-- The same for all paths from a first one up to an end.
SELECT t.*
FROM touches AS t JOIN landed AS l ON l.repo = t.repo AND l.branch = :branch AND l.oid = t.oid
WHERE t.repo = :repo AND t.path >= :first AND t.path < :end
    AND l.position > (
        SELECT s.position FROM landed AS s WHERE s.repo = :repo AND s.branch = :branch AND s.oid = :since
    )
ORDER BY l.position;

-- name: depending
-- The jobs that said they depend on one of these ids.
SELECT DISTINCT j.id
FROM jobs AS j JOIN json_each(j.depends_on) AS d
WHERE j.depends_on <> '[]' AND d.value IN (SELECT value FROM json_each(:ids));

-- name: forget_charted
-- No commit of a repository was read.
DELETE FROM charted WHERE repo = :repo;

-- name: forget_touches
-- Forget what the commits of a repository did.
DELETE FROM touches WHERE repo = :repo;

-- Events -----------------------------------------------------------------------------------------------------------

-- name: add_event
-- Write down what happened, behind everything that happened before.
INSERT INTO events (type, subject, time, lane, data) VALUES (:type, :subject, :time, :lane, :data)
RETURNING seq;

-- name: events_since
-- What happened since, in order.
SELECT * FROM events WHERE seq > :since ORDER BY seq LIMIT :limit;

-- name: events_of
-- What happened to one subject since, in order.
SELECT * FROM events WHERE subject = :subject AND seq > :since ORDER BY seq LIMIT :limit;

-- name: newest_event
-- The last number that was given.
SELECT coalesce(max(seq), 0) AS seq FROM events;

-- name: cursor
-- How far a reader has come.
SELECT seq FROM cursors WHERE reader = :reader;

-- name: advance_cursor
-- A reader is done with everything up to here; it never goes back.
INSERT INTO cursors (reader, seq) VALUES (:reader, :seq)
ON CONFLICT (reader) DO UPDATE SET seq = max(seq, excluded.seq);

-- Alerts -----------------------------------------------------------------------------------------------------------

-- name: open_alerts
-- What is not resolved, the newest first.
SELECT * FROM alerts WHERE state <> 'resolved' ORDER BY id DESC LIMIT :limit;

-- name: newest_alerts
-- Alerts in whatever state, the newest first.
SELECT * FROM alerts ORDER BY id DESC LIMIT :limit;

-- name: add_alert
-- Open an alert.
INSERT INTO alerts (fingerprint, severity, state, title, data, version, opened_at)
VALUES (:fingerprint, :severity, 'open', :title, :data, 1, :now)
RETURNING *;

-- name: save_alert
-- Write down how an alert stands now.
UPDATE alerts SET
    severity = :severity, state = :state, title = :title, data = :data, version = :version, resolved_at = :resolved_at
WHERE id = :id
RETURNING *;

-- name: add_delivery
-- Send a change of an alert to a channel, once.
INSERT INTO deliveries (alert, version, channel, key, payload, next_at)
VALUES (:alert, :version, :channel, :key, :payload, :now)
ON CONFLICT (alert, version, channel) DO NOTHING;

-- name: due_deliveries
-- What is to be sent now, the longest due first.
SELECT * FROM deliveries WHERE state = 'waiting' AND next_at <= :now ORDER BY next_at, id LIMIT :limit;

-- name: next_due_delivery
-- When the earliest delivery is due.
SELECT min(next_at) AS due FROM deliveries WHERE state = 'waiting';

-- name: count_attempt
-- A delivery is about to be tried.
UPDATE deliveries SET attempts = attempts + 1 WHERE id = :id;

-- name: save_delivery
-- How a delivery ended, or when it will be tried again.
UPDATE deliveries SET state = :state, error = :error, next_at = :next_at WHERE id = :id;

-- name: dead_letters
-- Deliveries that were given up.
SELECT * FROM deliveries WHERE state = 'dead' ORDER BY id;

-- Small things -----------------------------------------------------------------------------------------------------

-- name: fact
-- A small fact.
SELECT value FROM facts WHERE key = :key;

-- name: set_fact
-- Remember a small fact.
INSERT INTO facts (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = :value;

-- name: drop_fact
-- Forget a small fact.
DELETE FROM facts WHERE key = :key;

-- name: receipt
-- What was answered to a delivery.
SELECT * FROM receipts WHERE key = :key;

-- name: add_receipt
-- Remember what was answered; the first answer stands.
INSERT INTO receipts (key, body_digest, answer, time) VALUES (:key, :body_digest, :answer, :time)
ON CONFLICT (key) DO NOTHING;

-- name: add_journal
-- Keep raw bytes before anything is parsed.
INSERT INTO journal (door, source, raw, time) VALUES (:door, :source, :raw, :time)
RETURNING number;

-- name: journalled
-- Raw submissions without an answer, oldest first.
SELECT * FROM journal ORDER BY number;

-- name: settle
-- A submission has its answer.
DELETE FROM journal WHERE number = :number;
