"""Where settings come from: the process's environment, a `.env` file below it, and secrets in files of their own."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from forwarder.errors import SettingsError

PREFIX = "FORWARDER_"
ENV_FILE = ".env"
SECRETS_BY_FILE = ("mqtt_username", "mqtt_password", "outbox_url")


def environment() -> dict[str, str]:
    """
    Every variable: those of the process, and beneath them those of `.env` in the working folder.

    Raises SettingsError when `.env` is there and cannot be read.
    """
    try:
        values = dotenv_values(ENV_FILE) if Path(ENV_FILE).is_file() else {}
    except OSError as unreadable:
        raise SettingsError(f"cannot read {ENV_FILE}: {unreadable.strerror}") from unreadable
    except UnicodeDecodeError as wrong:
        raise SettingsError(f"cannot read {ENV_FILE}: it is not UTF-8 text") from wrong
    return {**{name: value for name, value in values.items() if value is not None}, **os.environ}


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
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as unreadable:
        why = unreadable.strerror or "it cannot be opened"
        raise ValueError(f"{variable}_FILE: cannot read {path}: {why}") from unreadable
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{variable}_FILE: {path} is not UTF-8 text") from wrong
    if not secret:
        raise ValueError(f"{variable}_FILE: {path} is empty")
    return secret
