"""
`make version TO=0.2.0`: the version wherever it is named, and the changelog's "Unreleased" under it, of today.

Image tags, manifests, openapi.json and the pages follow forwarder/__init__.py; a test holds all of them to it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from forwarder import __version__
from release.__main__ import ROOT

NUMBER = r"[0-9]+\.[0-9]+\.[0-9]+"
FORMS = (
    r'^__version__ = "({})"',
    r"whatwatt-forwarder:({})\b",
    r"newTag: ({})\b",
    r'^    "version": "({})"',
)
"""How the version is named, with a place for it."""
CHANGELOG = ROOT / "CHANGELOG.md"


def places() -> Iterator[tuple[Path, str]]:
    """Each file that names a version of ours, and its text."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "*.py", "*.md", "*.yaml", "*.json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    for path in map(ROOT.joinpath, listed.stdout.splitlines()):
        if path.exists() and named(text := path.read_text()):
            yield path, text


def named(text: str) -> set[str]:
    """The versions of ours that it names."""
    found = (re.findall(form.format(NUMBER), text, re.MULTILINE) for form in FORMS)
    return {version for versions in found for version in versions}


def moved(text: str, version: str) -> str:
    """The same with this version in each place."""
    for form in FORMS:
        text = re.sub(
            form.format(NUMBER),
            lambda match: match[0].replace(match[1], version),
            text,
            flags=re.MULTILINE,
        )
    return text


def released(changelog: str, version: str, day: str) -> str:
    """The changelog with what was unreleased under this version. Raises ValueError where nothing is."""
    heading = "## [Unreleased]\n"
    if changelog.count(heading) != 1:
        raise ValueError("CHANGELOG.md has no heading [Unreleased]")
    return changelog.replace(heading, f"## [{version}] - {day}\n")


def main() -> None:
    version = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch(NUMBER, version) or version == __version__:
        sys.exit(f"say which version comes after {__version__}, such as TO=0.2.0")
    today = datetime.now(UTC).date().isoformat()
    CHANGELOG.write_text(released(CHANGELOG.read_text(), version, today))
    for path, text in list(places()):
        path.write_text(moved(text, version))
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
