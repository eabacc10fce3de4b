"""
`python -m chaos`: plays scenarios, prints what they came to, and exits 1 when anything is wrong.

With --pages what was played goes into docs/figures/chaos.json, in the place of what its seed came to there before, and
from there into the pages.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

# The suite stands on what the tests stand on: mosquitto, bare receivers.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from chaos.record import Run, begun, record
from chaos.run import Result, play, table
from chaos.scenarios import SCENARIOS, Scenario
from chaos.scenarios.scenario import ENGINES


def main() -> int:
    arguments = _arguments()
    is_part = arguments.short and not arguments.all
    chosen = _chosen(arguments.only, engine=arguments.engine, is_short=is_part)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"seed {arguments.seed}, files in {folder}", flush=True)
    keep = _keeper(arguments, folder)
    results = asyncio.run(_play_all(chosen, folder, arguments, keep))
    print("\n" + table(results))
    findings = [f"{one.scenario}: {finding}" for one in results for finding in one.findings]
    print(
        "\n".join(["", *findings])
        if findings
        else "\nNothing is lost but what is excused, and nothing else is wrong."
    )
    return 1 if findings else 0


Keep: TypeAlias = Callable[[Sequence[Result]], None]


def _keeper(arguments: argparse.Namespace, folder: Path) -> Keep:
    """What writes results into the file and the pages."""
    if not arguments.pages:
        return lambda _: None
    form = "short" if arguments.short else "full"
    run = begun(seed=arguments.seed, engine=arguments.engine, form=form, folder=folder)
    return partial(_keep, run)


def _keep(run: Run, results: Sequence[Result]) -> None:
    record(run, results)
    subprocess.run([sys.executable, "-m", "figures"], check=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", default="1", help="repeats a run's dice; 1 unless told")
    parser.add_argument("--minutes", type=float, default=0.0, help="play again until they are over")
    parser.add_argument("--only", default="", help="names of scenarios, with commas between")
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="where the outbox is; sqlite"
    )
    parser.add_argument("--short", action="store_true", help="the form that is part of the tests")
    parser.add_argument("--all", action="store_true", help="every scenario, also in the short form")
    parser.add_argument("--pages", action="store_true", help="into docs/figures/chaos.json, too")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--folder", type=Path, help="where logs and outboxes stay; a temporary one")
    arguments = parser.parse_args()
    if arguments.list:
        listed = [one for one in SCENARIOS if arguments.engine in one.engines]
        width = max(len(one.name) for one in listed) + 2
        print("\n".join(f"{one.name:{width}}{one.what}" for one in listed))
        sys.exit(0)
    return arguments


def _chosen(only: str, *, engine: str, is_short: bool) -> list[Scenario]:
    names = [name for name in only.split(",") if name]
    there = [one for one in SCENARIOS if engine in one.engines]
    unknown = set(names) - {one.name for one in there}
    if unknown:
        sys.exit(f"no such scenario on {engine}: {', '.join(sorted(unknown))}; see --list")
    if names:
        return [one for one in there if one.name in names]
    return [one for one in there if one.is_short or not is_short]


async def _play_all(
    chosen: Sequence[Scenario], folder: Path, arguments: argparse.Namespace, keep: Keep
) -> list[Result]:
    results: list[Result] = []
    for scenario, seed in _programme(chosen, arguments.seed, arguments.minutes):
        place = folder / f"{scenario.name}-{seed}"
        result = await play(
            scenario,
            place,
            seed=f"{seed}/{scenario.name}",
            is_short=arguments.short,
            engine=arguments.engine,
        )
        results.append(result)
        _tell(result)
        keep(results)
    return results


def _programme(
    chosen: Sequence[Scenario], seed: str, minutes: float
) -> Iterator[tuple[Scenario, str]]:
    """Every scenario once, then all of them again with other dice until the time is over."""
    over = time.monotonic() + 60 * minutes
    lap = 0
    while lap == 0 or time.monotonic() < over:
        for scenario in chosen:
            if lap == 0 or time.monotonic() < over:
                yield scenario, seed if lap == 0 else f"{seed}.{lap}"
        lap += 1


def _tell(result: Result) -> None:
    said = "skipped: " + result.skipped if result.skipped else "; ".join(result.findings) or "ok"
    notes = f" ({'; '.join(result.notes)})" if result.notes else ""
    print(f"{result.scenario:16}{result.seconds:5.0f} s  {said}{notes}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
