-- From version 1 to 2. What is made here reads as it does in schema.sql; every statement ends with ";" at a line's end,
-- and nowhere else.

-- A worker may hold several jobs of a branch, so that it can commit them as one group; a second worker may hold none.
DROP INDEX one_writer;
CREATE INDEX under_way ON jobs (repo, branch, owner) WHERE state = 'running';
CREATE TRIGGER one_writer BEFORE UPDATE OF state, owner ON jobs
WHEN NEW.state = 'running' AND EXISTS (
    SELECT 1 FROM jobs
    WHERE repo = NEW.repo AND branch = NEW.branch AND state = 'running' AND seq <> NEW.seq AND owner IS NOT NEW.owner
)
BEGIN SELECT raise(ABORT, 'another owner works on this branch'); END;

-- The phase tag whose tree a commit has.
ALTER TABLE landed ADD COLUMN restores TEXT;

-- Commits whose touches were read; see `touches`.
CREATE TABLE charted (
    repo TEXT NOT NULL,
    oid TEXT NOT NULL,
    PRIMARY KEY (repo, oid)
) STRICT, WITHOUT ROWID;
-- What a commit of ours did to each path against its first parent, in lines: from this a rollback knows which patches
-- build on which. Read from Git when somebody asks, or in a quiet moment; it can be thrown away.
CREATE TABLE touches (
    repo TEXT NOT NULL,
    path BLOB NOT NULL,
    oid TEXT NOT NULL,
    was_mode INTEGER,
    was TEXT,
    now_mode INTEGER,
    now TEXT,
    spans TEXT,
    PRIMARY KEY (repo, path, oid)
) STRICT, WITHOUT ROWID;
CREATE INDEX touches_of ON touches (repo, oid);

-- Sealed statements in the order in which their jobs ended: what the proof log of each branch has to hold.
CREATE TABLE sealings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL REFERENCES jobs (seq),
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    -- None for an applied job: its row keeps the statement, and never changes again.
    statement BLOB
) STRICT;
CREATE INDEX sealings_of ON sealings (repo, branch, seq);
-- In the transaction of the end itself, so that none is left out.
CREATE TRIGGER seal_end AFTER UPDATE OF state ON jobs
WHEN OLD.state = 'running' AND NEW.state IN ('applied', 'rejected', 'failed') AND length(NEW.statement) > 0
BEGIN
    INSERT INTO sealings (job, repo, branch, statement)
    VALUES (NEW.seq, NEW.repo, NEW.branch, CASE NEW.state WHEN 'applied' THEN NULL ELSE NEW.statement END); END;
-- Version 1 sealed applied jobs only.
INSERT INTO sealings (job, repo, branch)
SELECT seq, repo, branch FROM jobs WHERE state = 'applied' AND length(statement) > 0 ORDER BY finished_at, seq;

-- Every run of a gate or of a patch's own command, with all that it printed (zlib).
CREATE TABLE gate_runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    gate TEXT NOT NULL,
    run INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    status INTEGER,
    duration_ms INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    -- Whether a later pass made this one a part of a flake.
    flake INTEGER NOT NULL,
    output BLOB NOT NULL,
    -- Bytes that the command printed and that are not in `output`: the first ones of a flood.
    cut INTEGER NOT NULL,
    audit TEXT,
    -- 1: asked to be kept for good.
    kept INTEGER NOT NULL,
    time REAL NOT NULL
) STRICT;
CREATE INDEX gate_runs_of ON gate_runs (id, number);
CREATE INDEX gate_runs_old ON gate_runs (number) WHERE kept = 0;

-- Passes that may stand for a run: the key holds the gate, its tool and the files that it looks at.
CREATE TABLE gate_cache (
    key TEXT PRIMARY KEY,
    gate TEXT NOT NULL,
    id TEXT NOT NULL,
    tool TEXT NOT NULL,
    files TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    made_at REAL NOT NULL,
    used_at REAL NOT NULL,
    uses INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX gate_cache_age ON gate_cache (used_at);
