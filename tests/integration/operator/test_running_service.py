"""Commands that change the outbox of a running service are noticed by it."""

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable

from support.outbox import claim, flush, ids, must_claim, settle, totals
from support.outbox_builder import BERN, NOW, OutboxBuilder
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.delivery import Bury
from forwarder.operator import (
    choose_dead_letters,
    discard,
    replay,
    replay_to,
)
from forwarder.outbox import (
    Outbox,
    Pause,
    Resume,
    Selection,
    is_running,
    opened,
)
from forwarder.outbox.sqlite.file import DirectoryLock

PATIENCE_SECONDS = 10.0


async def _noticed(outbox: Outbox, command: Callable[[], object]) -> None:
    """Run a command as another process would; return once the service has taken over what it changed."""
    noticed = asyncio.Event()
    outbox.on_foreign_change = noticed.set
    await asyncio.to_thread(command)
    await asyncio.wait_for(noticed.wait(), PATIENCE_SECONDS)


def _replay(built: OutboxBuilder, to: str | None = None) -> None:
    with opened(built.path) as file:
        chosen = choose_dead_letters(file, Selection())
        if to is None:
            replay(file, chosen, now=NOW)
        else:
            replay_to(file, chosen, endpoint=to, now=NOW)


async def _bury_first(outbox: Outbox) -> None:
    """Three readings come in, the first of which is refused."""
    await outbox.put([new_reading(BERN, payload) for payload in ("a", "b", "c")])
    settle(outbox, await must_claim(outbox), Bury("refused"), error="http_400")
    await flush(outbox)


async def test_replayed_reading_goes_to_the_head_of_its_lane(
    built: OutboxBuilder, harness: OutboxHarness
) -> None:
    """A replay is claimed before what is pending of that device, although memory held that already."""
    outbox = harness.open()
    await _bury_first(outbox)

    await _noticed(outbox, lambda: _replay(built))

    for expected in ("a", "b", "c"):
        claimed = await must_claim(outbox)
        assert ids(claimed) == [expected]
        settle(outbox, claimed)
        await flush(outbox)
    assert built.accounts("acme")["delivered"] == 3


async def test_replay_while_another_is_in_flight(
    built: OutboxBuilder, harness: OutboxHarness
) -> None:
    """One of a device at a time: what is replayed waits for what is in flight, and nothing is counted twice."""
    outbox = harness.open()
    await _bury_first(outbox)
    in_flight = await must_claim(outbox)

    await _noticed(outbox, lambda: _replay(built))
    assert await claim(outbox) is None
    settle(outbox, in_flight)
    await flush(outbox)

    assert ids(await must_claim(outbox)) == ["a"]
    assert (await totals(outbox)).pending == 2


async def test_replay_to_an_endpoint_without_lanes(
    built: OutboxBuilder, harness: OutboxHarness
) -> None:
    """An endpoint that never had a delivery gets its first by a replay."""
    outbox = harness.open()
    await _bury_first(outbox)

    await _noticed(outbox, lambda: _replay(built, to="archive"))

    assert ids(await must_claim(outbox, "archive")) == ["a"]


async def test_discard_disturbs_nobody(built: OutboxBuilder, harness: OutboxHarness) -> None:
    """What is pending goes on as it was."""
    outbox = harness.open()
    await _bury_first(outbox)

    def command() -> None:
        with opened(built.path) as file:
            discard(file, choose_dead_letters(file, Selection()))

    await _noticed(outbox, command)

    assert ids(await must_claim(outbox)) == ["b"]


async def test_pause_and_resume_reach_the_service(
    built: OutboxBuilder, harness: OutboxHarness
) -> None:
    """The service is told of a change that concerns no lane as well."""
    outbox = harness.open()
    await _bury_first(outbox)

    def run(command: Pause | Resume) -> None:
        with opened(built.path) as file:
            file.operate(command)

    await _noticed(outbox, lambda: run(Pause("acme")))
    assert outbox.accounts.overview().endpoints[0].health.paused_by == "operator"
    await _noticed(outbox, lambda: run(Resume("acme")))
    assert outbox.accounts.overview().endpoints[0].health.paused_by is None


async def test_long_replay_lets_the_service_commit(
    built: OutboxBuilder, harness: OutboxHarness
) -> None:
    """While thousands are replayed, what comes in is still made durable in between."""
    built.dead_letters(5000, "acme")
    outbox = harness.open()
    replaying = asyncio.create_task(asyncio.to_thread(_replay, built))

    commits = 0
    while not replaying.done():
        await outbox.put([new_reading(BERN, f"during {commits}")])
        commits += 1
    await replaying

    assert commits > 5
    assert built.accounts("acme")["pending"] == 5000 + commits


async def test_running_service_is_recognised(built: OutboxBuilder, harness: OutboxHarness) -> None:
    """The directory's lock tells whether a service runs, without getting in its way."""
    assert is_running(built.path)


def test_stopped_service_is_recognised(built: OutboxBuilder) -> None:
    """Where none ever ran, no lock is left behind by looking."""
    assert not is_running(built.path)
    assert [path.name for path in built.path.parent.glob("*.lock")] == []


def test_looking_does_not_keep_a_service_from_starting(built: OutboxBuilder) -> None:
    """A service that starts while a command looks whether one runs gets its lock all the same."""
    DirectoryLock(built.path).release()
    looker = os.open(built.path.parent / "forwarder.lock", os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    letting_go = threading.Timer(0.03, os.close, [looker])
    letting_go.start()

    lock = DirectoryLock(built.path)

    letting_go.join()
    lock.release()
