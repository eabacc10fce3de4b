"""
`python -m chaos.endurance`: the long run, its record, and whether anything grew; exits 1 when anything is wrong.

With --pages the record of a whole run in which nothing was wrong becomes docs/figures/endurance.jsonl.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

# The suite stands on what the tests stand on: mosquitto, bare receivers.
sys.path.append(str(Path(__file__).parents[2] / "tests"))

from chaos.endurance.entries import samples_in
from chaos.endurance.form import LONG, SHORT, Form
from chaos.endurance.line import LongStage
from chaos.endurance.play import endure
from chaos.endurance.record import Record
from chaos.endurance.slopes import examine
from chaos.run import play, table
from chaos.scenarios import Scenario

OF_THE_PAGES = Path(__file__).parents[2] / "docs" / "figures" / "endurance.jsonl"


def main() -> int:
    arguments = _arguments()
    form = SHORT if arguments.short else LONG
    form = replace(form, minutes=arguments.minutes or form.minutes)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="endurance-"))
    print(f"{form.minutes:g} minutes, seed {arguments.seed}, files in {folder}", flush=True)
    findings = [*_run(form, folder, arguments), *_growing(form, _record_file(folder))]
    print("\n".join(["", *findings]) if findings else "\nNothing is lost, and nothing grows.")
    if arguments.pages:
        keep(_record_file(folder), form, findings, OF_THE_PAGES)
    return 1 if findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.endurance", description=__doc__)
    parser.add_argument("--short", action="store_true", help="3 minutes, with the bounds for CI")
    parser.add_argument("--minutes", type=float, help="30 unless told, 3 in the short form")
    parser.add_argument(
        "--rate", type=float, default=50.0, help="readings a second; 50 unless told"
    )
    parser.add_argument("--seed", default="1", help="repeats a run's dice; 1 unless told")
    parser.add_argument("--pages", action="store_true", help="into docs/figures, if all is well")
    parser.add_argument("--folder", type=Path, help="where record, logs and outbox stay")
    return parser.parse_args()


def keep(record: Path, form: Form, findings: Sequence[str], place: Path) -> None:
    """Put the record where pages take it from: of a whole run in which nothing was wrong."""
    if form.minutes >= LONG.minutes and not findings:
        shutil.copyfile(record, place)


def _record_file(folder: Path) -> Path:
    return folder / "endurance.jsonl"


def _run(form: Form, folder: Path, arguments: argparse.Namespace) -> tuple[str, ...]:
    """Play it; what the judge of the readings finds."""
    record = Record(_record_file(folder))
    scenario = Scenario(
        "endurance",
        "faults, edits and commands for a long time, in one process",
        partial(endure, form=form, rate=arguments.rate, record=record),
        stage=LongStage,
        # It stays up, and writing its sessions to disk at each change would make it the slowest part.
        has_persistence=False,
        may_tell=("quarantine.growing", "routes.rejected"),
    )
    try:
        result = asyncio.run(play(scenario, folder / "stage", seed=arguments.seed))
    finally:
        record.close()
    print("\n" + table([result]) + "\n")
    print("\n".join(result.notes))
    return result.findings


def _growing(form: Form, record: Path) -> Iterator[str]:
    try:
        findings = list(examine(samples_in(record), form.bounds))
    except ValueError as error:
        yield str(error)
        return
    for finding in findings:
        print(finding)
        if not finding.is_flat:
            yield f"it grows: {finding}"


if __name__ == "__main__":
    sys.exit(main())
