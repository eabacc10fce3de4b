"""The version stands in one place, and all others follow it."""

from pathlib import Path

import pytest

from forwarder import __version__
from release.version import moved, named, places, released

PLACES = [*places()]


@pytest.mark.parametrize(
    "text", [text for _, text in PLACES], ids=[path.name for path, _ in PLACES]
)
def test_place_names_the_program_s_version(text: str) -> None:
    """`make version` moves all of them."""
    assert named(text) == {__version__}


def test_program_manifests_and_interface_are_among_the_places() -> None:
    """The list is found by the forms, which must not miss these."""
    found = {path.name for path, _ in PLACES}

    assert found >= {
        "__init__.py",
        "openapi.json",
        "compose.yaml",
        "kustomization.yaml",
        "deploy.md",
    }


@pytest.mark.parametrize(("path", "text"), PLACES, ids=[path.name for path, _ in PLACES])
def test_every_place_moves(path: Path, text: str) -> None:
    assert named(moved(text, "9.8.7")) == {"9.8.7"}


def test_what_was_unreleased_gets_version_and_day() -> None:
    changelog = "# Changelog\n\n## [Unreleased]\n\n- new\n\n## [0.1.0] - 2026-11-22\n"

    assert "## [0.2.0] - 2026-11-29\n\n- new" in released(changelog, "0.2.0", "2026-11-29")
    with pytest.raises(ValueError, match=r"no heading \[Unreleased\]"):
        released(changelog.replace("Unreleased", "0.2.0"), "0.3.0", "2026-11-30")
