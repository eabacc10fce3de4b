"""The sources of settings: the process's environment, a `.env` file below it, and secrets in files of their own."""

import os
from collections.abc import Mapping
from pathlib import Path

from forwarder.errors import SettingsError
from forwarder.files import Unreadable, as_text, printable, read_bytes, read_secret
from forwarder.settings.env_file import EnvFile, parse

PREFIX = "FORWARDER_"
ENV_FILE = ".env"
ENV_LIMIT = 1 << 20
SECRETS_BY_FILE = (
    "mqtt_username",
    "mqtt_password",
    "outbox_url",
    "proxy_url",
    "heartbeat_url",
    "admin_token",
)


def environment() -> dict[str, str]:
    """
    Every variable: those of the process, and beneath them those of `.env` in the working folder.

    Raises SettingsError with a sentence for each line of `.env` that cannot be read.
    """
    found = read_env_file(Path(ENV_FILE))
    if found.problems:
        raise SettingsError("\n".join(found.problems))
    return {**found.values, **os.environ}


def read_env_file(path: Path) -> EnvFile:
    """The settings of a `.env` file; none if there is no file."""
    try:
        return env_file_of(path, read_bytes(path, limit=ENV_LIMIT))
    except Unreadable as unreadable:
        return env_file_of(path, unreadable)


def env_file_of(path: Path, content: bytes | Unreadable) -> EnvFile:
    """The settings of a `.env` file whose content was read already."""
    try:
        if isinstance(content, Unreadable):
            raise content
        return parse(as_text(content, path), name=printable(path))
    except Unreadable as unreadable:
        return EnvFile(problems=(str(unreadable),)) if os.path.lexists(path) else EnvFile()


def secrets_from_files(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The content of `FORWARDER_MQTT_PASSWORD_FILE` and its like, by setting, and a sentence for each that fails."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for name in SECRETS_BY_FILE:
        variable = PREFIX + name.upper()
        if path := environ.get(f"{variable}_FILE"):
            try:
                values[name] = _read_secret(variable, path, is_given=bool(environ.get(variable)))
            except ValueError as problem:
                problems.append(str(problem))
    return values, problems


def _read_secret(variable: str, path: str, *, is_given: bool) -> str:
    if is_given:
        raise ValueError(f"{variable} and {variable}_FILE are both set; keep one of them")
    try:
        return read_secret(Path(path))
    except Unreadable as unreadable:
        raise ValueError(f"{variable}_FILE: {unreadable}") from None
