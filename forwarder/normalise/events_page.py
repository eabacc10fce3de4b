"""
docs/events.md, made from the table of variables:

    python -m forwarder.normalise.events_page > docs/events.md
"""

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from forwarder.normalise.example import EXAMPLE
from forwarder.variables import Variable, variables

_HEAD = """\
<!-- Made by `python -m forwarder.normalise.events_page`; edit forwarder/normalise/, not this page. -->

# Events

For developers of receivers. The page answers what a receiver is sent, and where each value comes from.
`forwarder schema event` prints the same as JSON Schema.

```json
{example}
```

- Absent values are left out. There is no `null`, NaN or Infinity anywhere.
- Numbers keep the device's digits, even more than a double holds: parse them as decimals. Only zeros at the end may go.
- A batch holds [several](receiving.md#what-arrives).

## Measurements

`measurements` holds what [this table](#where-values-come-from) lists, `active_energy_import_kwh` to `power_factor`.
A name says what it is, and its unit. `import` is A+ or Q+, `export` A- or Q-; `t1` and `t2` are tariffs, `l1` to `l3`
phases; without them it is the total. Energies are registers, demands maxima, all else is instantaneous.
`import_inductive` is Q1, `import_capacitive` Q2, `export_inductive` Q3, `export_capacitive` Q4.
"""

_TIMES = """\
## Times

All times are UTC in RFC 3339. `time_source` says where `measured_at` came from, the surest first:

| `time_source` | from |
| --- | --- |
| `timestamp` | a UNIX timestamp |
| `utc` | a `…_utc` time |
| `offset` | a time with its offset in digits, such as `+02:00` |
| `local` | a local time, in the zone of `FORWARDER_TIMEZONE` |
| `received` | the time of arrival |

- The report's times come before the device's (`sys.…`).
- A `Z` is believed in `…_utc` fields only, because devices end local times in it.
- A local time that comes twice in October, or never in March, is the one nearest to its arrival.
- A date alone, and a clock before 2001 or after 2099, tell no instant: the next time counts.
- A clock that is ahead by more than half an hour is kept as it is, and logged once.
"""

_VALUES = """\
## Values

- Absent are: `null`, `"null"`, an empty text, NaN, Infinity, and a `${name}` left as it stands.
- Quoted numbers are numbers. What is no number in a number's place is carried in `extra`.
- Of a value, or a JSON key, that comes twice the first stays; `extra` carries another that differs, several as an
  array. A template that gives a key twice says by its order what each is.
- What no rule knows is carried in `extra`, where it stood. An array of which something is left out becomes an object
  keyed by position.
- A template's constants are carried in `extra`; a payload with another constant is not of this template.
- What cannot be read is [quarantined](operating.md#quarantine).

## Whose reading it is

The device is the last level of the topic, unless `FORWARDER_TRUST_PAYLOAD_DEVICE` lets the payload decide:

| the topic's last level | the payload's MAC (`sys.id`) | `false` | `true` |
| --- | --- | --- | --- |
| a MAC | the same, or none | that MAC | that MAC |
| a MAC | another one | `device_mismatch` | `device_mismatch` |
| another name | a MAC | that name; `extra` keeps the MAC | the payload's MAC |
| another name | none | that name | that name |
| empty, `.`, `..`, not printable, or over 128 characters | a MAC | `no_device` | the payload's MAC |

`auto`, the default, is `true` where `FORWARDER_MQTT_TOPIC` is set, and `false` below whatwatt's own topic. With `true`
everybody who may publish on such a topic speaks for every device. `forwarder decode` says which of the two named it.
"""


_BESIDE = """\
## Beside them

`meter`, `system`, `volumes` (one for each bus) and `report` hold what [the last table](#where-values-come-from) lists.
`forwarder schema event` tells what each means. These names say too little:

"""

_SAY_IT = frozenset(
    {
        "meter.date_time_local",
        "meter.date_time_utc",
        "meter.id",
        "meter.model",
        "meter.protocol_version",
        "meter.type",
        "meter.vendor",
        "report.interval_s",
        "system.date_time_local",
        "system.date_time_utc",
        "system.firmware",
        "system.uptime_s",
        "volumes[n].bus",
        "volumes[n].meter_id",
    }
)
"""Names that mean what they say."""


def document() -> str:
    """The whole page."""
    head = _HEAD.replace("{example}", json.dumps(EXAMPLE, indent=2, ensure_ascii=False))
    return "\n".join([head, *_tables(), _TIMES, _VALUES, *_origins()])


def _tables() -> Iterator[str]:
    sections = ("", "meter", "system", "volumes", "report")
    rows = [row for section in sections for row in _unique(_of_section(section))]
    cells = ((f"`{row.name}`", _meaning(row)) for row in rows if row.name not in _SAY_IT)
    yield _BESIDE + _table(("name", "meaning"), cells)
    names = ", ".join(f"`{row.key}`" for row in _unique(_of_section("network")))
    text = f"`network` holds, each with the variable of its name: {names}; signal in dBm, voltages in V.\n"
    yield textwrap.fill(text, 120, break_on_hyphens=False) + "\n"


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
        "The variables of templates (digits are the OBIS code), and the places of the shapes that need no template.\n\n"
        + _table(columns, cells)
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
