"""The settings as a JSON Schema for editors, and sentences for variables that are no setting."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from forwarder.files import printable
from forwarder.settings.environment import PREFIX, SECRETS_BY_FILE
from forwarder.settings.model import Settings
from forwarder.settings.sentences import DURATIONS
from forwarder.units import format_duration

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def settings_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the environment: every value is text, as variables are."""
    properties: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        properties[variable] = _property(name, field)
        if name in SECRETS_BY_FILE:
            description = f"a file that holds {variable}"
            properties[f"{variable}_FILE"] = {"type": "string", "description": description}
    return {
        "$schema": _DRAFT,
        "title": "whatwatt webhook forwarder: settings",
        "description": "Environment variables, or lines of a .env file.",
        "type": "object",
        "properties": properties,
    }


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that has our prefix and is no setting, with the nearest setting."""
    known = list(settings_schema()["properties"])
    strangers = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [_stranger(name, known) for name in strangers]


def _stranger(name: str, known: list[str]) -> str:
    name = printable(name)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"{name} is no setting and is ignored{hint}"


def _property(name: str, field: FieldInfo) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "description": field.description}
    choices = [choice for form in _forms(field) for choice in get_args(form)]
    if choices:
        schema["enum"] = choices
    if field.annotation is bool:
        schema["enum"] = ["true", "false"]
    default = _default(name, field.default)
    return {**schema, "default": default} if default else schema


def _default(name: str, value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, float) and name in DURATIONS:
        return format_duration(value)
    if name.endswith("_bytes") and isinstance(value, int):
        return _size_words(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _forms(field: FieldInfo) -> list[object]:
    """The Literal types in a field's annotation, alone or beside None."""
    candidates = (field.annotation, *get_args(field.annotation))
    return [form for form in candidates if get_origin(form) is Literal]


def _size_words(size: int) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return str(size)
