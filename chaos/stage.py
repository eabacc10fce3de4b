"""A line of devices, broker, forwarder and receivers, with a way in for faults at each joint."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from support.mosquitto import Mosquitto
from support.ports import free_port
from support.postgres import PostgresServer
from support.receiver import receiving

from chaos.devices import Devices
from chaos.judge import Evidence, Verdict, judge
from chaos.link import Link
from chaos.numbers import Watch
from chaos.oracle import Oracle
from chaos.process import Forwarder, Impatient
from chaos.receiver import OperatorReceiver, Receiver, accepting, number_of, unreliable
from chaos.told import Happened, changes_in, judge_told

USERNAME = "whatwatt.integration.client.partner"
PASSWORD = "broker-password-8f31"  # noqa: S105 - of a broker that lives for seconds
QUICK_RETRY = {"initial": "50ms", "max": "500ms"}
QUEUE = ("max_queued_messages 0",)
"""mosquitto's own limit of 1000 messages for an absent client would lose what is published meanwhile."""
PATIENCE_SECONDS = 300.0
MOST_UNDER_WAY = 8
"""Requests to an endpoint at once (`max_concurrency`)."""
STILL_SECONDS = 120.0
"""Where nothing has moved for so long nothing will: probes come each minute, dead letters are told once a minute."""
TOLD_SECONDS = 40.0
"""After so long all is told that will be."""
_LOOK_SECONDS = 0.1
_COMMAND_SECONDS = 2.0
"""Between two commands that look: each one is a process."""

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended."""

    verdict: Verdict
    redelivered: int
    """Messages that the outbox recognised as ones that it had taken before."""


class Stage:
    """
    One scenario's line. Its receivers stand behind links, and so does the broker, as the forwarder sees it.

    What a scenario injects it notes with `inject`, and with `hit` once it has seen its effect.
    """

    host = "127.0.0.1"
    """Where links listen."""
    device_count = 8
    silent_after = "off"
    """Of every endpoint: in a scenario that publishes nothing for a while all devices would be silent."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: str,
        is_short: bool = False,
        has_persistence: bool = True,
        engine: str = "sqlite",
    ) -> None:
        self.folder = folder
        self._engine = engine
        self._is_short = is_short
        self.dice = random.Random(seed)  # noqa: S311 - to repeat a run
        self.oracle = Oracle(self.device_count)
        self.injected: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()
        self.excused: set[int] = set()
        self.replayed: set[int] = set()
        self.discarded: dict[str, set[int]] = {}
        """Numbers of dead letters that an operator has erased, by endpoint."""
        self.stops = 0
        """How often a process stood still for so long that another one took over."""
        self.has_begun_anew = False
        self.outcome: Outcome | None = None
        self.notes: list[str] = []
        """What the table says beside the figures."""
        users = {USERNAME: PASSWORD, "device": PASSWORD}
        self.broker = Mosquitto(
            folder / "broker",
            users=users,
            persistence=has_persistence,
            settings=QUEUE,
            port=free_port(),
        )
        self.broker_link = Link(self.broker.port, free_port(), self.host)
        self.links: dict[str, Link] = {}
        self.receivers = self._cast()
        self.operator = OperatorReceiver("operator", unreliable(random.Random(self.dice.random())))  # noqa: S311
        self.outages: dict[str, int] | None = None
        """By endpoint, where the scenario makes each of them; else the log says how many there were."""
        self.interruptions = 0
        self.silences: Counter[str] = Counter()
        """How often a device was made silent."""
        self.may_tell: set[str] = set()
        """Types of operator events that the scenario may bring about besides."""
        self.clocks_step = False
        self._watch: Watch | None = None
        """Compares what page, status and metrics tell, from the beginning on."""
        self._devices: Devices | None = None
        self._forwarder: Forwarder | None = None
        self._outbox: dict[str, str] = {}
        """Settings that say where the outbox is, where it is no file in the forwarder's folder."""

    def _cast(self) -> dict[str, Receiver]:
        batch = {"batch": {"max_events": 20, "max_wait": "50ms"}}
        cast = [
            Receiver("acme", unreliable(random.Random(self.dice.random()))),  # noqa: S311
            Receiver("steady", accepting),
            Receiver("bulk", unreliable(random.Random(self.dice.random())), batch),  # noqa: S311
            Receiver("home", accepting, {"mode": "latest"}),
        ]
        return {receiver.name: receiver for receiver in cast}

    @property
    def devices(self) -> Devices:
        if self._devices is None:
            raise RuntimeError("the stage is not set")
        return self._devices

    @property
    def forwarder(self) -> Forwarder:
        if self._forwarder is None:
            raise RuntimeError("the stage is not set")
        return self._forwarder

    @property
    def forwarders(self) -> Sequence[Forwarder]:
        """Every one that works on the outbox."""
        return [self.forwarder]

    def rounds(self, *, short: int, full: int) -> int:
        """How often to do something, in the short form and in the full one."""
        return short if self._is_short else full

    def some_of(self, choices: Sequence[T], *, short: int) -> Sequence[T]:
        """In the short form so many of them, drawn by the dice; in the full one all."""
        return self.dice.sample(choices, short) if self._is_short else choices

    async def pause(self, seconds: float) -> None:
        """Let the line run; how long is part of the fault, and nothing is waited for."""
        await asyncio.sleep(seconds)

    def inject(self, fault: str) -> None:
        self.injected[fault] += 1

    def hit(self, fault: str) -> None:
        """The fault was seen to have had its effect."""
        self.hits[fault] += 1

    def struck(self, fault: str) -> None:
        """A fault whose injection is its effect."""
        self.inject(fault)
        self.hit(fault)

    @asynccontextmanager
    async def set(self) -> AsyncIterator[None]:
        """Everything but the forwarder runs inside the block; it is ready to be started."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self.broker)
            if self._engine == "postgresql":
                await self._enter_database(stack)
            await stack.enter_async_context(self.broker_link)
            for receiver in (*self.receivers.values(), self.operator):
                listener = await stack.enter_async_context(receiving(receiver.serve))
                link = self.links[receiver.name] = Link(listener.port, free_port(), self.host)
                await stack.enter_async_context(link)
            self._devices = stack.enter_context(self._new_devices())
            for forwarder in self._enter_forwarders():
                stack.push_async_callback(forwarder.close)
            # Replicas tell in /metrics what is their own, each for itself.
            if len(self.forwarders) == 1:
                self._watch = Watch(self.forwarder)
                stack.callback(asyncio.create_task(self._watch.keep_looking()).cancel)
            self.write_routes()
            yield

    async def _enter_database(self, stack: AsyncExitStack) -> None:
        """Start the database that the outbox is in."""
        server = await asyncio.to_thread(stack.enter_context, PostgresServer(fsync="on"))
        self._outbox = {"FORWARDER_OUTBOX_URL": server.url()}

    def _enter_forwarders(self) -> Sequence[Forwarder]:
        self._forwarder = self._new_forwarder(free_port())
        return [self._forwarder]

    def _new_devices(self) -> Devices:
        return Devices(self.oracle, port=self.broker.port, username="device", password=PASSWORD)

    def _new_forwarder(self, port: int) -> Forwarder:
        settings = {
            "FORWARDER_MQTT_URI": f"mqtt://{self.host}:{self.broker_link.port}",
            "FORWARDER_MQTT_USERNAME": USERNAME,
            "FORWARDER_MQTT_PASSWORD": PASSWORD,
            **self._outbox,
        }
        return Forwarder(self.folder, port=port, settings=settings)

    def another_forwarder(self) -> Forwarder:
        """A second one on the same folder and broker."""
        return self._new_forwarder(free_port())

    def write_routes(self, **changes: Any) -> None:
        """Write routes.yaml; `changes` are settings for every endpoint."""
        endpoints = {
            receiver.name: {
                "url": f"http://{self.host}:{self.links[receiver.name].port}/hook",
                "secret": receiver.secret,
                "devices": "*",
                "allow_http": True,
                "allow_private": True,
                "retry": QUICK_RETRY,
                "max_age": "14d",
                "silent_after": self.silent_after,
                **receiver.settings,
                **changes,
            }
            for receiver in self.receivers.values()
            if receiver.is_routed
        }
        draft = self.folder / "routes.yaml.draft"
        operator = {
            "url": f"http://{self.host}:{self.links['operator'].port}/hook",
            "secret": self.operator.secret,
            "allow_http": True,
            "allow_private": True,
            "retry": QUICK_RETRY,
            "max_age": "14d",
        }
        draft.write_text(yaml.safe_dump({"endpoints": endpoints, "operator": operator}))
        draft.rename(self.folder / "routes.yaml")

    async def subscribe_once(self) -> None:
        """Have the broker know the forwarder's session, with nobody in it."""
        await self.forwarder.start_ready()
        await self.forwarder.stop()

    async def until(self, condition: Callable[[], object], *, what: str) -> None:
        """Return once `condition` holds of what the suite itself sees."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition():
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            tail = self.forwarder.complaints[-300:]
            raise Impatient(
                f"{what} did not happen within {PATIENCE_SECONDS:.0f} s;"
                f" running: {self.forwarder.is_running}, stderr {tail!r}"
            ) from None

    async def until_taken(self, count: int, *, by: str = "steady") -> None:
        """Return once a receiver has accepted so many different readings."""
        receiver = self.receivers[by]
        await self.until(lambda: len(receiver.accepted) >= count, what=f"{count} readings at {by}")

    async def until_told(self, kind: str, count: int) -> None:
        """Return once the operator has been told so many events of this kind."""
        await self.until(lambda: self.operator.count(kind) >= count, what=f"{count} {kind}")

    async def heal(self) -> list[str]:
        """End every fault, have a fresh reading of each device published, and wait until all has settled."""
        findings = []
        for link in (self.broker_link, *self.links.values()):
            await link.heal()
        for receiver in (*self.receivers.values(), self.operator):
            receiver.policy = accepting
        await self._all_ready()
        await self.devices.publish_and_wait(self.oracle.size)
        if not await self._comes_true(self._has_settled):
            findings.append("not everything has settled after the healing")
        return findings

    async def _all_ready(self) -> None:
        """Have everyone run who is to, and wait until messages are taken."""
        if not self.forwarder.is_running:
            await self.forwarder.start()
        await self.forwarder.ready()

    async def _comes_true(self, condition: Callable[[dict[str, Any]], object]) -> bool:
        """Wait until it holds of a status; False where that takes too long, or nothing moves any more."""
        seen, moved_at = "", time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition(status := await self.forwarder.status()):
                    if (stands := self._stands(status)) != seen:
                        seen, moved_at = stands, time.monotonic()
                    elif time.monotonic() - moved_at > STILL_SECONDS:
                        return False
                    await asyncio.sleep(_COMMAND_SECONDS)
                return True
        return False

    def _stands(self, status: Mapping[str, Any]) -> str:
        """What changes as long as something moves."""
        counts = {
            name: [one[what] for what in ("enqueued", "pending", "delivered", "dead_letters")]
            for name, one in status["endpoints"].items()
        }
        came = [len(one.accepted) for one in self.receivers.values()]
        return f"{counts} {came} {len(self.operator.told)}"

    def _has_settled(self, status: Mapping[str, Any]) -> bool:
        fresh = set(sorted(self.oracle.issued)[-self.oracle.size :])
        every = [one for one in self.receivers.values() if not one.only_latest]
        if not all(fresh <= one.accepted.keys() for one in every):
            return False
        # An outbox that was begun anew does not know what was told from the old one.
        if self.operator.open_outages and not self.has_begun_anew:
            return False
        return not any(endpoint["pending"] for endpoint in status["endpoints"].values())

    async def until_status(self, condition: Callable[[dict[str, Any]], object]) -> None:
        """Return once `condition` holds of what `status --json` says."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition(await self.forwarder.status()):
                    await asyncio.sleep(_COMMAND_SECONDS)
        except TimeoutError:
            raise Impatient("the awaited status was never reached") from None

    async def finish(self) -> None:
        """
        Heal everything, judge what has happened, and stop the forwarder: once, the first time that it is called.

        A scenario whose outbox lies on a disk of its own calls it before that is gone.
        """
        if self.outcome is not None:
            return
        findings = await self.heal()
        await self._until_told_right()
        findings += await self._until_operator_accounts_hold()
        findings += await self._differing_numbers()
        verdict, status = await self._judged()
        verdict.findings[:0] = findings
        for forwarder in self.forwarders:
            if code := await forwarder.stop():
                verdict.findings.append(f"the forwarder ended with {code}")
            if "Traceback" in forwarder.complaints:
                verdict.findings.append("a traceback on stderr")
        self.outcome = Outcome(verdict, redelivered=status["messages"]["duplicate"])

    async def _until_told_right(self) -> None:
        """A replica that leads sees others' endpoints every 10 s, and what it tells of them ends 10 s after that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TOLD_SECONDS):
                while self._judged_told((await self.forwarder.status())["endpoints"]):
                    await asyncio.sleep(_COMMAND_SECONDS)

    async def _until_operator_accounts_hold(self) -> list[str]:
        """
        Wait until as many operator events have come as were enqueued; say so where they never do.

        The outbox is asked and the receiver counted at different moments, and a death is told up to a minute later.
        """
        if self.has_begun_anew:
            return []
        enqueued = 0

        def agree(status: dict[str, Any]) -> bool:
            nonlocal enqueued
            enqueued = status["endpoints"].get("operator", {}).get("enqueued", 0)
            return bool(enqueued == len(self.operator.told))

        if await self._comes_true(agree):
            return []
        return [f"operator: {enqueued} events were enqueued, and {len(self.operator.told)} came"]

    async def _differing_numbers(self) -> list[str]:
        """What page, status and metrics told otherwise from each other, up to a last look, now that all is quiet."""
        if self._watch is None:
            return []
        try:
            compared = {name for name, _ in await self._watch.look()}
        except httpx.HTTPError as error:
            return [f"page, status or metrics did not answer: {error!r}"]
        routed = {one.name for one in self.receivers.values() if one.is_routed}
        missed = [f"the page's numbers of {name} were not compared" for name in routed - compared]
        return [*self._watch.findings, *missed]

    async def _judged(self) -> tuple[Verdict, dict[str, Any]]:
        status = await self.forwarder.status()
        dead = {name: {*self.discarded.get(name, ())} for name in (*self.receivers, "operator")}
        for letter in await self.forwarder.dead_letters():
            dead[letter["endpoint"]].add(number_of(letter["data"]))
        evidence = Evidence(
            endpoints=status["endpoints"],
            dead=dead,
            excused=self.excused,
            replayed=self.replayed,
            strays=self.stops * MOST_UNDER_WAY,
            has_begun_anew=self.has_begun_anew,
        )
        verdict = judge(self.oracle, list(self.receivers.values()), evidence)
        if verdict.strays:
            self.notes.append(f"strays of replicas that stood still: {verdict.strays}")
        verdict.findings += self._judged_told(status["endpoints"])
        return verdict, status

    def _judged_told(self, endpoints: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """What is wrong with what the operator was told."""
        lines = [line for one in self.forwarders for line in one.log_lines()]
        lines.sort(key=itemgetter("timestamp"))
        happened = Happened(
            changes=changes_in(lines),
            kills=sum(one.starts - 1 for one in self.forwarders),
            dead={name: self._deaths(name, totals) for name, totals in endpoints.items()},
            sessions_lost=sum(line.get("event") == "mqtt.session_lost" for line in lines),
            outages=self.outages,
            interruptions=self.interruptions,
            silences=self.silences,
            also=self.may_tell,
            is_in_order=not (self.clocks_step or self.has_begun_anew),
        )
        operator = self.operator
        findings = [*judge_told(list(operator.told.values()), happened)]
        if operator.forged or operator.changed:
            findings.append(f"operator: not to be believed: {operator.forged + operator.changed}")
        return findings

    def _deaths(self, name: str, totals: Mapping[str, Any]) -> int:
        return int(totals["dead"]) + len(self.replayed) + len(self.discarded.get(name, ()))
