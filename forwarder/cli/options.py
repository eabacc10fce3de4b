"""Options that several operator commands share: filters of rows, secrets, and confirmations."""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from forwarder.cli.names import device_names, endpoint_names
from forwarder.errors import ConfigurationError
from forwarder.operator.choosing import instant_meant, parse_device
from forwarder.outbox import Selection
from forwarder.reading import Device
from forwarder.routes.files import Files
from forwarder.routes.model import SigningKey
from forwarder.routes.secrets import Vault
from forwarder.settings import environment

MOST_LISTED = 100
"""Rows that a list for people shows unless --limit says otherwise."""

Command = Callable[..., Any]


def _device(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> Device | None:
    return None if value is None else parse_device(value)


def _instant(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> float | None:
    return None if value is None else instant_meant(value, now=time.time())


_OPTIONS = {
    "endpoint": click.option(
        "--endpoint", metavar="NAME", shell_complete=endpoint_names, help="Of this endpoint."
    ),
    "device": click.option(
        "--device",
        metavar="MAC",
        callback=_device,
        shell_complete=device_names,
        help="Of this device; any spelling.",
    ),
    "since": click.option(
        "--since",
        metavar="WHEN",
        callback=_instant,
        help="From then on: 2025-11-18T10:17:40Z, or 2h for two hours ago.",
    ),
    "until": click.option(
        "--until", metavar="WHEN", callback=_instant, help="Before then; written likewise."
    ),
    "limit": click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(min=1),
        help="At most so many, in the list's order.",
    ),
}


def selecting(
    *names: str, reasons: tuple[str, ...] = (), states: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """Add these options (`endpoint`, `device`, …) to a command, which gets them as one `selection`."""
    options = [_OPTIONS[name] for name in names]
    if reasons:
        options.append(
            click.option("--reason", type=click.Choice(reasons), help="With this reason.")
        )
    if states:
        options.append(click.option("--state", type=click.Choice(states), help="In this state."))

    def decorate(command: Command) -> Command:
        taken = (*names, *(["reason"] if reasons else []), *(["state"] if states else []))

        @functools.wraps(command)
        def wrapper(*args: Any, **values: Any) -> Any:
            selection = Selection(**{name: values.pop(name) for name in taken})
            return command(*args, selection=selection, **values)

        for option in reversed(options):
            wrapper = option(wrapper)
        return wrapper

    return decorate


def signing_keys(references: Iterable[str]) -> tuple[SigningKey, ...]:
    """
    The keys of `--secret`, each read as `secret_of` does.

    Raises ConfigurationError, also for a secret that is not `whsec_…`. Its sentence never holds any part of a secret.
    """
    try:
        return tuple(_vault(reference).parse_key(reference) for reference in references)
    except ValueError as wrong:
        raise ConfigurationError(f"--secret: {wrong}") from None


def secret_of(reference: str, *, option: str) -> str:
    """
    The secret that `env:NAME` or `file:PATH` stands for, as in routes.yaml. Any other text is the secret itself.

    Raises ConfigurationError, whose sentence names the option and never holds the secret.
    """
    try:
        return _vault(reference).resolve(reference)
    except ValueError as wrong:
        raise ConfigurationError(f"{option}: {wrong}") from None


def _vault(reference: str) -> Vault:
    """
    The vault for a reference on the command line.

    A variable may stand in `.env` too. That file is read only when the process has no such variable, because it may be
    another program's file on a receiver developer's machine.
    """
    kind, _, name = reference.partition(":")
    is_elsewhere = kind == "env" and name.strip() not in os.environ
    return Vault(environment() if is_elsewhere else os.environ, Files(Path()))


ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)
id_argument = click.argument("name", metavar="ID")
which_endpoint_option = click.option(
    "--endpoint",
    metavar="NAME",
    shell_complete=endpoint_names,
    help="Only what is owed to this endpoint.",
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask first.")
all_option = click.option("--all", "all_of_them", is_flag=True, help="Every one of them.")


def most_listed(selection: Selection, *, all_of_them: bool) -> int:
    """The number of rows that a list for people shows."""
    if all_of_them:
        return sys.maxsize
    return selection.limit or MOST_LISTED


def ask_first(question: str, *, yes: bool) -> None:
    """Ask before a change. Raises ConfigurationError without a terminal, and click.Abort when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("not a terminal: give --yes")
    click.confirm(question, abort=True, err=True)


def require_selection(
    ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, what: str
) -> None:
    """Raises ConfigurationError when nothing says which rows are meant."""
    if not (ids or selection.narrows or all_of_them):
        raise ConfigurationError(f"say which {what} you mean: give ids, a filter, or --all")
