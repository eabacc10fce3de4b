"""What a shell completes: commands, options, endpoints and devices; never an error in the line that is typed."""

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from support.shell import Operator

from forwarder.cli.main import COMPLETION_VARIABLE, PROGRAM, cli

ROUTES = """
groups: {zurich: [ECC9FF5C7AD4]}
endpoints:
  acme: {url: "https://acme.example/hook", secret: "env:NOT_HERE", groups: [zurich]}
  archive: {url: "https://archive.example/hook", secret: "env:NOT_HERE", devices: [001122334455]}
"""


def completed(line: str) -> list[str]:
    """What a shell is offered for the last word of a line."""
    _program, *words, begun = line.split(" ")
    offers = ShellComplete(cli, {}, PROGRAM, COMPLETION_VARIABLE).get_completions(words, begun)
    return [str(offer.value) for offer in offers]


LINES = [
    ("forwarder dead", ["dead-letters"]),
    ("forwarder dead-letters re", ["replay"]),
    ("forwarder check --c", ["--connect"]),
    ("forwarder send-test ", ["acme", "archive"]),
    ("forwarder endpoints pause ac", ["acme"]),
    ("forwarder deliveries list --endpoint ar", ["archive"]),
    ("forwarder dead-letters replay --to ar", ["archive"]),
    ("forwarder routes show ", ["001122334455", "ECC9FF5C7AD4"]),
    ("forwarder deliveries list --device ecc9", ["ECC9FF5C7AD4"]),
    ("forwarder purge --device E", ["ECC9FF5C7AD4"]),
    ("forwarder completion z", ["zsh"]),
]


@pytest.mark.parametrize(("line", "offered"), LINES)
def test_word_is_completed(operator: Operator, line: str, offered: list[str]) -> None:
    operator.write_routes(ROUTES)

    assert completed(line) == offered


@pytest.mark.parametrize("routes", ["endpoints: [\n", None])
def test_wrong_routes_complete_nothing(
    operator: Operator, tmp_path: Path, routes: str | None
) -> None:
    """Nor do missing ones, and neither says so in the middle of a line."""
    (tmp_path / "routes.yaml").unlink()
    if routes is not None:
        operator.write_routes(routes)

    assert completed("forwarder send-test ") == []


def test_routes_are_those_that_env_file_names(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").rename(tmp_path / "other.yaml")
    (tmp_path / ".env").write_text("FORWARDER_ROUTES_FILE=other.yaml\n")

    assert completed("forwarder send-test h") == ["home"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(operator: Operator, shell: str) -> None:
    assert f"_FORWARDER_COMPLETE={shell}_complete" in operator.says("completion", shell)
