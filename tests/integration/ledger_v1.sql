-- The newest schema of the ledger; new ledgers are made from it, older ones reach it by the steps in schema.py.
-- JSON is kept as text. Wall times are seconds since 1970; only leases are monotonic.

-- A job on its way through the queue. What is large and never changes is in `bodies`, so that a heartbeat writes little.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    lane TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    digest TEXT NOT NULL,
    door TEXT NOT NULL,
    door_source TEXT NOT NULL,
    priority INTEGER NOT NULL,
    phase TEXT,
    session TEXT,
    title TEXT NOT NULL,
    depends_on TEXT NOT NULL,
    options TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    leased_at REAL,
    lease REAL,
    started_at REAL,
    finished_at REAL,
    statement BLOB NOT NULL DEFAULT x'',
    result TEXT,
    summary TEXT NOT NULL DEFAULT '',
    summary_due INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One writer for each branch, whatever a program believes.
CREATE UNIQUE INDEX one_writer ON jobs (repo, branch) WHERE state = 'running';
-- The order in which a lane is worked off.
CREATE INDEX ready ON jobs (lane, priority DESC, seq) WHERE state = 'queued';
-- When a waiting lane has to be looked at again.
CREATE INDEX due_later ON jobs (lane, not_before) WHERE state = 'queued';
CREATE INDEX by_state ON jobs (state, lane, seq);
CREATE INDEX summaries_due ON jobs (seq) WHERE summary_due = 1;

-- The canonical change of a job, and the bytes as they came.
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY REFERENCES jobs (seq),
    body BLOB NOT NULL,
    source BLOB NOT NULL
) STRICT;

-- The newest fence of each branch: a claim with a smaller one is dead.
CREATE TABLE fences (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    fence INTEGER NOT NULL,
    PRIMARY KEY (repo, branch)
) STRICT, WITHOUT ROWID;

-- The last number that was given for `rollback-<n>` and the like.
CREATE TABLE numbers (kind TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- What happened, in the order in which it happened. The numbers have no gap: one that was not committed is given again.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    time REAL NOT NULL,
    lane TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX events_of ON events (subject, seq);

-- How far each reader of the events has come.
CREATE TABLE cursors (reader TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Our commits of each branch, as their trailers tell them. An index of Git: it can be thrown away.
CREATE TABLE landed (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    position INTEGER NOT NULL,
    oid TEXT NOT NULL,
    id TEXT NOT NULL,
    digest TEXT NOT NULL,
    proof TEXT NOT NULL,
    lane TEXT NOT NULL,
    phase TEXT,
    reverts TEXT NOT NULL,
    reapplies TEXT NOT NULL,
    PRIMARY KEY (repo, branch, position),
    UNIQUE (repo, branch, oid)
) STRICT, WITHOUT ROWID;
-- What each of these commits did to an id: made, reverted or reapplied it. The newest row decides whether the id stands.
CREATE TABLE effects (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    effect TEXT NOT NULL,
    PRIMARY KEY (repo, branch, id, position, effect)
) STRICT, WITHOUT ROWID;
-- The tip up to which each branch was read.
CREATE TABLE tips (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    tip TEXT NOT NULL,
    PRIMARY KEY (repo, branch)
) STRICT, WITHOUT ROWID;

-- What a person should know. A cause has one alert at a time.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    title TEXT NOT NULL,
    data TEXT NOT NULL,
    version INTEGER NOT NULL,
    opened_at REAL NOT NULL,
    resolved_at REAL
) STRICT;
CREATE UNIQUE INDEX one_alert ON alerts (fingerprint) WHERE state <> 'resolved';

-- One change of an alert on its way to one channel. A dead letter stays, with the error that made it one.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alert INTEGER NOT NULL REFERENCES alerts (id),
    version INTEGER NOT NULL,
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (alert, version, channel)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (next_at, id) WHERE state = 'waiting';
CREATE INDEX dead_letters ON deliveries (id) WHERE state = 'dead';

-- Small facts: paused lanes, positions of followed files.
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- What a door answered to a delivery, so that a repeat gets the same answer.
CREATE TABLE receipts (
    key TEXT PRIMARY KEY,
    body_digest TEXT NOT NULL,
    answer TEXT NOT NULL,
    time REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Raw submissions that have no answer yet.
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    door TEXT NOT NULL,
    source TEXT NOT NULL,
    raw BLOB NOT NULL,
    time REAL NOT NULL
) STRICT;
