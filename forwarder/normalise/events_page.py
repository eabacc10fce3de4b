"""
docs/events.md, made from the table of variables:

    python -m forwarder.normalise.events_page > docs/events.md
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from forwarder.normalise.example import EXAMPLE
from forwarder.variables import Variable, variables

_HEAD = """\
<!-- Made by `python -m forwarder.normalise.events_page`; edit forwarder/normalise/, not this page. -->

# Events

For developers of receivers. The page answers what a receiver is sent, and where each value comes from. Units stand in
the names. `forwarder schema event` prints the same as JSON Schema.

```json
{example}
```

- Absent values are left out. There is no `null`, NaN or Infinity anywhere.
- Numbers keep the digits that the device sent; only zeros at the end of a decimal may go (`200.9340` is `200.934`).
  A number with more digits than a double holds is still written with all of them.
- `id` follows from the device and the payload, and is the same however often the reading is sent.
- In a batch the type is `meter.readings` and `data` is an array of such objects.
"""

_TIMES = """\
## Times

All times are UTC in RFC 3339. `time_source` says where `measured_at` came from, the surest first:

| `time_source` | from |
| --- | --- |
| `timestamp` | a UNIX timestamp |
| `utc` | a `…_utc` time |
| `offset` | a time with its offset in digits, such as `+02:00` |
| `local` | a local time without a usable offset, in the time zone that `FORWARDER_TIMEZONE` names |
| `received` | none of these: the time of arrival |

- Times of the report come before those of the device (`sys.…`), which tell when it published.
- Devices end their local times in `Z`. It is believed in `…_utc` fields only.
- A local time in the hour that comes twice in October, or never in March, is the one nearest to its arrival.
- A date without a time tells no instant, and neither does a clock that is not set: one before 2001 or after 2099,
  because clocks that nobody has set begin in 2000 or 1970. The next of the times counts then; `extra` keeps a
  timestamp that does not.
- A clock that is ahead of its arrival by more than half an hour is kept as it is, and logged once for each device.
- The texts stay in `meter` and `system` as the device wrote them.
"""

_VALUES = """\
## Values

- Absent are: `null`, `"null"`, an empty text, NaN, Infinity, and a `${name}` that the device left as it stands.
- Quoted numbers are numbers. What is no number in a number's place is carried in `extra`.
- Of a value, or a JSON key, that comes twice the first stays; `extra` carries another one that differs. Objects become
  one, at every depth; several different values of a key in `extra` are an array. A template that gives a key twice
  says by its order what each is.
- What no rule knows is carried in `extra`, where it stood. An array of which something is left out there becomes an
  object keyed by position.
- With a template, its constants are carried in `extra` too; a payload with another constant is not of this template.

## Whose reading it is

The device is the last level of the topic. What the payload says counts like this (`FORWARDER_TRUST_PAYLOAD_DEVICE`):

| the topic's last level | the payload's own MAC (`sys.id`) | `false` | `true` |
| --- | --- | --- | --- |
| a MAC | the same, or none | that MAC | that MAC |
| a MAC | another one | `device_mismatch` | `device_mismatch` |
| another name | a MAC | that name; `extra` keeps the MAC where it stood | the payload's MAC |
| another name | none | that name | that name |
| empty, `.`, `..`, not printable, or over 128 characters | a MAC | `no_device` | the payload's MAC |

`auto`, the default, is `true` where `FORWARDER_MQTT_TOPIC` is set, and `false` below whatwatt's own topic. With `true`
everybody who may publish on such a topic can speak for every device; the broker's access rules say who that is.
`forwarder decode` says which of the two named the device.

## Quarantine

What cannot be read is quarantined, with one of these reasons:

| reason | the payload |
| --- | --- |
| `too_large` | is longer than `FORWARDER_MAX_MESSAGE_BYTES` |
| `not_utf8` | is no UTF-8 text |
| `not_json` | is no JSON, and no template says what else it is; or it is nested deeper than 32 levels |
| `template_mismatch` | is not of the template |
| `no_device` | names no device, and neither does the topic |
| `device_mismatch` | names another device than the topic: nobody gets it |
| `no_values` | holds nothing but a device, times or unknown values |
| `internal_error` | met an error in the forwarder itself, which its log tells; replay it after an update |
"""


def document() -> str:
    """The whole page."""
    head = _HEAD.replace("{example}", json.dumps(EXAMPLE, indent=2, ensure_ascii=False))
    return "\n".join([head, *_tables(), _TIMES, _VALUES, *_origins()])


def _tables() -> Iterator[str]:
    rows = {section: _of_section(section) for section in ("measurements", "", "volumes", "report")}
    yield _section("Measurements", "In `measurements`.", rows["measurements"])
    yield _section("Beside them", "At the top of `data`.", rows[""])
    for name in ("meter", "system", "network"):
        yield _section(name.capitalize(), f"In `{name}`.", _of_section(name))
    yield _section("Volumes", "In each entry of `volumes`, one for each bus.", rows["volumes"])
    yield _section("Report", "In `report`.", rows["report"])


def _section(title: str, where: str, rows: Sequence[Variable]) -> str:
    cells = ((f"`{row.key}`", _meaning(row), row.obis) for row in _unique(rows))
    return f"## {title}\n\n{where}\n\n{_table(('name', 'meaning', 'OBIS'), cells)}"


def _meaning(row: Variable) -> str:
    """With the unit, where the name does not end in it."""
    is_told = not row.unit or row.key.endswith(f"_{row.unit.lower()}")
    return row.meaning if is_told else f"{row.meaning}, {row.unit}"


def _of_section(section: str) -> list[Variable]:
    skipped = ("device", "timestamp", "date", "clock")
    return [row for row in variables() if row.section == section and row.kind not in skipped]


def _unique(rows: Iterable[Variable]) -> list[Variable]:
    return list({row.key: row for row in reversed(list(rows))}.values())[::-1]


def _origins() -> Iterator[str]:
    named_alike = [(row.name, "", "", "") for row in variables()]
    cells = (
        (f"`{row.name}`", *map(_code, _places(row)))
        for row in variables()
        if _places(row) not in named_alike
    )
    columns = ("in the event", "variable", "report", "live", "Home Assistant")
    yield (
        "## Where values come from\n\n"
        "The variables of templates, and the places of the payload shapes that need no template. A value of\n"
        "`network` is that of the variable of its name.\n\n" + _table(columns, cells)
    )


def _places(row: Variable) -> tuple[str, str, str, str]:
    names = ", ".join(name for name in (row.variable, row.alias) if name)
    return names, row.report_path, row.live_field, row.ha_field


def _code(text: str) -> str:
    return ", ".join(f"`{name}`" for name in text.split(", ") if name)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(document())
