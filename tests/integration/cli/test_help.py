"""What the help says, and what a mistyped command is answered."""

from collections.abc import Iterator

import click
import pytest
from support.shell import Operator

from forwarder.cli.groups import LONGEST_SUMMARY
from forwarder.cli.main import COMMANDS, SECTIONS, cli


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below the group, and the groups among them, each with its path."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


EVERY = dict(commands(cli))


def test_each_command_stands_under_one_heading() -> None:
    """A new command is not forgotten in the help."""
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(COMMANDS)


@pytest.mark.parametrize("path", EVERY)
def test_each_has_a_summary_that_fits(path: tuple[str, ...]) -> None:
    """A few words that stand on one line."""
    assert 0 < len(EVERY[path].short_help or "") <= LONGEST_SUMMARY


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_summaries_are_never_cut(operator: Operator, columns: str) -> None:
    """However narrow the terminal is: they are folded."""
    operator.environment["COLUMNS"] = columns

    said = " ".join(operator.says("--help").split())

    assert "..." not in said.replace("[ARGS]...", "")
    for name in COMMANDS:
        assert f"{name} {EVERY[name,].short_help}" in said


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        (["chekc"], "check"),
        (["route", "show"], "routes"),
        (["dead-letter", "list"], "dead-letters"),
        (["version"], "--version"),
        (["dead-letters", "lst"], "list"),
        (["quarantine", "reply", "--all"], "replay"),
    ],
)
def test_a_mistyped_command_is_told_the_nearest(
    operator: Operator, mistyped: list[str], meant: str
) -> None:
    """As options, settings and endpoints are; exit code 2."""
    result = operator.run(*mistyped)

    assert result.exit_code == 2
    assert f"Did you mean {meant!r}?" in result.stderr


def test_what_is_near_nothing_is_only_refused(operator: Operator) -> None:
    """No guess is better than a wild one."""
    assert "Did you mean" not in operator.run("xylophone").stderr
