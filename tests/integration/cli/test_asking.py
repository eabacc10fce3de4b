"""What erases for good asks first, or is told that it need not."""

import pytest
from support.outbox_builder import OutboxBuilder
from support.shell import Operator

ERASING = [
    ["purge", "--device", "ECC9FF5C7AD4"],
    ["dead-letters", "discard", "--all"],
    ["dead-letters", "discard", "--all", "--endpoint", "acme"],
    ["quarantine", "discard", "--all"],
]


@pytest.fixture
def kept(built: OutboxBuilder) -> OutboxBuilder:
    built.delivery("acme", "dead")
    built.quarantine()
    return built


def left(kept: OutboxBuilder) -> int:
    ((count,),) = kept.rows(
        "SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM quarantine)"
    )
    return int(count)


@pytest.mark.parametrize("arguments", ERASING)
def test_without_a_terminal_it_wants_to_be_told(
    operator: Operator, kept: OutboxBuilder, arguments: list[str]
) -> None:
    """From cron, over ssh or with an answer piped in: one sentence, exit code 2, and everything stays."""
    result = operator.run(*arguments)

    assert str(result.exception) == "not a terminal: give --yes"
    assert result.exception.exit_code == 2  # type: ignore[union-attr] # it is a ForwarderError
    assert left(kept) == 2


@pytest.mark.parametrize("arguments", ERASING)
def test_told_so_it_erases(operator: Operator, kept: OutboxBuilder, arguments: list[str]) -> None:
    """--yes is the answer."""
    operator.says(*arguments, "--yes")

    assert left(kept) < 2


@pytest.mark.parametrize("answer", ["n", "y"])
@pytest.mark.parametrize("arguments", ERASING)
def test_on_a_terminal_it_asks(
    operator: Operator,
    kept: OutboxBuilder,
    arguments: list[str],
    answer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On stderr, so that stdout is the answer's alone; a no changes nothing."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)

    result = operator.run(*arguments, typed=f"{answer}\n")

    assert "for good?" in result.stderr
    assert "for good?" not in result.stdout
    assert (left(kept) < 2, result.exit_code) == ((answer == "y"), 0 if answer == "y" else 1)


@pytest.mark.parametrize("command", ["dead-letters", "quarantine"])
def test_what_is_named_is_not_asked_about(
    operator: Operator, kept: OutboxBuilder, command: str
) -> None:
    """Whoever gives ids or filters has said which."""
    operator.says(command, "discard", "--device", "ECC9FF5C7AD4")

    assert left(kept) == 1
