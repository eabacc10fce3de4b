"""`python -m chaos.peers`: the forwarder and other programs under the same faults, and what became of the readings."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# The suite stands on what the tests stand on: mosquitto, bare receivers.
sys.path.append(str(Path(__file__).parents[2] / "tests"))

from chaos.peers.contestants import ENTRIES, Entry
from chaos.peers.table import table
from chaos.peers.trial import FAULTS, Trial, play


def main() -> int:
    arguments = _arguments()
    entries = [one for one in ENTRIES if one.name in arguments.programs]
    installed = [one for one in entries if one.version() is not None]
    missing = [one.name for one in entries if one not in installed]
    if missing:
        print(f"not installed, left out: {', '.join(missing)}; see `make peers-setup`")
    print(", ".join(f"{one.name} {one.version()}" for one in installed))
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="peers-"))
    print(f"seeds {', '.join(arguments.seeds)}; files in {folder}", flush=True)
    trials: list[Trial] = []
    with suppress(KeyboardInterrupt):  # what has been played is told all the same
        asyncio.run(_play_all(installed, arguments.faults, arguments.seeds, folder, trials))
    print("\n" + table(trials))
    return 1 if any(one.program == "forwarder" and _is_broken(one) for one in trials) else 0


def _is_broken(trial: Trial) -> bool:
    """Of the forwarder alone something was promised: repetitions are allowed, the rest is not."""
    return bool(trial.lost or trial.inversions)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.peers", description=__doc__)
    parser.add_argument("--seeds", type=_names, default=["1"], help="with commas between; 1")
    programs = [one.name for one in ENTRIES]
    parser.add_argument("--programs", type=_names, default=programs, help=", ".join(programs))
    parser.add_argument("--faults", type=_names, default=[*FAULTS], help=", ".join(FAULTS))
    parser.add_argument("--folder", type=Path, help="where logs stay; a temporary one")
    arguments = parser.parse_args()
    unknown = {*arguments.programs} - {*programs} | {*arguments.faults} - {*FAULTS}
    if unknown:
        parser.error(f"no such program or fault: {', '.join(sorted(unknown))}")
    return arguments


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


async def _play_all(
    entries: Sequence[Entry],
    faults: Sequence[str],
    seeds: Sequence[str],
    folder: Path,
    trials: list[Trial],
) -> None:
    for seed in seeds:
        for fault in faults:
            for entry in entries:
                place = folder / f"{entry.name}-{fault}-{seed}"
                trials.append(await play(entry, fault, seed=seed, folder=place))
                _tell(trials[-1])


def _tell(trial: Trial) -> None:
    print(
        f"{trial.fault:6}{trial.program:12}seed {trial.seed}: {trial.owed} owed, {trial.lost} lost,"
        f" {trial.duplicates} twice, {trial.inversions} inverted",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
