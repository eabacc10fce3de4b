"""`python -m chaos`: plays scenarios, prints what they came to, and exits 1 when anything is wrong."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# The suite stands on what the tests stand on: mosquitto, bare receivers.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from chaos.run import Result, play, table
from chaos.scenarios import SCENARIOS, Scenario
from chaos.scenarios.scenario import ENGINES


def main() -> int:
    arguments = _arguments()
    chosen = _chosen(arguments.only, engine=arguments.engine, is_short=arguments.short)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"seed {arguments.seed}, files in {folder}", flush=True)
    results = asyncio.run(_play_all(chosen, folder, arguments))
    print("\n" + table(results))
    findings = [f"{one.scenario}: {finding}" for one in results for finding in one.findings]
    print(
        "\n".join(["", *findings])
        if findings
        else "\nNothing is lost but what is excused, and nothing else is wrong."
    )
    return 1 if findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", default="1", help="repeats a run's dice; 1 unless told")
    parser.add_argument("--minutes", type=float, default=0.0, help="play again until they are over")
    parser.add_argument("--only", default="", help="names of scenarios, with commas between")
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="where the outbox is; sqlite"
    )
    parser.add_argument("--short", action="store_true", help="the form that is part of the tests")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--folder", type=Path, help="where logs and outboxes stay; a temporary one")
    arguments = parser.parse_args()
    if arguments.list:
        listed = [one for one in SCENARIOS if arguments.engine in one.engines]
        print("\n".join(f"{one.name:16}{one.what}" for one in listed))
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
    chosen: Sequence[Scenario], folder: Path, arguments: argparse.Namespace
) -> list[Result]:
    results = []
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
