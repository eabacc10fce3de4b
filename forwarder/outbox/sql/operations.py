"""Every operation is performed in SQL, within a transaction that its caller owns."""

from collections import Counter
from collections.abc import Collection, Iterable
from math import inf
from typing import Any, Literal, TypeAlias, TypeVar, assert_never, cast

from forwarder.delivery import ReadingNumber
from forwarder.outbox import operations
from forwarder.outbox.records import DeliveryId
from forwarder.outbox.sql import audit, candidates, minutes, shares
from forwarder.outbox.sql.connection import Connection
from forwarder.outbox.sql.putting import put
from forwarder.outbox.sql.tables import NO_ENDPOINT, Tables
from forwarder.reading import Device

EVICTED_BYTES = 1 << 20
"""One transaction evicts about this many bytes of the quarantine: some thousand small messages."""

_SETTLED_READINGS = """
    DELETE FROM reading WHERE number = ?
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.reading = reading.number)"""
_OLDEST_LOGGED = """
    SELECT reading, endpoint FROM (
        SELECT * FROM (SELECT reading, endpoint, settled_at FROM delivery
            WHERE state = 'delivered' AND settled_at IS NOT NULL ORDER BY settled_at LIMIT ?) AS delivered
        UNION ALL SELECT * FROM (SELECT reading, endpoint, settled_at FROM delivery
            WHERE state = 'expired' AND settled_at IS NOT NULL ORDER BY settled_at LIMIT ?) AS expired
        UNION ALL SELECT * FROM (SELECT reading, endpoint, settled_at FROM delivery
            WHERE state = 'superseded' AND settled_at IS NOT NULL ORDER BY settled_at LIMIT ?) AS superseded
        UNION ALL SELECT * FROM (SELECT reading, endpoint, settled_at FROM delivery
            WHERE state = 'thinned' AND settled_at IS NOT NULL ORDER BY settled_at LIMIT ?) AS thinned
    ) AS logged ORDER BY settled_at LIMIT ?"""
_REVIVE = """
    UPDATE delivery SET state = 'pending', reason = NULL, attempts = 0, due_at = 0, settled_at = NULL, age_from = ?,
        last_status = NULL, last_error = NULL, duration_ms = NULL
    WHERE reading = ? AND endpoint = ? AND state = ?"""
_OWE = """
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from) VALUES (?, ?, ?, ?, ?)"""
_TOLD = """
    INSERT INTO told (subject, what) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET what = excluded.what"""
T = TypeVar("T")
_Sent: TypeAlias = Literal["replayed", "already_there", "gone"]


def perform(
    store: Tables, operation: operations.Operation[T], *, in_flight: Collection[ReadingNumber] = ()
) -> T:
    """Perform the operation and return its answer; readings `in_flight` at its endpoint are left alone."""
    answer: T = _perform(store, cast("operations.EveryOperation", operation), in_flight)
    return answer


def _perform(  # noqa: C901 - a flat match over the closed set
    store: Tables, operation: operations.EveryOperation, in_flight: Collection[ReadingNumber]
) -> Any:
    match operation:
        case operations.ExpireOld(endpoint, before, only_latest, now):
            ending = ("expired", None) if only_latest else ("dead", "expired")
            return _finish(store, endpoint, before, ending, now=now, in_flight=in_flight)
        case operations.BuryRemoved(endpoint, now):
            ending = ("dead", "endpoint_removed")
            return _finish(store, endpoint, inf, ending, now=now, in_flight=in_flight)
        case operations.EndIntervals():
            return candidates.end_intervals(store, operation, in_flight)
        case operations.MarkRemoved():
            return _mark_removed(store, operation)
        case operations.Prune():
            return _prune(store, operation)
        case operations.PruneOldest(count):
            return _prune_oldest(store, min(count, operations.MOST_ROWS))
        case operations.PruneQuarantine():
            return _prune_quarantine(store, operation)
        case operations.Tell():
            return _tell(store, operation)
        case operations.Shrink(pages):
            return store.shrink(pages)
        case operations.Pause(endpoint):
            return store.endpoints.pause(store.endpoint_id(endpoint))
        case operations.Resume(endpoint):
            return store.endpoints.resume(store.endpoint_id(endpoint))
        case operations.Replay(deliveries, now):
            return sum(_revive(store, key, state="dead", now=now) for key in deliveries)
        case operations.ReplayTo():
            return _replay_to(store, operation)
        case operations.Discard(deliveries):
            return _discard(store, deliveries)
        case operations.ReplayQuarantined():
            return _replay_quarantined(store, operation)
        case operations.ExplainQuarantined(number, reason, detail):
            explain = "UPDATE quarantine SET reason = ?, detail = ? WHERE id = ?"
            _changed(store, explain, reason, detail, number)
            return None
        case operations.DiscardQuarantined(numbers):
            return sum(_discard_quarantined(store, number) for number in numbers)
        case operations.EraseDeliveries():
            return _erase(store, operation)
        case operations.BlankAnswers(deliveries):
            blank = "UPDATE attempt SET answer = ?, detail = '' WHERE reading = ? AND endpoint = ?"
            store.connection.executemany(blank, [(b"", *key) for key in deliveries])
            return None
        case operations.ForgetDevice(device):
            _changed(store, "DELETE FROM device WHERE name = ?", device)
            _changed(store, "DELETE FROM told WHERE subject = 'silent:' || ?", device)
            store.note_lane(NO_ENDPOINT, device)
            return None
        case operations.ForgetNotes(device):
            _changed(store, "DELETE FROM touched_lane WHERE device = ?", device)
            return None
        case operations.AddShare(share, now):
            return shares.add(store.connection, share, now=now)
        case operations.RevokeShare(identity):
            return shares.revoke(store.connection, identity)
        case operations.Audit(record):
            return audit.keep(store.connection, record)
        case operations.KeepMinutes(kept, before):
            return minutes.keep(store.connection, kept, before=before, replica=store.replica)
        case operations.TakeHomes(endpoints):
            return store.take_homes(endpoints)
        case operations.ReleaseHomes(endpoints):
            return store.release_homes(endpoints)
        case operations.Lead():
            return None  # the engine has taken the line before it began the transaction
        case _:
            assert_never(operation)


def _changed(store: Tables, statement: str, *parameters: object) -> int:
    return store.connection.execute(statement, parameters).rowcount


def _finish(
    store: Tables,
    endpoint: str,
    received_before: float,
    ending: tuple[str, str | None],
    *,
    now: float,
    in_flight: Collection[ReadingNumber],
) -> int:
    """Settle at most MOST_ROWS pending deliveries that are so old; `ending` is their state and why they are dead."""
    row_id, (state, reason) = store.endpoint_id(endpoint), ending
    rows = store.connection.execute(
        "SELECT reading, device FROM delivery"
        " WHERE endpoint = ? AND state = 'pending' AND age_from <= ? ORDER BY age_from LIMIT ?",
        (row_id, received_before, operations.MOST_ROWS + len(in_flight)),
    ).fetchall()
    old = [(number, device) for number, device in rows if number not in in_flight]
    for number, device in old:
        store.finish(number, row_id, state=state, reason=reason, settled_at=now)
        store.touched.add((endpoint, device))
    if state != "dead":
        store.drop_bodies(number for number, _ in old)
    return len(old)


def _mark_removed(store: Tables, wanted: operations.MarkRemoved) -> dict[str, float]:
    gone: dict[str, float] = {}
    rows = store.connection.execute(
        "SELECT id, name, removed_at,"
        " enqueued - delivered - dead - expired - superseded FROM endpoint"
    ).fetchall()
    for row_id, name, removed_at, pending in rows:
        since = None if name in wanted.known else removed_at or wanted.now
        if since != removed_at:
            store.endpoints.mark_removed(row_id, since)
        if since is not None and pending:
            gone[name] = since
    return gone


def _prune(store: Tables, wanted: operations.Prune) -> int:
    rows: list[tuple[int, int]] = []
    for state, before in (
        ("delivered", wanted.delivered_before),
        ("expired", wanted.delivered_before),
        ("superseded", wanted.delivered_before),
        ("thinned", wanted.delivered_before),
        ("dead", wanted.dead_before),
    ):
        rows += store.connection.execute(
            "SELECT reading, endpoint FROM delivery WHERE state = ? AND settled_at < ?"
            " ORDER BY settled_at LIMIT ?",
            (state, before, operations.MOST_ROWS - len(rows)),
        ).fetchall()
    _forget(store, rows)
    return len(rows)


def _prune_oldest(store: Tables, count: int) -> int:
    rows = store.connection.execute(_OLDEST_LOGGED, (count,) * 5).fetchall()
    _forget(store, rows)
    return len(rows)


def _forget(store: Tables, rows: Collection[tuple[int, int]]) -> None:
    """Erase deliveries given as (reading, endpoint), and readings that nothing refers to any more."""
    connection = store.connection
    # Deliveries go first, because a body or a reading goes only when no delivery needs it.
    connection.executemany("DELETE FROM delivery WHERE reading = ? AND endpoint = ?", rows)
    connection.executemany("DELETE FROM attempt WHERE reading = ? AND endpoint = ?", rows)
    store.drop_bodies(reading for reading, _ in rows)
    connection.executemany(_SETTLED_READINGS, [(reading,) for reading, _ in rows])


def _prune_quarantine(store: Tables, wanted: operations.PruneQuarantine) -> bool:
    store.connection.execute(
        "DELETE FROM quarantine WHERE id IN"
        " (SELECT id FROM quarantine WHERE received_at < ? LIMIT ?)",
        (wanted.received_before, operations.MOST_ROWS),
    )
    return store.quarantined.evict(max_bytes=wanted.max_bytes, most_bytes=EVICTED_BYTES)


def _tell(store: Tables, wanted: operations.Tell) -> Counter[operations.Told]:
    for subject, what in wanted.told.items():
        if what is None:
            _changed(store, "DELETE FROM told WHERE subject = ?", subject)
        else:
            _changed(store, _TOLD, subject, what)
    room = max(wanted.most_pending - _pending(store, wanted.endpoint), 0)
    outcomes = Counter[operations.Told]()
    outcomes["no_room"] = max(len(wanted.notices) - room, 0)
    for notice in wanted.notices[:room]:
        _, recipients = put(store, notice, now=wanted.now, content_since=wanted.now)
        store.touched.update((one.endpoint, notice.device) for one in recipients)
        outcomes["enqueued" if recipients else "repeated"] += 1
    return outcomes


def readings_in(wanted: Iterable[operations.Operation[Any]]) -> int:
    """How many readings these operations put at most."""
    return sum(
        len(one.notices)
        if isinstance(one, operations.Tell)
        else isinstance(one, operations.ReplayQuarantined)
        for one in wanted
    )


def _pending(store: Tables, endpoint: str) -> int:
    query = "SELECT enqueued - delivered - dead - expired - superseded FROM endpoint WHERE id = ?"
    return int(store.connection.execute(query, (store.endpoint_id(endpoint),)).fetchone()[0])


def _replay_to(store: Tables, wanted: operations.ReplayTo) -> Counter[_Sent]:
    target = store.endpoint_id(wanted.endpoint)
    return Counter([_send_to(store, key, target, wanted.now) for key in wanted.deliveries])


def _send_to(store: Tables, key: DeliveryId, target: int, now: float) -> _Sent:
    there = DeliveryId(key.reading, target)
    if _state(store, key) != "dead":
        return "gone"
    state = _state(store, there)
    if state in ("pending", "candidate", "delivered"):
        return "already_there"
    if state is None:
        _owe(store, there, _enqueued_at(store, key), now)
    else:
        _revive(store, there, state=state, now=now)
    if there != key:
        _forget(store, [key])
    return "replayed"


def _state(store: Tables, key: DeliveryId) -> str | None:
    query = "SELECT state FROM delivery WHERE reading = ? AND endpoint = ?"
    row = store.connection.execute(query, key).fetchone()
    return row[0] if row else None


def _enqueued_at(store: Tables, key: DeliveryId) -> float:
    query = "SELECT enqueued_at FROM delivery WHERE reading = ? AND endpoint = ?"
    return float(store.connection.execute(query, key).fetchone()[0])


def _owe(store: Tables, key: DeliveryId, enqueued_at: float, now: float) -> None:
    """Owe the reading as of its arrival, so that numbers of readings and times of enqueuing grow together."""
    device = _device(store.connection, key.reading)
    store.connection.execute(_OWE, (*key, device, enqueued_at, now))
    store.add(key.endpoint, "enqueued", 1)
    store.note_lane(key.endpoint, device)


def _revive(store: Tables, key: DeliveryId, *, state: str, now: float) -> bool:
    if not _changed(store, _REVIVE, now, *key, state):
        return False
    # The old attempts go, because attempts are numbered from 1 again.
    store.connection.execute("DELETE FROM attempt WHERE reading = ? AND endpoint = ?", key)
    if state == "thinned":
        store.add(key.endpoint, "enqueued", 1)
    else:
        store.add(key.endpoint, state, -1)
    store.note_lane(key.endpoint, _device(store.connection, key.reading))
    return True


def _device(connection: Connection, reading: int) -> Device:
    row = connection.execute("SELECT device FROM reading WHERE number = ?", (reading,)).fetchone()
    return Device(row[0])


def _discard(store: Tables, deliveries: Collection[DeliveryId]) -> int:
    dead = [key for key in deliveries if _state(store, key) == "dead"]
    _forget(store, dead)
    return len(dead)


def _replay_quarantined(
    store: Tables, wanted: operations.ReplayQuarantined
) -> Literal["replayed", "duplicate", "gone"]:
    # The row's removal decides which of two commands replays the message.
    if not _discard_quarantined(store, wanted.number):
        return "gone"
    reading, now = wanted.reading, wanted.now
    number, recipients = put(store, reading, now=now, content_since=now)
    for recipient in recipients:
        endpoint = store.endpoint_id(recipient.endpoint)
        # max_age counts from the replay, because the message may have come in days ago.
        renew = "UPDATE delivery SET age_from = ? WHERE reading = ? AND endpoint = ?"
        _changed(store, renew, now, number, endpoint)
        store.note_lane(endpoint, reading.device)
    return "replayed" if recipients else "duplicate"


def _discard_quarantined(store: Tables, number: int) -> bool:
    return _changed(store, "DELETE FROM quarantine WHERE id = ?", number) > 0


def _erase(store: Tables, wanted: operations.EraseDeliveries) -> Counter[str]:
    states: Counter[str] = Counter()
    for key in wanted.deliveries:
        state = _state(store, key)
        if state is None:
            continue
        states[state] += 1
        if state == "pending":
            store.add(key.endpoint, "dead", 1)
            # The reading tells the lane, because a notice that names several devices is not in this device's lane.
            store.note_lane(key.endpoint, _device(store.connection, key.reading))
    _forget(store, wanted.deliveries)
    if states["candidate"]:
        candidates.forget_erased(store, wanted.deliveries)
    return states
