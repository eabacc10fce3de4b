-- Version 2 of the outbox on PostgreSQL. Instants are UNIX seconds. Every transaction changes rows and their endpoints'
-- totals together, so the accounts agree with the rows at every commit. Foreign keys and most checks are left out,
-- because nothing but the forwarder writes here, and `forwarder outbox check` looks at what they would guard.

-- The line is one row. Every transaction that puts readings moves `last` on, a replica's under its own epoch. The row
-- thus fences the replica that subscribes, numbers the readings, and makes the order of numbers the order of commits.
CREATE TABLE line (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema int NOT NULL,
    last bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0,
    owner text,
    -- Client id, broker and topics of the last replica that led: no copy is made of it for another deployment.
    deployment text
) WITH (fillfactor = 10);

-- The number of commands' transactions; a replica that sees it move looks for what they changed.
CREATE TABLE command_count (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    count bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO command_count DEFAULT VALUES;

-- The replicas that are alive. The others declare a replica dead whose beat stands still, and delete its row.
CREATE TABLE member (
    id text PRIMARY KEY,
    beat bigint NOT NULL DEFAULT 0,
    name text NOT NULL,
    version text NOT NULL,
    -- The replica's statements about itself, for the others and for `forwarder status`.
    state jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);

-- The columns of an endpoint that puts and operators change; the view `endpoint` adds those that its home changes.
CREATE TABLE endpoint_row (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    enqueued bigint NOT NULL DEFAULT 0,
    -- 'operator', or 'gone' after a 410 together with a digest of the URL that said so.
    paused_by text,
    gone_url text,
    -- The instant from which routes.yaml no longer names it.
    removed_at float8,
    shards smallint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- The one replica that delivers to an endpoint, and the columns that it alone changes. Each settlement first locks the
-- row and compares its epoch, so an earlier owner settles nothing after a takeover.
CREATE TABLE home (
    endpoint int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    owner text,
    epoch bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    superseded bigint NOT NULL DEFAULT 0,
    failures int NOT NULL DEFAULT 0,
    open_until float8,
    failing_since float8,
    last_success_at float8,
    last_error text,
    last_error_at float8,
    -- The first of the failures in a row that opened the circuit last.
    outage_since float8,
    PRIMARY KEY (endpoint, shard)
) WITH (fillfactor = 50);

CREATE VIEW endpoint AS
    SELECT r.id, r.name, r.enqueued, h.delivered, h.dead, h.expired, h.superseded, h.failures, h.open_until, r.paused_by,
        r.gone_url, r.removed_at, h.failing_since, h.last_success_at, h.last_error, h.last_error_at, h.outage_since
    FROM endpoint_row r JOIN home h ON h.endpoint = r.id AND h.shard = 0;

-- One row a reading, in the order of arrival.
CREATE TABLE reading (
    number bigint PRIMARY KEY,
    id bytea NOT NULL,
    device text NOT NULL,
    measured_at text NOT NULL,
    received_at float8 NOT NULL,
    -- A digest of a payload that holds no time; it tells the broker's redelivery from a new reading.
    content bytea
);
-- The instant leads, so that neighbours in time share a page; random ids alone would scatter writes over the index.
CREATE UNIQUE INDEX reading_id ON reading (measured_at, id);
CREATE INDEX reading_content ON reading (content) WHERE content IS NOT NULL;

-- The event's data object, kept while a delivery of it is pending or dead.
CREATE TABLE body (
    reading bigint PRIMARY KEY,
    data bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01);
ALTER TABLE body ALTER data SET STORAGE EXTERNAL;

CREATE TABLE delivery (
    reading bigint NOT NULL,
    endpoint int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    device text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    enqueued_at float8 NOT NULL,
    -- max_age counts from here: the reading's receipt, or its last replay.
    age_from float8 NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    due_at float8 NOT NULL DEFAULT 0,
    settled_at float8,
    reason text,
    last_status int,
    last_error text,
    duration_ms float8,
    -- The IP address of the attempt that settled it.
    address text,
    PRIMARY KEY (reading, endpoint)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX delivery_lane ON delivery (endpoint, device, reading) WHERE state = 'pending';
CREATE INDEX delivery_age ON delivery (endpoint, age_from) WHERE state = 'pending';
CREATE INDEX delivery_settled ON delivery (state, settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX delivery_dead_of_endpoint ON delivery (endpoint, settled_at) WHERE state = 'dead';
CREATE INDEX delivery_dead_of_device ON delivery (device, settled_at) WHERE state = 'dead';
CREATE INDEX delivery_dead_by_reason ON delivery (reason, settled_at) WHERE state = 'dead';

-- The open intervals of endpoints that are owed the last reading of each. Its delivery is a 'candidate' until the
-- interval ends; the others are 'thinned'. No total counts either state.
CREATE TABLE candidate (
    endpoint int NOT NULL,
    device text NOT NULL,
    reading bigint NOT NULL,
    opened_at float8 NOT NULL,
    PRIMARY KEY (endpoint, device)
) WITH (fillfactor = 50);
CREATE INDEX candidate_opened ON candidate (endpoint, opened_at);

-- Attempts that failed; the delivery's own row tells of the one that succeeded.
CREATE TABLE attempt (
    reading bigint NOT NULL,
    endpoint int NOT NULL,
    number int NOT NULL,
    attempted_at float8 NOT NULL,
    duration_ms float8 NOT NULL,
    status int,
    error text NOT NULL,
    detail text NOT NULL,
    answer bytea NOT NULL,
    address text,
    PRIMARY KEY (reading, endpoint, number)
);

CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device text NOT NULL,
    topic text NOT NULL,
    received_at float8 NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    size bigint NOT NULL,
    payload bytea NOT NULL,
    -- The bytes of the row, with its part of the index and of unused space.
    kept_bytes bigint NOT NULL GENERATED ALWAYS AS (octet_length(payload) + octet_length(topic) + octet_length(detail)
        + 2 * octet_length(device) + 256) STORED
);
CREATE INDEX quarantine_device ON quarantine (device, id);
CREATE INDEX quarantine_reason ON quarantine (reason, id);

-- The quarantine by reason. Triggers keep it, because commands change rows too. `evicted` counts messages that gave way
-- to newer ones, over the whole life of the outbox.
CREATE TABLE quarantine_account (
    reason text PRIMARY KEY,
    kept bigint NOT NULL DEFAULT 0,
    kept_bytes bigint NOT NULL DEFAULT 0,
    evicted bigint NOT NULL DEFAULT 0
);
CREATE FUNCTION quarantine_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO quarantine_account AS account (reason, kept, kept_bytes)
        SELECT reason, count(*), sum(kept_bytes) FROM came GROUP BY reason ORDER BY reason
        ON CONFLICT (reason) DO UPDATE SET kept = account.kept + excluded.kept,
            kept_bytes = account.kept_bytes + excluded.kept_bytes;
    RETURN NULL;
END $$;
CREATE FUNCTION quarantine_went() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE quarantine_account AS account SET kept = account.kept - gone.kept, kept_bytes = account.kept_bytes - gone.bytes
        FROM (SELECT reason, count(*) AS kept, sum(kept_bytes) AS bytes FROM went GROUP BY reason) AS gone
        WHERE account.reason = gone.reason;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_inserted AFTER INSERT ON quarantine REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_came();
CREATE TRIGGER quarantine_deleted AFTER DELETE ON quarantine REFERENCING OLD TABLE AS went
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_went();
-- An update counts as a message that went and one that came.
CREATE TRIGGER quarantine_updated_from AFTER UPDATE ON quarantine REFERENCING OLD TABLE AS went
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_went();
CREATE TRIGGER quarantine_updated_to AFTER UPDATE ON quarantine REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_came();

-- A random id, by which a command knows whether a service that answers works on this outbox.
CREATE TABLE identity (
    id text NOT NULL
);
INSERT INTO identity VALUES (left(replace(gen_random_uuid()::text, '-', ''), 16));

-- The lasting conditions that the operator has been told of, as JSON by subject; each is written in its notice's
-- transaction.
CREATE TABLE told (
    subject text PRIMARY KEY,
    what text NOT NULL
);

-- Messages by outcome, over the whole life of the outbox.
CREATE TABLE message_total (
    outcome text PRIMARY KEY,
    count bigint NOT NULL
) WITH (fillfactor = 50);

-- Each device's record, at a place that is its own as long as it is known.
CREATE TABLE device (
    place int PRIMARY KEY,
    name text NOT NULL,
    first_at float8 NOT NULL,
    last_at float8,
    measured_at text,
    sightings bigint NOT NULL,
    intervals bytea NOT NULL,
    unreadable_at float8,
    silent_since float8
) WITH (fillfactor = 50);

-- Links that show an endpoint to its people. The outbox holds only the SHA-256 of a link's secret.
CREATE TABLE share (
    id text PRIMARY KEY,
    endpoint text NOT NULL,
    digest bytea NOT NULL,
    created_at float8 NOT NULL,
    expires_at float8 NOT NULL
);

-- Records of what people changed; the oldest go.
CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    at float8 NOT NULL,
    via text NOT NULL,
    who text NOT NULL,
    what text NOT NULL,
    endpoint text,
    count bigint NOT NULL
);

-- Counts of each minute of the last hours, by endpoint, and of the line under the empty name; the page draws them.
CREATE TABLE minute (
    endpoint text NOT NULL,
    at bigint NOT NULL,
    -- The replica that counted; readers add up all replicas.
    replica text NOT NULL,
    -- A JSON object: how often each thing happened.
    counts text NOT NULL,
    latency_seconds float8 NOT NULL,
    PRIMARY KEY (endpoint, at, replica)
);

-- Lanes that their home is to count again; it deletes the notes in the same transaction. No endpoint has the number 0:
-- its note says that the device itself was erased.
CREATE TABLE touched_lane (
    endpoint int NOT NULL,
    device text NOT NULL,
    PRIMARY KEY (endpoint, device)
);
