"""What time does to the outbox: expiry, endpoints that are gone, retention, shrinking. Jobs for `Outbox.transact`."""

from collections.abc import Collection

from forwarder.delivery import ReadingNumber
from forwarder.outbox.sqlite import quarantine
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device

CHUNK = 1000
"""Rows that one transaction changes at most, so that the left half never waits long."""

EVICTED_BYTES = 1 << 20
"""Of quarantined messages, what one transaction lets go: some thousand rows where they are small."""

_SETTLED_READINGS = """
    DELETE FROM reading WHERE number = ?1
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE reading = ?1)"""


def expire(
    store: Store,
    *,
    endpoint: str,
    received_before: float,
    only_latest: bool,
    now: float,
    in_flight: Collection[ReadingNumber],
) -> int:
    """
    Settle what has grown older than `max_age`: dead letters, or dropped where only the latest counts.

    Returns how many; when that is CHUNK there may be more. What is in flight is judged when it comes back.
    """
    rows = store.connection.execute(
        "SELECT reading, device FROM delivery"
        " WHERE endpoint = ? AND state = 'pending' AND age_from <= ? ORDER BY age_from LIMIT ?",
        (store.endpoint_id(endpoint), received_before, CHUNK + len(in_flight)),
    ).fetchall()
    old = [(number, device) for number, device in rows if number not in in_flight]
    state, reason = ("expired", None) if only_latest else ("dead", "expired")
    _finish(store, endpoint, old, state=state, reason=reason, now=now)
    return len(old)


def bury_removed(
    store: Store, *, endpoint: str, now: float, in_flight: Collection[ReadingNumber]
) -> int:
    """Make dead letters of what is pending for an endpoint that routes.yaml no longer names."""
    rows = store.connection.execute(
        "SELECT reading, device FROM delivery WHERE endpoint = ? AND state = 'pending' LIMIT ?",
        (store.endpoint_id(endpoint), CHUNK + len(in_flight)),
    ).fetchall()
    left = [(number, device) for number, device in rows if number not in in_flight]
    _finish(store, endpoint, left, state="dead", reason="endpoint_removed", now=now)
    return len(left)


def _finish(
    store: Store,
    endpoint: str,
    rows: list[tuple[int, str]],
    *,
    state: str,
    reason: str | None,
    now: float,
) -> None:
    row_id = store.endpoint_id(endpoint)
    for number, device in rows:
        store.finish(ReadingNumber(number), row_id, state=state, reason=reason, settled_at=now)
        store.touched.add((endpoint, Device(device)))
    if state != "dead":
        store.drop_bodies(number for number, _ in rows)


def mark_removed(store: Store, *, known: Collection[str], now: float) -> dict[str, float]:
    """
    Note which endpoints routes.yaml no longer names, and forget it of those that came back.

    Returns since when each of them with something pending is gone.
    """
    gone: dict[str, float] = {}
    rows = store.connection.execute(
        "SELECT id, name, removed_at,"
        " enqueued - delivered - dead - expired - superseded FROM endpoint"
    ).fetchall()
    for row_id, name, removed_at, pending in rows:
        since = None if name in known else removed_at or now
        if since != removed_at:
            store.connection.execute(
                "UPDATE endpoint SET removed_at = ? WHERE id = ?", (since, row_id)
            )
        if since is not None and pending:
            gone[name] = since
    return gone


def prune(store: Store, *, delivered_before: float, dead_before: float) -> int:
    """Forget deliveries that were settled before these times; returns how many, at most CHUNK."""
    rows: list[tuple[int, int]] = []
    for state, before in (
        ("delivered", delivered_before),
        ("expired", delivered_before),
        ("superseded", delivered_before),
        ("dead", dead_before),
    ):
        rows += store.connection.execute(
            "SELECT reading, endpoint FROM delivery WHERE state = ? AND settled_at < ?"
            " ORDER BY settled_at LIMIT ?",
            (state, before, CHUNK - len(rows)),
        ).fetchall()
    forget_deliveries(store, rows)
    return len(rows)


def forget_deliveries(store: Store, rows: list[tuple[int, int]]) -> None:
    """Erase settled deliveries given as (reading, endpoint), and readings that nothing refers to any more."""
    connection = store.connection
    connection.executemany("DELETE FROM delivery WHERE reading = ? AND endpoint = ?", rows)
    connection.executemany("DELETE FROM attempt WHERE reading = ? AND endpoint = ?", rows)
    readings = [(reading,) for reading, _ in rows]
    store.drop_bodies(reading for reading, _ in rows)
    connection.executemany(_SETTLED_READINGS, readings)


def prune_quarantine(store: Store, *, received_before: float, max_bytes: int) -> bool:
    """
    Forget quarantined messages that came before this time, at most CHUNK, and the oldest of more than may be kept.

    More is kept after a lowered limit. Returns whether more has to go for it.
    """
    store.connection.execute(
        "DELETE FROM quarantine WHERE id IN"
        " (SELECT id FROM quarantine WHERE received_at < ? LIMIT ?)",
        (received_before, CHUNK),
    )
    return quarantine.evict(store.connection, max_bytes=max_bytes, most_bytes=EVICTED_BYTES)


def shrink(store: Store, *, pages: int = CHUNK) -> None:
    """Give so many free pages back to the file system, which gets them with the next checkpoint."""
    for _ in range(pages):
        # One at a time: asked for more, SQLite frees a page at each step, and Python's sqlite3 takes only the first.
        store.connection.execute("PRAGMA incremental_vacuum(1)").fetchall()
