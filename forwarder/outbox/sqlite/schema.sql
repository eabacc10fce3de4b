-- Version 13 of the outbox. Instants are UNIX seconds. Every transaction changes rows and their endpoints' totals
-- together, so the accounts agree with the rows at every commit.

CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- Totals over the whole life of the outbox; the pending deliveries are their difference.
    enqueued INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    superseded INTEGER NOT NULL DEFAULT 0,
    -- The circuit: failures in a row, and the end of the backoff or Retry-After until which nothing is sent.
    failures INTEGER NOT NULL DEFAULT 0,
    open_until REAL,
    -- 'operator', or 'gone' after a 410 together with a digest of the URL that said so.
    paused_by TEXT,
    gone_url TEXT,
    -- The instant from which routes.yaml no longer names it.
    removed_at REAL,
    failing_since REAL,
    last_success_at REAL,
    last_error TEXT,
    last_error_at REAL,
    -- The first of the failures in a row that opened the circuit last.
    outage_since REAL
);

-- One row a reading, in the order of arrival.
CREATE TABLE reading (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    device TEXT NOT NULL,
    measured_at TEXT NOT NULL,
    received_at REAL NOT NULL,
    -- A digest of a payload that holds no time; it tells the broker's redelivery from a new reading.
    content BLOB
);
-- A repetition has the same id and the same instant of measurement. The instant leads, so that neighbours in time share
-- a page; random ids alone would scatter writes over the index, the more the longer delivered readings are kept.
CREATE UNIQUE INDEX reading_id ON reading (measured_at, id);
CREATE INDEX reading_content ON reading (content) WHERE content IS NOT NULL;

-- The event's data object, kept while a delivery of it is pending or dead.
CREATE TABLE body (
    reading INTEGER PRIMARY KEY REFERENCES reading (number),
    data BLOB NOT NULL
);

CREATE TABLE delivery (
    reading INTEGER NOT NULL REFERENCES reading (number),
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    device TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'dead', 'expired', 'superseded', 'candidate', 'thinned')),
    enqueued_at REAL NOT NULL,
    -- max_age counts from here: the reading's receipt, or its last replay.
    age_from REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    settled_at REAL,
    reason TEXT,
    last_status INTEGER,
    last_error TEXT,
    duration_ms REAL,
    -- The IP address of the attempt that settled it.
    address TEXT,
    PRIMARY KEY (reading, endpoint)
) WITHOUT ROWID;
CREATE INDEX delivery_lane ON delivery (endpoint, device, reading) WHERE state = 'pending';
CREATE INDEX delivery_age ON delivery (endpoint, age_from) WHERE state = 'pending';
CREATE INDEX delivery_settled ON delivery (state, settled_at) WHERE settled_at IS NOT NULL;
-- Indexes of the dead letters alone, which are few: lists find those of an endpoint, a device or a reason in order.
CREATE INDEX delivery_dead_of_endpoint ON delivery (state, endpoint, settled_at) WHERE state = 'dead';
CREATE INDEX delivery_dead_of_device ON delivery (state, device, settled_at) WHERE state = 'dead';
CREATE INDEX delivery_dead_by_reason ON delivery (state, reason, settled_at) WHERE state = 'dead';

-- The open intervals of endpoints that are owed the last reading of each. Its delivery is a 'candidate' until the
-- interval ends; the others are 'thinned'. No total counts either state.
CREATE TABLE candidate (
    endpoint INTEGER NOT NULL,
    device TEXT NOT NULL,
    reading INTEGER NOT NULL,
    opened_at REAL NOT NULL,
    PRIMARY KEY (endpoint, device)
) WITHOUT ROWID;
CREATE INDEX candidate_opened ON candidate (endpoint, opened_at);

-- Attempts that failed; the delivery's own row tells of the one that succeeded.
CREATE TABLE attempt (
    reading INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    number INTEGER NOT NULL,
    attempted_at REAL NOT NULL,
    duration_ms REAL NOT NULL,
    status INTEGER,
    error TEXT NOT NULL,
    detail TEXT NOT NULL,
    answer BLOB NOT NULL,
    address TEXT,
    PRIMARY KEY (reading, endpoint, number)
) WITHOUT ROWID;

CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    received_at REAL NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    size INTEGER NOT NULL,
    payload BLOB NOT NULL,
    -- The bytes of the row, with its part of the index and of unused space.
    kept_bytes INTEGER AS (length(payload) + length(CAST(topic AS BLOB)) + length(CAST(detail AS BLOB))
        + 2 * length(CAST(device AS BLOB)) + 256) VIRTUAL
);
CREATE INDEX quarantine_device ON quarantine (device, id);
CREATE INDEX quarantine_reason ON quarantine (reason, id);

-- The quarantine by reason. Triggers keep it, because commands change rows too. `evicted` counts messages that gave way
-- to newer ones, over the whole life of the outbox.
CREATE TABLE quarantine_account (
    reason TEXT PRIMARY KEY,
    kept INTEGER NOT NULL DEFAULT 0,
    kept_bytes INTEGER NOT NULL DEFAULT 0,
    evicted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TRIGGER quarantine_came AFTER INSERT ON quarantine BEGIN
    INSERT OR IGNORE INTO quarantine_account (reason) VALUES (NEW.reason);
    UPDATE quarantine_account SET kept = kept + 1, kept_bytes = kept_bytes + NEW.kept_bytes
        WHERE reason = NEW.reason;
END;
CREATE TRIGGER quarantine_went AFTER DELETE ON quarantine BEGIN
    UPDATE quarantine_account SET kept = kept - 1, kept_bytes = kept_bytes - OLD.kept_bytes
        WHERE reason = OLD.reason;
END;
CREATE TRIGGER quarantine_changed AFTER UPDATE ON quarantine BEGIN
    UPDATE quarantine_account SET kept = kept - 1, kept_bytes = kept_bytes - OLD.kept_bytes
        WHERE reason = OLD.reason;
    INSERT OR IGNORE INTO quarantine_account (reason) VALUES (NEW.reason);
    UPDATE quarantine_account SET kept = kept + 1, kept_bytes = kept_bytes + NEW.kept_bytes
        WHERE reason = NEW.reason;
END;

-- A random id, by which a command knows whether a service that answers works on this outbox.
CREATE TABLE identity (
    id TEXT NOT NULL
);
INSERT INTO identity VALUES (lower(hex(randomblob(8))));

-- The lasting conditions that the operator has been told of, as JSON by subject; each is written in its notice's
-- transaction.
CREATE TABLE told (
    subject TEXT PRIMARY KEY,
    what TEXT NOT NULL
) WITHOUT ROWID;

-- Messages by outcome, over the whole life of the outbox.
CREATE TABLE message_total (
    outcome TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;

-- Each device's record, brought up to date every few seconds, at a place that is its own as long as it is known. The
-- service keeps names unique and places few. An index would cost at each writing, and commands read all records.
CREATE TABLE device (
    place INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL,
    measured_at TEXT,
    sightings INTEGER NOT NULL,
    intervals BLOB NOT NULL,
    unreadable_at REAL,
    silent_since REAL
);

-- Links that show an endpoint to its people. The outbox holds only the SHA-256 of a link's secret.
CREATE TABLE share (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;

-- Records of what people changed; the oldest go.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at REAL NOT NULL,
    via TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    endpoint TEXT,
    count INTEGER NOT NULL
);

-- Counts of each minute of the last hours, by endpoint, and of the line under the empty name; the page draws them.
CREATE TABLE minute (
    endpoint TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- The replica that counted; empty for a file, which has one forwarder.
    replica TEXT NOT NULL,
    -- A JSON object: how often each thing happened.
    counts TEXT NOT NULL,
    latency_seconds REAL NOT NULL,
    PRIMARY KEY (endpoint, at, replica)
) WITHOUT ROWID;

-- Lanes that a command changed; the service counts them again and deletes the notes in the same transaction. No
-- endpoint has the number 0: its note says that the device itself was erased.
CREATE TABLE touched_lane (
    endpoint INTEGER NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (endpoint, device)
) WITHOUT ROWID;
