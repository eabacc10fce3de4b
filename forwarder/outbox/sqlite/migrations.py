"""Steps bring the outbox of an earlier release up to today's schema, one from each version to the next."""

import sqlite3
from collections.abc import Callable

Step = Callable[[sqlite3.Connection], None]
"""
A step changes tables and rows from one version to the next, within a transaction that its caller owns.

It executes statement by statement, because sqlite3's `executescript` would end that transaction.
"""


def lead_ids_by_their_instant(connection: sqlite3.Connection) -> None:
    """Version 2: ids are unique with their instant of measurement. The table is made anew to lose its constraint."""
    (highest,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'reading'"
    ).fetchone()
    # The legacy way of renaming leaves other tables' references to `reading` as they are.
    connection.execute("PRAGMA legacy_alter_table = ON")
    connection.execute("ALTER TABLE reading RENAME TO reading_before")
    connection.execute("DROP INDEX reading_content")
    connection.execute(
        """
        CREATE TABLE reading (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id BLOB NOT NULL,
            device TEXT NOT NULL,
            measured_at TEXT NOT NULL,
            received_at REAL NOT NULL,
            content BLOB
        )"""
    )
    connection.execute("INSERT INTO reading SELECT * FROM reading_before ORDER BY number")
    connection.execute("DROP TABLE reading_before")
    connection.execute("PRAGMA legacy_alter_table = OFF")
    connection.execute("CREATE UNIQUE INDEX reading_id ON reading (measured_at, id)")
    connection.execute(
        "CREATE INDEX reading_content ON reading (content) WHERE content IS NOT NULL"
    )
    # The sequence goes on from before, because no number is given twice, and the highest row may be gone.
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'reading'")
    connection.execute("INSERT INTO sqlite_sequence VALUES ('reading', ?)", (highest,))


def account_for_the_quarantine(connection: sqlite3.Connection) -> None:
    """Version 3: triggers count what the quarantine takes, so that its share can be bounded."""
    connection.execute(
        """
        ALTER TABLE quarantine ADD COLUMN
            kept_bytes INTEGER AS (length(payload) + length(CAST(topic AS BLOB)) + length(CAST(detail AS BLOB))
                + 2 * length(CAST(device AS BLOB)) + 256) VIRTUAL"""
    )
    connection.execute(
        """
        CREATE TABLE quarantine_account (
            reason TEXT PRIMARY KEY,
            kept INTEGER NOT NULL DEFAULT 0,
            kept_bytes INTEGER NOT NULL DEFAULT 0,
            evicted INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID"""
    )
    connection.execute(
        """
        CREATE TRIGGER quarantine_came AFTER INSERT ON quarantine BEGIN
            INSERT OR IGNORE INTO quarantine_account (reason) VALUES (NEW.reason);
            UPDATE quarantine_account SET kept = kept + 1, kept_bytes = kept_bytes + NEW.kept_bytes
                WHERE reason = NEW.reason;
        END"""
    )
    connection.execute(
        """
        CREATE TRIGGER quarantine_went AFTER DELETE ON quarantine BEGIN
            UPDATE quarantine_account SET kept = kept - 1, kept_bytes = kept_bytes - OLD.kept_bytes
                WHERE reason = OLD.reason;
        END"""
    )
    connection.execute(
        """
        CREATE TRIGGER quarantine_changed AFTER UPDATE ON quarantine BEGIN
            UPDATE quarantine_account SET kept = kept - 1, kept_bytes = kept_bytes - OLD.kept_bytes
                WHERE reason = OLD.reason;
            INSERT OR IGNORE INTO quarantine_account (reason) VALUES (NEW.reason);
            UPDATE quarantine_account SET kept = kept + 1, kept_bytes = kept_bytes + NEW.kept_bytes
                WHERE reason = NEW.reason;
        END"""
    )
    connection.execute(
        "INSERT INTO quarantine_account (reason, kept, kept_bytes)"
        " SELECT reason, count(*), sum(kept_bytes) FROM quarantine GROUP BY reason"
    )


def keep_dialled_addresses(connection: sqlite3.Connection) -> None:
    """Version 4: an attempt keeps the address that it dialled; earlier attempts have none."""
    connection.execute("ALTER TABLE delivery ADD COLUMN address TEXT")
    connection.execute("ALTER TABLE attempt ADD COLUMN address TEXT")


def name_the_outbox(connection: sqlite3.Connection) -> None:
    """Version 5: an outbox has a random id, which it shares with its copies alone."""
    connection.execute("CREATE TABLE identity (id TEXT NOT NULL)")
    connection.execute("INSERT INTO identity VALUES (lower(hex(randomblob(8))))")


def remember_what_was_told(connection: sqlite3.Connection) -> None:
    """Version 6: the outbox remembers what the operator has been told, so that no restart tells it again."""
    connection.execute(
        "CREATE TABLE told (subject TEXT PRIMARY KEY, what TEXT NOT NULL) WITHOUT ROWID"
    )


def know_the_devices(connection: sqlite3.Connection) -> None:
    """Version 7: each device has a record; the table begins empty, and fills with the readings that come."""
    connection.execute(
        """
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
        )"""
    )


def share_endpoints(connection: sqlite3.Connection) -> None:
    """Version 8: links show an endpoint to its people."""
    connection.execute(
        """
        CREATE TABLE share (
            id TEXT PRIMARY KEY,
            endpoint TEXT NOT NULL,
            digest BLOB NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL
        ) WITHOUT ROWID"""
    )


def audit_changes(connection: sqlite3.Connection) -> None:
    """Version 9: every change by people leaves a record."""
    connection.execute(
        """
        CREATE TABLE audit (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            at REAL NOT NULL,
            via TEXT NOT NULL,
            who TEXT NOT NULL,
            what TEXT NOT NULL,
            endpoint TEXT,
            count INTEGER NOT NULL
        )"""
    )


def know_the_last_of_intervals(connection: sqlite3.Connection) -> None:
    """
    Version 10: deliveries may be candidates, or thinned, where an endpoint is owed the last reading of each interval.

    The step rewrites the check's text in the schema, because a table made anew would need twice the room
    (sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes").
    """
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'delivery'",
        ("'superseded')", "'superseded', 'candidate', 'thinned')"),
    )
    connection.execute("PRAGMA writable_schema = RESET")
    # The new table makes every connection read the definitions anew.
    connection.execute(
        """
        CREATE TABLE candidate (
            endpoint INTEGER NOT NULL,
            device TEXT NOT NULL,
            reading INTEGER NOT NULL,
            opened_at REAL NOT NULL,
            PRIMARY KEY (endpoint, device)
        ) WITHOUT ROWID"""
    )
    connection.execute("CREATE INDEX candidate_opened ON candidate (endpoint, opened_at)")


def find_dead_letters(connection: sqlite3.Connection) -> None:
    """Version 11: indexes find the dead letters and quarantined messages that a list is narrowed down to."""
    for name, columns in (
        ("delivery_dead_of_endpoint", "state, endpoint, settled_at"),
        ("delivery_dead_of_device", "state, device, settled_at"),
        ("delivery_dead_by_reason", "state, reason, settled_at"),
    ):
        connection.execute(f"CREATE INDEX {name} ON delivery ({columns}) WHERE state = 'dead'")
    connection.execute("CREATE INDEX quarantine_reason ON quarantine (reason, id)")


def remember_minutes(connection: sqlite3.Connection) -> None:
    """Version 12: the outbox counts what happened in each minute of the last hours."""
    connection.execute(
        """
        CREATE TABLE minute (
            endpoint TEXT NOT NULL,
            at INTEGER NOT NULL,
            replica TEXT NOT NULL,
            counts TEXT NOT NULL,
            latency_seconds REAL NOT NULL,
            PRIMARY KEY (endpoint, at, replica)
        ) WITHOUT ROWID"""
    )


def remember_outages(connection: sqlite3.Connection) -> None:
    """Version 13: an endpoint keeps the beginning of its last outage, also when that is over."""
    connection.execute("ALTER TABLE endpoint ADD COLUMN outage_since REAL")


STEPS: tuple[Step, ...] = (
    lead_ids_by_their_instant,
    account_for_the_quarantine,
    keep_dialled_addresses,
    name_the_outbox,
    remember_what_was_told,
    know_the_devices,
    share_endpoints,
    audit_changes,
    know_the_last_of_intervals,
    find_dead_letters,
    remember_minutes,
    remember_outages,
)
"""The first brings version 1 to 2, and so on. A new file takes none, because schema.sql is the newest version."""
