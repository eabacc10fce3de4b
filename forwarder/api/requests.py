"""The forms of requests: filters, cursors and bodies. pydantic says what is wrong with them."""

import base64
import json
import time
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from forwarder.delivery import DeadReason
from forwarder.errors import ConfigurationError
from forwarder.operator.choosing import DeliveryState, instant_meant
from forwarder.operator.sharing import DEFAULT_SECONDS
from forwarder.outbox import Selection
from forwarder.reading import Device, QuarantineReason, parse_mac
from forwarder.units import format_duration, parse_duration

DEFAULT_LIMIT = 100
MOST_ITEMS = 1000
LONGEST_CURSOR = 200

Position = tuple[float | int | str, ...]
"""The place where a list goes on: the sort values of the last row that was given."""


def _device(value: object) -> object:
    return (parse_mac(value) or Device(value)) if isinstance(value, str) else value


def _instant(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return instant_meant(value, now=time.time())
    except ConfigurationError as wrong:
        raise ValueError(str(wrong)) from None


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def encode_cursor(position: Position) -> str:
    """A position as text that can stand in a query."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Position:
    """The position in such a text. Raises ValueError for a text that no list has given."""
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        values = None
    is_position = isinstance(values, list) and all(map(_may_be_sorted_by, values))
    if values is None or not is_position:
        raise ValueError("it is not a cursor that a list has given as `next`")
    return tuple(values)


def _may_be_sorted_by(value: object) -> bool:
    if isinstance(value, int):
        return type(value) is int and abs(value) < 1 << 62
    return isinstance(value, float | str)


def _cursor(text: str) -> str:
    decode_cursor(text)
    return text


InstantMeant = Annotated[
    float,
    BeforeValidator(_instant, json_schema_input_type=str),
    Field(description="RFC 3339, or 2h for two hours ago"),
]
DurationMeant = Annotated[float, BeforeValidator(_duration, json_schema_input_type=str)]
DeviceMeant = Annotated[
    Device, BeforeValidator(_device), Field(description="a MAC in any spelling")
]
Cursor = Annotated[
    str,
    Field(max_length=LONGEST_CURSOR, description="`next` of the list before"),
    AfterValidator(_cursor),
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Filters(_Form):
    """What narrows rows down; what is absent does not."""

    device: DeviceMeant | None = None
    since: InstantMeant | None = None
    until: InstantMeant | None = None

    def selection(self, **further: Any) -> Selection:
        """The filters as the outbox takes them."""
        names = ("endpoint", "device", "reason", "state", "since", "until")
        given = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return Selection(**given, **further)


class _Part(_Form):
    """One part of a list."""

    sorted_by: ClassVar[tuple[type, ...]]
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MOST_ITEMS)
    cursor: Cursor | None = None

    @property
    def position(self) -> Position:
        """The row behind which the list goes on; empty at first. Raises ConfigurationError for another list's one."""
        position = () if self.cursor is None else decode_cursor(self.cursor)
        if position and tuple(map(type, position)) != self.sorted_by:
            raise ConfigurationError("that cursor belongs to another list")
        return position


class _List(Filters, _Part):
    pass


class DeliveryList(_List):
    """Deliveries in any state."""

    sorted_by = (int, int)
    endpoint: str | None = None
    state: DeliveryState | None = None


class DeadLetterList(_List):
    """Dead letters."""

    sorted_by = (float, int, int)
    endpoint: str | None = None
    reason: DeadReason | None = None


class DeviceList(_Part):
    """Devices, by name."""

    sorted_by = (str,)
    silent: bool = Field(default=False, description="those that should have reported by now")
    unrouted: bool = Field(default=False, description="those that no endpoint wants")

    @property
    def last(self) -> str:
        """The name behind which the list goes on."""
        return str(self.position[0]) if self.position else ""


class QuarantineList(_List):
    """Messages in quarantine."""

    sorted_by = (int,)
    reason: QuarantineReason | None = None


class Which(_Form):
    """Which of a reading's deliveries is meant."""

    endpoint: str | None = Field(None, description="only what is owed to this endpoint")


class Nothing(_Form):
    """No parameter at all."""


class DryRun(_Form):
    """Whether anything is to be changed."""

    dry_run: bool = Field(default=False, description="only say how many it would touch")


class _Chosen(Filters):
    """Ids, or filters; everything only where `all` says so."""

    ids: tuple[str, ...] = Field((), max_length=MOST_ITEMS)
    all: bool = Field(
        default=False, description="every one, where neither ids nor a filter are given"
    )

    @model_validator(mode="after")
    def _says_which(self) -> "_Chosen":
        if not (self.ids or self.all or self.selection().narrows):
            raise ValueError("say which are meant: ids, a filter, or all: true")
        return self


class ChosenDeadLetters(_Chosen):
    """The dead letters that are meant."""

    endpoint: str | None = None
    reason: DeadReason | None = None


class ReplayedDeadLetters(ChosenDeadLetters):
    """The same, and who gets them."""

    to: str | None = Field(None, description="the endpoint that gets them instead")


class ChosenMessages(_Chosen):
    """The messages in quarantine that are meant."""

    reason: QuarantineReason | None = None


class AuditList(_Part):
    """What people changed."""

    sorted_by = (int,)

    @property
    def before(self) -> int | None:
        """The number of the record behind which the list goes on."""
        return int(self.position[0]) if self.position else None


class LinkWanted(_Form):
    """How long a link works."""

    seconds: DurationMeant = Field(
        DEFAULT_SECONDS,
        alias="for",
        description="a duration such as 12h or 7d, 366d at most",
        json_schema_extra={"default": format_duration(DEFAULT_SECONDS)},
    )


class DecodeQuery(_Form):
    """Where a payload came on."""

    topic: str | None = Field(
        None, max_length=65535, description="the topic it came on; its last level names the device"
    )


class RoutesQuery(_Form):
    """Which device the routes are asked about."""

    device: DeviceMeant | None = None


def sentences(errors: Sequence[Any]) -> list[str]:
    """pydantic's errors, each as one clause that names the parameter and never repeats the given value."""
    return [
        f"{'.'.join(map(str, error['loc'])) or 'the body'}: {error['msg'].removeprefix('Value error, ')}"
        for error in errors
    ]
