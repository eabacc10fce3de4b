"""A release can be checked: it has the same bits each time, says what is in it, and its parts run on aarch64 too."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SBOM = ROOT / "build/sbom/bin/cyclonedx-py"
PINNED = sorted((ROOT / "requirements").glob("*.txt"))
PYTHONS = ("3.11", "3.13")
"""The oldest that is supported, and that of the image."""

pytestmark = pytest.mark.timeout(600)


def release(folder: Path, **settings: object) -> Path:
    command = [sys.executable, "-m", "release", "--to", folder, "--sbom", SBOM]
    subprocess.run(command, cwd=ROOT, check=True, **settings)  # type: ignore[call-overload] # settings are subprocess's own
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("first"))


def contents(folder: Path) -> dict[str, str]:
    return {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in sorted(folder.iterdir())
    }


def test_bits_are_the_same_elsewhere(released: Path, tmp_path: Path) -> None:
    """Neither the umask, nor the time zone, nor the language, nor the folder is in them."""
    environ = os.environ | {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    again = release(tmp_path / "an other", umask=0o077, env=environ)

    assert contents(again) == contents(released)
    assert len(contents(again)) == 4


def test_sums_are_those_of_the_files(released: Path) -> None:
    """`sha256sum --check` takes the list, and it names all that there is."""
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=released, check=True)
    named = {line.split()[1] for line in (released / "SHA256SUMS").read_text().splitlines()}

    assert named | {"SHA256SUMS"} == {one.name for one in released.iterdir()}


def test_sbom_names_all_that_is_pinned(released: Path) -> None:
    """CycloneDX 1.6, each component with its version and its hashes."""
    sbom = json.loads((released / "whatwatt-forwarder.cdx.json").read_text())
    lock = (ROOT / "requirements/run.txt").read_text()
    pinned = set(re.findall(r"^([a-z][\w.-]*)==([^ ;\\]+)", lock, re.MULTILINE))

    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert {(one["name"], one["version"]) for one in sbom["components"]} == pinned


def test_wheel_runs_by_itself(released: Path, tmp_path: Path) -> None:
    """Installed in an environment of its own, with what is pinned, it says its version."""
    (wheel,) = released.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip: list[Path | str] = [tmp_path / "venv/bin/pip", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements/run.txt"], check=True)
    subprocess.run([*pip, "--no-deps", wheel], check=True)
    said = subprocess.run(
        [tmp_path / "venv/bin/forwarder", "--version"], check=True, capture_output=True, text=True
    )

    assert wheel.name.split("-")[1] in said.stdout


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("pinned", PINNED, ids=lambda path: path.stem)
def test_all_that_is_pinned_has_wheels_for_aarch64(
    pinned: Path, python: str, tmp_path: Path
) -> None:
    """Nothing has to be compiled on a Raspberry Pi of 64 bits: to run it, show it, test it or build it."""
    platforms = [f"--platform={one}_aarch64" for one in ("manylinux2014", "manylinux_2_28")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    command += [*platforms, f"--dest={tmp_path}", "-r", str(pinned)]
    subprocess.run(command, check=True)
    wheels = [one.name for one in tmp_path.iterdir()]

    assert wheels
    assert [name for name in wheels if not name.endswith(("-any.whl", "_aarch64.whl"))] == []
