"""Scenarios one after the other, each on a stage of its own, and the table that they come to."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.disk import NotPermitted
from chaos.judge import Verdict
from chaos.scenarios import Scenario
from chaos.stage import Stage


@dataclass(frozen=True)
class Result:
    """What one scenario came to."""

    scenario: str
    what: str
    seconds: float
    issued: int = 0
    owed: int = 0
    injected: int = 0
    hit: int = 0
    retries: int = 0
    redelivered: int = 0
    excused: int = 0
    """Owed, and not counted as lost: the scenario says why."""
    verdict: Verdict = field(default_factory=Verdict)
    findings: tuple[str, ...] = ()
    """Everything that is wrong; none where all is well, and for a control."""
    is_control: bool = False
    """Meant to lose, and left out of the sum."""
    skipped: str | None = None
    """Why it could not be played here."""
    notes: tuple[str, ...] = ()


async def play(
    scenario: Scenario, folder: Path, *, seed: str, is_short: bool = False, engine: str = "sqlite"
) -> Result:
    """Play one scenario in `folder`, heal, and judge; no failure of it is raised."""
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    stage = scenario.stage(
        folder,
        seed=seed,
        is_short=is_short,
        has_persistence=scenario.has_persistence,
        engine=engine,
    )
    stage.may_tell |= {*scenario.may_tell}
    failure: list[str] = []
    try:
        async with stage.set():
            await scenario.play(stage)
            await stage.devices.all_taken()
            await stage.finish()
    except NotPermitted as reason:
        return Result(scenario.name, scenario.what, 0.0, skipped=str(reason))
    except (AssertionError, TimeoutError) as error:
        failure = [f"{type(error).__name__}: {error}"]
    return _result(scenario, stage, failure, time.monotonic() - started)


def _result(scenario: Scenario, stage: Stage, failure: list[str], seconds: float) -> Result:
    verdict = stage.outcome.verdict if stage.outcome else Verdict()
    retries = sum(receiver.retries for receiver in stage.receivers.values())
    redelivered = stage.outcome.redelivered if stage.outcome else 0
    findings = [*failure, *_judged(scenario, verdict)]
    if stage.outcome:
        findings += _too_quiet(scenario, stage, retries=retries, redelivered=redelivered)
    return Result(
        scenario.name,
        scenario.what,
        seconds,
        issued=len(stage.oracle.issued),
        owed=len(stage.oracle.owed),
        injected=stage.injected.total(),
        hit=stage.hits.total(),
        retries=retries,
        redelivered=redelivered,
        excused=len(stage.excused),
        verdict=verdict,
        findings=tuple(findings),
        is_control=scenario.must_lose,
        notes=tuple(stage.notes),
    )


def _judged(scenario: Scenario, verdict: Verdict) -> list[str]:
    if not scenario.must_lose:
        return verdict.findings
    return (
        [] if verdict.lost else ["the control lost nothing: the fault does not do what it should"]
    )


def _too_quiet(
    scenario: Scenario, stage: Stage, *, retries: int, redelivered: int
) -> Iterator[str]:
    for fault, count in stage.injected.items():
        if stage.hits[fault] < count:
            yield f"too quiet: {fault} was injected {count} times and hit {stage.hits[fault]} times"
    if not stage.injected:
        yield "too quiet: no fault was injected"
    if scenario.needs_retries and not retries:
        yield "too quiet: no attempt failed and was made again"
    if scenario.needs_redelivery and not redelivered:
        yield "too quiet: the broker sent nothing again"


_HEAD = (
    "scenario", "issued", "owed", "faults", "hit", "retries", "resent", "delivered", "twice",
    "lost", "excused", "inverted", "seconds",
)  # fmt: skip


def table(results: Sequence[Result]) -> str:
    """
    The results for people, one line each, and a sum of all but the controls.

    resent: messages that the broker sent again, recognised · twice: readings a receiver accepted again, under their id
    """
    rows = [_HEAD, *map(_row, results), _sum(results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = row
    return "  ".join(
        [name.ljust(widths[0]), *(f.rjust(w) for f, w in zip(figures, widths[1:], strict=True))]
    ).rstrip()


def _row(result: Result) -> tuple[str, ...]:
    if result.skipped is not None:
        return (result.scenario, *["-"] * (len(_HEAD) - 1))
    verdict = result.verdict
    figures = (
        result.issued, result.owed, result.injected, result.hit, result.retries,
        result.redelivered, verdict.delivered, verdict.duplicates, verdict.lost,
        result.excused, verdict.inversions,
    )  # fmt: skip
    return (result.scenario, *map(str, figures), f"{result.seconds:.0f}")


def _sum(results: Sequence[Result]) -> tuple[str, ...]:
    rows = [_row(one) for one in results if one.skipped is None and not one.is_control]
    sums = [sum(int(row[column]) for row in rows) for column in range(1, len(_HEAD))]
    return ("all", *map(str, sums))
