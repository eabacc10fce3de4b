"""Where settings come from: the process's environment, a `.env` file below it, and secrets in files of their own."""

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from forwarder.errors import SettingsError
from forwarder.files import Unreadable, read_secret, read_text

PREFIX = "FORWARDER_"
ENV_FILE = ".env"
ENV_LIMIT = 1 << 20
SECRETS_BY_FILE = ("mqtt_username", "mqtt_password", "outbox_url", "proxy_url")


def environment() -> dict[str, str]:
    """
    Every variable: those of the process, and beneath them those of `.env` in the working folder.

    Raises SettingsError when `.env` is there and cannot be read.
    """
    values = dotenv_values(stream=StringIO(env_file_text(Path(ENV_FILE))))
    return {**{name: value for name, value in values.items() if value is not None}, **os.environ}


def env_file_text(path: Path) -> str:
    """What a `.env` file says; nothing where there is none. Raises SettingsError when it cannot be read."""
    if not os.path.lexists(path):
        return ""
    try:
        return read_text(path, limit=ENV_LIMIT)
    except Unreadable as unreadable:
        raise SettingsError(str(unreadable)) from None


def secrets_from_files(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What `FORWARDER_MQTT_PASSWORD_FILE` and its like hold, by setting; and a sentence for each that fails."""
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
