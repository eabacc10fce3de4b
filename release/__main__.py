"""`python -m release --to FOLDER --sbom CYCLONEDX_PY`: sdist, wheel, SBOM and SHA256SUMS of the commit."""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from release.archive import repacked, unpack

ROOT = Path(__file__).parents[1]
LOCK = "requirements/run.txt"
SBOM_NAME = "whatwatt-forwarder.cdx.json"
_BUILD = (
    "import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="a folder; dist unless told")
    parser.add_argument("--sbom", type=Path, help="the program cyclonedx-py; without it no SBOM")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))
    made = [*_packages(options.to.resolve(), epoch)]
    if options.sbom is not None:
        made.append(_sbom(options.sbom, options.to))
    (options.to / "SHA256SUMS").write_text("".join(map(_sum, made)))
    print("\n".join(map(str, [*made, options.to / "SHA256SUMS"])))


def _packages(folder: Path, epoch: int) -> tuple[Path, Path]:
    """Sdist and wheel, each built in a place that holds nothing else."""
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        unpack(_git_bytes("archive", "HEAD"), tree)
        sdist = folder / _built("sdist", tree, Path(place), epoch)
        sdist.write_bytes(repacked((Path(place) / sdist.name).read_bytes(), epoch=epoch))
        unpack(sdist.read_bytes(), Path(place) / "unpacked")
        (source,) = (Path(place) / "unpacked").iterdir()
        return sdist, folder / _built("wheel", source, folder, epoch)


def _built(kind: str, source: Path, folder: Path, epoch: int) -> str:
    """The name of the file that the build backend puts into `folder`."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0", "TZ": "UTC"}
    command = [sys.executable, "-W", "ignore", "-c", _BUILD.format(kind=kind), str(folder)]
    done = subprocess.run(
        command, cwd=source, env=environ, check=True, stdout=subprocess.PIPE, text=True, umask=0o022
    )
    return done.stdout.split()[-1]


def _sbom(program: Path, folder: Path) -> Path:
    """CycloneDX, of what the lock pins: the same in each run."""
    path = folder / SBOM_NAME
    command = [str(program), "requirements", "--output-reproducible", "--of", "JSON", "--sv", "1.6"]
    done = subprocess.run([*command, LOCK], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    path.write_bytes(done.stdout)
    return path


def _sum(path: Path) -> str:
    """A line as `sha256sum --check` reads it."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"


def _git(*words: str) -> str:
    return _git_bytes(*words).decode()


def _git_bytes(*words: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, stdout=subprocess.PIPE
    ).stdout


if __name__ == "__main__":
    main()
