"""The long run itself: faults, edits and commands side by side; the process is never restarted."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, TypeAlias

from chaos.endurance.entries import Sample, Span
from chaos.endurance.form import Form
from chaos.endurance.line import LongStage
from chaos.endurance.look import file_facts, process_facts, scrape
from chaos.endurance.record import Record
from chaos.process import Finished, Impatient
from chaos.receiver import Policy, down, number_of, resetting

NONSENSE_EVERY_SECONDS = 3.0
EDIT_PATIENCE_SECONDS = 30.0
LEAST_LOAD = 0.5
"""Of the readings that were to flow: with fewer a leak with each of them would stay below its bound."""
EDIT = "edit of routes.yaml"
CUT = "network cut to the broker"
OPERATOR = "dead letters replayed and discarded"
RECEIVER_FAULTS = (
    ("acme", "answers 503"),
    ("bulk", "answers 503"),
    ("steady", "resets"),
    ("picky", "is cut off"),
    ("steady", "goes half-open"),
)
POLICIES = {"answers 503": down, "resets": resetting}

Letter: TypeAlias = dict[str, Any]
"""A line of `dead-letters export`."""


@dataclass
class Run:
    """One long run on its way."""

    stage: LongStage
    form: Form
    rate: float
    record: Record
    began_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a network or a receiver fails: without readings nobody would meet a failing receiver."""
    nonsense: int = 0
    """Messages published that are no reading."""

    @property
    def seconds(self) -> float:
        """Since it began."""
        return asyncio.get_running_loop().time() - self.began_at

    @property
    def left(self) -> float:
        return 60 * self.form.minutes - self.seconds

    @contextmanager
    def lasting(self, what: str) -> Iterator[None]:
        """Inject a fault, and note from when until when it was on."""
        self.stage.inject(what)
        begun = self.seconds
        try:
            yield
        finally:
            self.record.note(Span(what, round(begun, 1), round(self.seconds, 1)))

    async def every(self, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        """Do it again and again, at the earliest so long after it was begun before, while there is time for it."""
        await asyncio.sleep(seconds / 2)
        while self.left > seconds:
            begun = self.seconds
            await job()
            await asyncio.sleep(max(0.0, begun + seconds - self.seconds))


async def endure(stage: LongStage, *, form: Form, rate: float, record: Record) -> None:
    """Everything side by side; at the end every endpoint is in routes.yaml again, for the judge."""
    stage.forwarder.settings["FORWARDER_KEEP_DELIVERED"] = form.keep_delivered
    await stage.forwarder.start_ready()
    run = Run(stage, form, rate, record)
    stage.inject("retention")
    editor = Editor(run)
    try:
        async with stage.devices.flowing(per_second=rate), asyncio.TaskGroup() as group:
            for seconds, job in (
                (form.receiver_every, FailingReceivers(run).fail_next),
                (form.edit_every, editor.edit),
                (form.operate_every, Operator(run).operate),
                (form.cut_every, Cutter(run).cut),
                (NONSENSE_EVERY_SECONDS, Babbler(run).babble),
                (form.sample_every, Sampler(run).sample),
            ):
                group.create_task(run.every(seconds, job))
    except ExceptionGroup as several:
        # What went wrong first has ended all the others.
        raise several.exceptions[0] from None
    await editor.bring_back_all()
    await _look_back(run)


async def _look_back(run: Run) -> None:
    """Whether what had to happen has: circuits opened and closed, rows were forgotten, nonsense was kept."""
    stage = run.stage
    for event in ("endpoint.opened", "endpoint.recovered"):
        stage.inject(event)
        if stage.forwarder.count_logged(event):
            stage.hit(event)
    rows = _count_readings(run)
    stage.notes.append(f"{rows} of {len(stage.oracle.issued)} readings still in the outbox")
    if rows < len(stage.oracle.issued) / 2:
        stage.hit("retention")
    stage.inject("load")
    if len(stage.oracle.issued) >= LEAST_LOAD * run.rate * run.form.minutes * 60:
        stage.hit("load")
    quarantined = (await stage.forwarder.status())["messages"].get("quarantined", 0)
    if not stage.replayed or not stage.discarded:
        raise Impatient("there were no dead letters to send again, or none to erase")
    if quarantined < run.nonsense:
        raise Impatient(f"{run.nonsense} messages were no reading, and {quarantined} were kept")


def _count_readings(run: Run) -> int:
    with closing(sqlite3.connect(f"file:{run.stage.forwarder.outbox}?mode=ro", uri=True)) as rows:
        [(count,)] = rows.execute("SELECT count(*) FROM reading")
    return int(count)


class Sampler:
    """Looks at the process from outside."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def sample(self) -> None:
        run, forwarder = self._run, self._run.stage.forwarder
        at, process = round(run.seconds, 1), process_facts(forwarder.process_id)
        told = await scrape(forwarder.address)
        run.record.note(Sample(at, **process, **file_facts(forwarder.outbox), **told.facts))
        run.record.keep_metrics(at, told.text)


class FailingReceivers:
    """One receiver after the other fails for a while, each in its way; then it takes what has come up."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._faults = cycle(RECEIVER_FAULTS)

    async def fail_next(self) -> None:
        name, how = next(self._faults)
        fault = f"{name} {how}"
        async with self._run.turn:
            with self._run.lasting(fault):
                has_struck = await self._fail(name, how)
        if has_struck:
            self._run.stage.hit(fault)

    async def _fail(self, name: str, how: str) -> bool:
        if how in POLICIES:
            return await self._answer(name, POLICIES[how])
        return await self._disconnect(name, is_told=how == "is cut off")

    async def _answer(self, name: str, policy: Policy) -> bool:
        receiver = self._run.stage.receivers[name]
        posts, usual, receiver.policy = len(receiver.posts), receiver.policy, policy
        await asyncio.sleep(self._run.form.receiver_for)
        receiver.policy = usual
        return len(receiver.posts) > posts

    async def _disconnect(self, name: str, *, is_told: bool) -> bool:
        link = self._run.stage.links[name]
        link.harmed = 0
        await (link.cut() if is_told else link.stall())
        await asyncio.sleep(self._run.form.receiver_for)
        await link.heal()
        return link.harmed > 0


class Cutter:
    """Cuts the network to the broker for a moment."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def cut(self) -> None:
        stage = self._run.stage
        stage.broker_link.harmed = 0
        async with self._run.turn:
            with self._run.lasting(CUT):
                await stage.broker_link.cut()
                await asyncio.sleep(stage.dice.uniform(0.0, 2.0))
                await stage.broker_link.heal()
                await stage.forwarder.ready()
        if stage.broker_link.harmed:
            stage.hit(CUT)


class Editor:
    """Edits routes.yaml: endpoints go and come back under their names, settings change, now and then it is nonsense."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._edits = 0

    async def edit(self) -> None:
        stage = self._run.stage
        self._edits += 1
        with self._run.lasting(EDIT):
            if self._edits % 7 == 0:
                await self._until("rejected", self._spoil)
            guest = stage.dice.choice(stage.guests)
            guest.is_routed = not guest.is_routed
            await self._until("applied", self._write)
        stage.hit(EDIT)

    async def bring_back_all(self) -> None:
        self._edits += 1
        for guest in self._run.stage.guests:
            guest.is_routed = True
        await self._until("applied", self._write)

    def _write(self) -> None:
        """Something changes for everybody, too."""
        self._run.stage.write_routes(timeout=f"{2000 + self._edits}ms")

    def _spoil(self) -> None:
        draft = self._run.stage.folder / "routes.yaml.draft"
        draft.write_text("endpoints: {guest-1: {url: nonsense}}\n")
        draft.rename(self._run.stage.folder / "routes.yaml")

    async def _until(self, outcome: str, change: Callable[[], None]) -> None:
        before = await self._count(outcome)
        change()
        try:
            async with asyncio.timeout(EDIT_PATIENCE_SECONDS):
                while await self._count(outcome) == before:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise Impatient(f"an edit of routes.yaml was not {outcome}") from None

    async def _count(self, outcome: str) -> int:
        told = await scrape(self._run.stage.forwarder.address)
        return told.total("forwarder_routes_reloads_total", outcome=outcome)


class Operator:
    """Has half of the dead letters sent again and erases the other half; empties the quarantine."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def operate(self) -> None:
        stage = self._run.stage
        with self._run.lasting(OPERATOR):
            letters = await stage.forwarder.dead_letters()
            # A guest that stays away for ten minutes leaves letters that nobody takes.
            guests = {guest.name for guest in stage.guests}
            lost = [letter for letter in letters if letter["endpoint"] in guests]
            refused = [letter for letter in letters if letter["endpoint"] not in guests]
            await self._replay(refused[::2])
            await self._discard([*refused[1::2], *lost])
            await self._command("quarantine", "discard", "--all", "--yes")
        stage.hit(OPERATOR)

    async def _replay(self, letters: list[Letter]) -> None:
        stage = self._run.stage
        for letter in letters:
            endpoint, number = _addressed(letter)
            stage.replayed.add(number)
            stage.forgiven[endpoint].add(number)
        await self._each_endpoint("replay", letters)

    async def _discard(self, letters: list[Letter]) -> None:
        for letter in letters:
            endpoint, number = _addressed(letter)
            self._run.stage.discarded.setdefault(endpoint, set()).add(number)
        await self._each_endpoint("discard", letters)

    async def _each_endpoint(self, command: str, letters: list[Letter]) -> None:
        """An id means a reading at every endpoint where it died."""
        for name in dict.fromkeys(letter["endpoint"] for letter in letters):
            ids = [letter["id"] for letter in letters if letter["endpoint"] == name]
            await self._command("dead-letters", command, *ids, "--endpoint", name)

    async def _command(self, *arguments: str) -> Finished:
        finished = await self._run.stage.forwarder.command(*arguments)
        if finished.exit_code:
            raise Impatient(f"{arguments[:2]} failed: {finished.stderr}")
        return finished


def _addressed(letter: Letter) -> tuple[str, int]:
    """Its endpoint, and the oracle's number of its reading."""
    return letter["endpoint"], number_of(letter["data"])


class Babbler:
    """Publishes what is no reading."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def babble(self) -> None:
        run = self._run
        run.nonsense += 1
        device = run.stage.oracle.devices[run.nonsense % run.stage.oracle.size]
        run.stage.devices.publish_nonsense(device, f"no reading, {run.nonsense}".encode())
