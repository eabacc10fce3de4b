"""
`make mutations`: makes each mistake again in a copy of the tree, and demands that its test fails.

Words given as arguments choose the mutations whose mistake, file or test holds one of them. The exit code is 0 when
every test passes without its mistake and fails with it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from mutations import Mutation
from mutations.table import MUTATIONS

ROOT = Path(__file__).parents[2]
COPIED = ("forwarder", "tests", "pyproject.toml")
PYTEST = (
    "-m",
    "pytest",
    "--quiet",
    "--tb=short",
    "-p",
    "no:schemathesis",
    "-p",
    "no:cacheprovider",
)
HUNG = "--timeout=30"
"""A mistake may keep its test waiting for ever."""
PASSED, FAILED = 0, 1
"""Pytest's exit codes; any other says that a test could not be run."""


def main(words: Sequence[str]) -> int:
    chosen = [one for one in MUTATIONS if not words or any(word in _said(one) for word in words)]
    if not chosen:
        print("no mutation holds any of these words")
        return 1
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = _copy(Path(folder))
        without = _run(tree, {one.found_by for one in chosen})
        if without.returncode != PASSED:
            print(f"{without.stdout}\nnothing was tried, because tests fail without any mistake")
            return 1
        missed = sum(not _is_found(tree, one) for one in chosen)
    print(f"{len(chosen) - missed} of {len(chosen)} mistakes found")
    return 1 if missed else 0


def _said(mutation: Mutation) -> str:
    return f"{mutation.mistake} {mutation.file} {mutation.found_by}"


def _copy(folder: Path) -> Path:
    """As it stands in the checkout, what is not committed included."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(ROOT / name, folder)
    return folder


def _is_found(tree: Path, mutation: Mutation) -> bool:
    path = tree / "forwarder/outbox" / mutation.file
    text, began = path.read_text(), time.monotonic()
    path.write_text(mutation.made_in(text))
    # No bytecode of it is written, because the file's own may be as old and as long.
    result = _run(tree, [mutation.found_by], HUNG, PYTHONDONTWRITEBYTECODE="1")
    path.write_text(text)
    is_found = result.returncode == FAILED
    verdict = "found" if is_found else "MISSED"
    print(f"{verdict:6} {time.monotonic() - began:5.1f} s  {mutation.mistake}", flush=True)
    if not is_found:
        print(f"{mutation.file}, {mutation.found_by}\n{result.stdout[-2000:]}", flush=True)
    return is_found


def _run(
    tree: Path, nodes: Iterable[str], *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *PYTEST, *options, *(f"tests/{node}" for node in sorted(nodes))],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
