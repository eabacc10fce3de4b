"""The demo's story, act by act, from the first reading to the verdict."""

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from forwarder.clock import Clock
from forwarder.demo.ledger import Account, Ledger, account
from forwarder.demo.listener import Received, always
from forwarder.demo.process import ForwarderProcess
from forwarder.demo.progress import Progress
from forwarder.demo.publisher import Publisher, topic_for
from forwarder.demo.scene import TOPIC, Recipient, Scene
from forwarder.demo.simulator import simulate
from forwarder.errors import OperationError

_OUTAGE, _RECOVERY, _REFUSAL, _REPLAY = 0.2, 0.45, 0.62, 0.8
"""The beginnings of the acts, as shares of the whole time."""

_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of the demo."""

    published: int
    accounts: tuple[Account, ...]
    replayed: str | None
    """The id of the reading that was a dead letter, if its replay arrived."""
    problems: tuple[str, ...]
    """A sentence for each problem; none when every reading arrived, verified and in order."""


class RefuseOne:
    """Answers 400 to the first reading that comes, however often, and 204 to all others."""

    def __init__(self) -> None:
        self.refused: Received | None = None

    def __call__(self, received: Received) -> int:
        if self.refused is None:
            self.refused = received
        return 400 if received.webhook_id == self.refused.webhook_id else 204


class Story:
    """Plays the story on a scene whose listeners, broker and forwarder run."""

    def __init__(
        self,
        scene: Scene,
        progress: Progress,
        *,
        forwarder: ForwarderProcess,
        publisher: Publisher,
        interval_seconds: float,
        clock: Clock,
    ) -> None:
        self.ledger = Ledger()
        self._scene = scene
        self._progress = progress
        self._forwarder = forwarder
        self._publisher = publisher
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._replayed: str | None = None
        self._totals: Mapping[str, Mapping[str, Any]] = {}

    async def play(self) -> Verdict:
        """
        Play the whole story. It ends when everything has arrived, or when it plainly will not.

        Raises OperationError when the forwarder ends in the middle, or one of its commands fails.
        """
        self._progress.start()
        helpers = [
            asyncio.create_task(self._publish()),
            asyncio.create_task(self._watch_backlog()),
        ]
        try:
            await self._unless_forwarder_ends(self._acts(helpers[0]))
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        return self._verdict()

    async def _unless_forwarder_ends(self, acts: Coroutine[Any, Any, None]) -> None:
        playing = asyncio.create_task(acts)
        ended = asyncio.create_task(self._forwarder.until_ended())
        try:
            await asyncio.wait((playing, ended), return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                raise OperationError(
                    f"the forwarder ended with exit code {ended.result()} in the middle of the demo"
                )
            playing.result()
        finally:
            playing.cancel()
            ended.cancel()
            await asyncio.gather(playing, ended, return_exceptions=True)

    async def _acts(self, publishing: "asyncio.Task[None]") -> None:
        progress, acme = self._progress, self._scene.acme.listener
        progress.begin("flow")
        await self._until(_OUTAGE)
        progress.begin("outage")
        acme.answer = always(503)
        await self._until(_RECOVERY)
        progress.begin("recovery")
        acme.answer = always(204)
        await self._until(_REFUSAL)
        progress.begin("refusal")
        dead_letter = await self._make_dead_letter()
        await self._until(_REPLAY)
        progress.begin("replay")
        await self._replay(dead_letter)
        await self._until(1.0)
        progress.begin("drain")
        publishing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await publishing
        await self._drain()
        progress.finish()

    async def _publish(self) -> None:
        publications = simulate(
            self._scene.fleet,
            topic_of=lambda device: topic_for(TOPIC, device),
            publish=self._publisher.publish,
            interval_seconds=self._interval_seconds,
            clock=self._clock,
        )
        async for publication in publications:
            self.ledger.enter(publication)

    async def _watch_backlog(self) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                backlog = await self._forwarder.backlog()
                self._progress.pending, self._progress.dead = backlog
            await asyncio.sleep(_POLL_SECONDS)

    async def _make_dead_letter(self) -> dict[str, Any]:
        archive, rule = self._scene.archive.listener, RefuseOne()
        archive.answer = rule
        await archive.until(lambda: rule.refused is not None, timeout_seconds=_PATIENCE_SECONDS)
        dead_letter = await self._listed_dead_letter()
        self._progress.remark(
            f"$ forwarder dead-letters list: {dead_letter['device']} {dead_letter['reason']} "
            f"({dead_letter['last_status']}), {_short(dead_letter)}…"
        )
        return dead_letter

    async def _listed_dead_letter(self) -> dict[str, Any]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    listed = json.loads(
                        await self._forwarder.command("dead-letters", "list", "--json")
                    )
                    if listed:
                        return dict(listed[0])
                    await asyncio.sleep(_POLL_SECONDS)
        raise OperationError("the refused reading did not become a dead letter")

    async def _replay(self, dead_letter: dict[str, Any]) -> None:
        archive, reading_id = self._scene.archive.listener, str(dead_letter["webhook_id"])
        archive.answer = always(204)
        await self._forwarder.command("dead-letters", "replay", _short(dead_letter))
        with contextlib.suppress(TimeoutError):
            await archive.until(
                lambda: reading_id in archive.accepted, timeout_seconds=_PATIENCE_SECONDS
            )
            self._replayed = reading_id
            self._progress.remark(
                f"$ forwarder dead-letters replay {_short(dead_letter)}: arrived, id unchanged"
            )

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._publisher.drain()
                for recipient in self._scene.recipients:
                    await self._until_complete(recipient)
                while not self._is_settled():
                    self._totals = json.loads(await self._forwarder.command("status", "--json"))[
                        "endpoints"
                    ]

    async def _until_complete(self, recipient: Recipient) -> None:
        await recipient.listener.until(
            lambda: self.ledger.is_complete_for(recipient), timeout_seconds=_PATIENCE_SECONDS
        )

    def _is_settled(self) -> bool:
        return bool(self._totals) and not any(total["pending"] for total in self._totals.values())

    async def _until(self, share: float) -> None:
        due = share * self._progress.seconds
        await self._clock.sleep(max(due - self._progress.elapsed_seconds, 0.0))

    def _verdict(self) -> Verdict:
        replayed = frozenset([self._replayed] if self._replayed else [])
        accounts = tuple(
            account(self.ledger, recipient, replayed=replayed)
            for recipient in self._scene.recipients
        )
        problems = [f"{one.name}: {problem}" for one in accounts for problem in one.problems]
        problems.extend(
            f"{name}: the forwarder itself counts {total['pending']} pending and {total['dead']} dead"
            for name, total in self._totals.items()
            if total["pending"] or total["dead"]
        )
        if self._replayed is None:
            problems.append("the replayed dead letter did not arrive")
        return Verdict(
            published=len(self.ledger.publications),
            accounts=accounts,
            replayed=self._replayed,
            problems=tuple(problems),
        )


def _short(dead_letter: dict[str, Any]) -> str:
    """The beginning of a reading's id, because a whole id does not fit beside its command."""
    return str(dead_letter["id"])[: len("msg_") + 8]
