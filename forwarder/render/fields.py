"""
`fields` chooses the parts of a reading that an endpoint is sent.

    active_power_*     measurements by name or glob; `tariff` and `conversion_factor` likewise
    meter.id           one value of a section; globs too: `network.*`, `extra.*`, `volumes.meter_*`
    meter              a whole section, by its exact name
    *                  everything

A glob without a dot neither reaches into a section nor takes a whole one: `v*` sends voltages and not the volumes.
`id`, `device`, `measured_at`, `time_source` and `received_at` are always sent.
"""

import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import lru_cache

from forwarder.event_data import NumberText, write_json
from forwarder.reading import JsonValue
from forwarder.variables import ALWAYS, SECTIONS

_NOTHING = "(?!)"
_decode = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText).decode


def keep_fields(data: bytes, *, fields: tuple[str, ...]) -> bytes:
    """The data object with only these fields in it; every value that stays keeps its digits."""
    if "*" in fields:
        return data
    selection = _compile(fields)
    members: dict[str, JsonValue] = _decode(data.decode())
    kept = {name: selection.part(name, value) for name, value in members.items()}
    return write_json(kept)


class Selection:
    """The compiled `fields` of one endpoint."""

    __slots__ = ("_exact", "_names", "_paths", "_wants_measurement")

    def __init__(self, fields: Iterable[str]) -> None:
        self._exact = frozenset(fields)
        self._names = _any_of(field for field in self._exact if "." not in field)
        self._paths = _any_of(field for field in self._exact if "." in field)
        # Matches are cached, because the same few names come with every reading.
        self._wants_measurement = lru_cache(maxsize=1024)(self._matches_measurement)

    def part(self, name: str, value: JsonValue) -> JsonValue:
        """The part of one top-level member of the data object that is sent; None when nothing is."""
        if name in ALWAYS or name in self._exact:
            return value
        if name == "measurements" and isinstance(value, Mapping):
            return {key: item for key, item in value.items() if self._wants_measurement(key)}
        if name in SECTIONS:
            return self._within(name, value)
        return value if self._names.fullmatch(name) else None

    def _matches_measurement(self, name: str) -> bool:
        return bool(self._names.fullmatch(name) or self._paths.fullmatch(f"measurements.{name}"))

    def _within(self, path: str, value: JsonValue) -> JsonValue:
        """A section's value with only the wanted paths; `volumes` are matched as if each were the only one."""
        if "." in path and self._paths.fullmatch(path):
            return value
        if isinstance(value, Mapping):
            members = ((key, self._within(f"{path}.{key}", item)) for key, item in value.items())
            return {key: item for key, item in members if item is not None} or None
        if isinstance(value, list):
            items = (self._within(path, item) for item in value)
            return [item for item in items if item is not None] or None
        return None


_compile = lru_cache(maxsize=256)(Selection)


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, globs)) or _NOTHING)
