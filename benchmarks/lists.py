"""
What lists of the API take on an outbox of a million deliveries: each list, with each filter, at both of its ends.

    .venv/bin/python benchmarks/lists.py [--deliveries 1000000] [--rounds 5]

Of each the fastest and the slowest of `--rounds` answers are shown, in milliseconds on the wall, and the fastest in
milliseconds of CPU, from the choice of the rows to their records. The last line tells how many took longer than 100 ms
at their fastest.
Of the deliveries 90 % are delivered, 5 % dead, 3 % pending and 2 % expired; of the endpoints and devices the last is
the rarest, with one row in some thousand. A tenth as many messages are in quarantine. As many devices were heard of as
records are kept.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from forwarder.api.resources.call import MOST_LOOKED_AT
from forwarder.operator import devices_behind
from forwarder.outbox import Chosen, DeliveryId, OutboxAccess, Selection, opened
from forwarder.outbox.devices import MOST_DEVICES
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.reading import Device
from forwarder.routes import Routes

LIMIT = 101
MOST_MS = 100.0
NO_ROUTES = Routes({}, every_device=(), by_device={}, groups={})
_MIDDLE = f"ECC9FF{MOST_DEVICES // 2:06X}"
ENDPOINTS = 20
DEVICES = 5000
BEGAN_AT = 1763373600.0
SECONDS = 86400.0
"""Over which the readings came in."""

_FILL = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO reading (number, id, device, measured_at, received_at)
SELECT i, randomblob(16), printf('ECC9FF%06X', (i * 7919) % :devices), '2025-11-18T10:17:40Z',
    :began + i * :seconds / :count FROM n
"""
_OWE = """
INSERT INTO delivery (reading, endpoint, device, state, enqueued_at, age_from, attempts, settled_at, reason)
SELECT number, CASE WHEN number % 4001 = 0 THEN :endpoints ELSE 1 + (number * 31) % (:endpoints - 1) END, device,
    CASE WHEN number > :count * 0.97 THEN 'pending' WHEN number % 100 < 5 THEN 'dead'
        WHEN number % 100 < 7 THEN 'expired' ELSE 'delivered' END,
    received_at, received_at, 1,
    CASE WHEN number > :count * 0.97 THEN NULL ELSE received_at + 1 END,
    CASE WHEN number > :count * 0.97 OR number % 100 >= 5 THEN NULL WHEN number % 997 = 0 THEN 'refused'
        ELSE 'exhausted' END
FROM reading
"""
_QUARANTINE = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO quarantine (device, topic, received_at, reason, detail, size, payload)
SELECT printf('ECC9FF%06X', (i * 7919) % :devices), 'ext/a/b', :began + i * :seconds / :count,
    CASE WHEN i % 997 = 0 THEN 'too_large' ELSE 'not_json' END, 'expected JSON', 64, randomblob(64) FROM n
"""


_HEARD = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1)
INSERT INTO device SELECT i, printf('ECC9FF%06X', (i * 7919) % :count), :began, :began + :seconds,
    '2025-11-18T10:17:40Z', 9, X'', NULL, CASE WHEN i % 997 = 0 THEN :began END FROM n
"""


def fill(path: Path, count: int) -> None:
    """An outbox as a busy service leaves it."""
    outbox_file.create(path)
    facts = {
        "count": count, "devices": DEVICES, "endpoints": ENDPOINTS, "began": BEGAN_AT,
        "seconds": SECONDS,
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        names = [(f"endpoint-{number}",) for number in range(1, ENDPOINTS + 1)]
        connection.executemany("INSERT INTO endpoint (name) VALUES (?)", names)
        for statement in (_FILL, _OWE):
            connection.execute(statement, facts)
        connection.execute(_QUARANTINE, facts | {"count": count // 10})
        connection.execute(_HEARD, facts | {"count": MOST_DEVICES})
        connection.commit()


def lists(
    outbox: OutboxAccess, rare: str, device: Device
) -> Iterator[tuple[str, Callable[[], int]]]:
    """What each list is called, and how it is asked for; it tells how many rows it got."""
    until, middle = {"until": BEGAN_AT + 600}, {"since": BEGAN_AT + SECONDS / 2}
    for name, given in {
        "all": {}, "an endpoint": {"endpoint": "endpoint-3"}, "a rare endpoint": {"endpoint": rare},
        "a device": {"device": device}, "no such device": {"device": "ECC9FFFFFFFF"},
        "pending": {"state": "pending"}, "delivered": {"state": "delivered"}, "dead": {"state": "dead"},
        "superseded, none": {"state": "superseded"}, "since the middle": middle, "until 10 minutes": until,
        "10 minutes": {**middle, "until": BEGAN_AT + SECONDS / 2 + 600},
        "a device, 10 minutes": {**middle, "until": BEGAN_AT + SECONDS / 2 + 600, "device": device},
        "a rare endpoint, dead": {"endpoint": rare, "state": "dead"}, "behind the middle": {"after": (500_000, 3)},
    }.items():  # fmt: skip
        yield f"deliveries: {name}", partial(_deliveries, outbox, Selection(**given, limit=LIMIT))
    for name, given in {
        "all": {}, "an endpoint": {"endpoint": "endpoint-3"}, "a rare endpoint": {"endpoint": rare},
        "a device": {"device": device}, "a rare reason": {"reason": "refused"}, "no such reason": {"reason": "expired"},
        "since the middle": middle, "until 10 minutes": until, "behind the middle": {"after": (BEGAN_AT + 43200, 5, 3)},
    }.items():  # fmt: skip
        yield f"dead letters: {name}", partial(_dead, outbox, Selection(**given, limit=LIMIT))
    for name, given in {
        "all": {}, "a device": {"device": device}, "a rare reason": {"reason": "too_large"},
        "no such reason": {"reason": "not_utf8"}, "since the middle": middle, "until 10 minutes": until,
    }.items():  # fmt: skip
        yield f"quarantine: {name}", partial(_messages, outbox, Selection(**given, limit=LIMIT))
    for name in ("all", "silent", "unrouted"):
        yield f"devices: {name}", partial(_devices, outbox, "", name)
        yield f"devices: {name}, behind the middle", partial(_devices, outbox, _MIDDLE, name)


def _devices(outbox: OutboxAccess, behind: str, which: str) -> int:
    """Nobody wants any, so as many as may be are unrouted."""
    is_silent, is_unrouted = which == "silent", which == "unrouted"
    found = devices_behind(
        outbox, NO_ROUTES, behind, limit=LIMIT, silent=is_silent, unrouted=is_unrouted
    )
    return len(found)


def _deliveries(outbox: OutboxAccess, selection: Selection) -> int:
    within = outbox.outlook(selection, most=MOST_LOOKED_AT)
    bounded = replace(selection, readings=(within.lowest, within.highest))
    return _records(outbox, outbox.choose_deliveries(bounded))


def _dead(outbox: OutboxAccess, selection: Selection) -> int:
    return _records(outbox, outbox.choose_dead_letters(selection))


def _records(outbox: OutboxAccess, chosen: Chosen[DeliveryId]) -> int:
    return len([one for keys in chosen.chunks() for one in outbox.records(keys)])


def _messages(outbox: OutboxAccess, selection: Selection) -> int:
    chosen = outbox.choose_quarantined(selection)
    return len([one for keys in chosen.chunks() for one in outbox.quarantined(keys)])


def took_ms(ask: Callable[[], int]) -> tuple[float, float, int]:
    """On the wall and of CPU, and how many rows it got."""
    began, cpu = time.perf_counter(), time.process_time()
    count = ask()
    return (time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.db"
        fill(path, given.deliveries)
        with opened(path, is_read_only=True) as outbox:
            late = 0
            for name, ask in lists(outbox, f"endpoint-{ENDPOINTS}", Device("ECC9FF000001")):
                rounds = [took_ms(ask) for _ in range(given.rounds)]
                wall, cpu, count = min(rounds)
                late += wall > MOST_MS
                print(
                    f"{name:40} {count:4} rows {wall:7.1f} to {max(rounds)[0]:7.1f} ms, CPU {cpu:7.1f}"
                )
            print(f"{late} took longer than {MOST_MS:.0f} ms")


if __name__ == "__main__":
    main()
