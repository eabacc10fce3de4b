"""
The check of `fields`: each must name something, because a misspelt one would keep values from its receiver for good.

The names are those of the table of variables. The content of `extra` depends on the payload, so a name in there is
never wrong, only doubtful.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from itertools import accumulate

from forwarder.routes.model import Endpoint
from forwarder.routes.problems import nearest, shown
from forwarder.variables import ALWAYS, SECTIONS, Variable, variables

_LISTED = SECTIONS - {"measurements", "extra"}
"""The sections whose names are written with a dot."""
_SEE = "; `forwarder schema event` lists them"


def require_name(field: str) -> None:
    """Raises ValueError with the nearest name when this name or glob fits nothing that an event can hold."""
    if not (_names_something(field) or _reaches_extra(field)):
        raise ValueError(f"no event has such a name{_hint(field)}")


def field_remarks(endpoints: Iterable[Endpoint]) -> list[str]:
    """A sentence for each field that only a payload of its own could fill."""
    return [
        f"endpoint {shown(endpoint.name)}: fields {shown(field)} names nothing that is known;"
        " it is sent where a payload holds it"
        for endpoint in endpoints
        for field in endpoint.fields or ()
        if not (_names_something(field) or _is_all_of_extra(field))
    ]


@lru_cache(maxsize=4096)
def _names_something(field: str) -> bool:
    """Whether `render.fields` finds anything by it: a glob without a dot reaches into measurements alone."""
    names = _paths() if "." in field else _names()
    return field in SECTIONS or any(fnmatchcase(name, field) for name in names)


def _reaches_extra(field: str) -> bool:
    literal = re.split(r"[*?\[]", field, maxsplit=1)[0]
    return "." in field and "extra.".startswith(literal[: len("extra.")])


def _is_all_of_extra(field: str) -> bool:
    return not field.removeprefix("extra.").strip("*")


@cache
def _names() -> frozenset[str]:
    """All names without a dot."""
    return ALWAYS | {one.field for one in variables() if "." not in one.field}


@cache
def _paths() -> frozenset[str]:
    return frozenset(f"{one.section}.{one.key}" for one in variables() if one.section)


def _hint(field: str) -> str:
    """A clause with the name that was meant: a device's own name for it, one of another section, or a similar one."""
    meant = _device_names().get(field) or next(filter(_names_something, _variants(field)), None)
    if meant is not None:
        return f"; did you mean {shown(meant)}?"
    section, _, key = field.partition(".")
    if section not in _LISTED:
        return nearest(field.removeprefix("measurements.").lower(), _choices()) or _SEE
    known = [one.key for one in variables() if one.section == section]
    close = get_close_matches(key.lower(), known, n=1)
    return (
        f"; did you mean {shown(f'{section}.{close[0]}')}?"
        if close
        else f"; known in {section}: {', '.join(dict.fromkeys(known))}"
    )


def _variants(field: str) -> Iterator[str]:
    """The names inside it, the names that begin with it, and the same name in each section."""
    for name in (field, *(f"{section}.{field}" for section in sorted(_LISTED))):
        yield from (name, f"{name}_*", f"{name}.*")


@cache
def _device_names() -> dict[str, str]:
    """The names of variables in templates, meters and the known shapes, each with its name in events."""
    return {name: one.field for one in reversed(variables()) for name in _others(one) if name}


def _others(one: Variable) -> tuple[str, ...]:
    return one.variable, one.alias, one.obis, one.report_path, one.live_field, one.ha_field


@cache
def _choices() -> tuple[str, ...]:
    """Every name, and globs of those that begin alike, the widest first."""
    names = [one.field for one in variables()]
    beginnings = [
        beginning + "_*"
        for name in names
        for beginning in accumulate(name.split("_")[:-1], "{}_{}".format)
    ]
    families = [glob for glob in dict.fromkeys(beginnings) if beginnings.count(glob) > 1]
    return (*sorted(families, key=len), *sorted(SECTIONS), *ALWAYS, *dict.fromkeys(names))
