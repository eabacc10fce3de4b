"""The normaliser turns a received message into a reading, or says why it cannot."""

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from forwarder.logs import logger
from forwarder.normalise.builder import Part, ReadingBuilder
from forwarder.normalise.decoding import decode_json, decode_text
from forwarder.normalise.device import Named, device_in_topic, quarantine_device
from forwarder.normalise.rules import described
from forwarder.normalise.shapes import known_shapes
from forwarder.normalise.template import Template
from forwarder.normalise.times import is_far_ahead
from forwarder.normalise.unusable import Unusable
from forwarder.normalise.values import Members, merged
from forwarder.reading import Device, JsonValue, Message, Reading, Unreadable, rfc3339

_NO_DEVICE = "neither the topic's last level nor the payload names a device"
_NO_DEVICE_IN_TOPIC = (
    "the topic's last level names no device, and what the payload says does not count"
    " (FORWARDER_TRUST_PAYLOAD_DEVICE)"
)
_UNHEEDED = (
    "the topic names the device, and extra keeps what the payload says;"
    " FORWARDER_TRUST_PAYLOAD_DEVICE=true lets it count, if everybody who may publish there is trusted"
)
_MOST_WARNED = 10_000
"""Most devices that are remembered as warned about, so that memory stays bounded whatever the topics are."""


NamedBy = Literal["topic", "payload"]


@dataclass(frozen=True, slots=True)
class Trace:
    """A message's outcome, and the part of the payload behind each value."""

    outcome: Reading | Unreadable
    parts: tuple[Part, ...]
    """Every known place that the payload has, in the order in which it was read."""
    named_by: NamedBy
    """Whether topic or payload named the device."""


class Normaliser:
    """Reads payloads by a template, or without one by the known shapes."""

    def __init__(
        self,
        *,
        timezone: ZoneInfo,
        max_message_bytes: int,
        trusts_payload_device: bool = False,
        template: Template | None = None,
    ) -> None:
        self.misfits = 0
        """Values in numeric places that were no numbers, since the start."""
        self.timezone = timezone
        self.max_message_bytes = max_message_bytes
        self.trusts_payload_device = trusts_payload_device
        """Whether the payload's own MAC names the device under a topic that ends in none."""
        self.template = template
        self._shapes = known_shapes()
        self._warned: set[tuple[str, Device]] = set()
        self._log = logger("normalise")

    def normalise(self, message: Message) -> Reading | Unreadable:
        """The reading, or the reason for the quarantine. It takes bounded time and never raises, whatever the bytes."""
        return self._outcome(message, ReadingBuilder())

    def trace(self, message: Message) -> Trace:
        """The same outcome as `normalise`, with the place of each value, for people."""
        parts: list[Part] = []
        builder = ReadingBuilder(parts)
        outcome = self._outcome(message, builder)
        named = device_in_topic(message.topic)
        is_of_payload = builder.device == outcome.device and not (named and named.is_mac)
        return Trace(outcome, tuple(parts), "payload" if is_of_payload else "topic")

    def _outcome(self, message: Message, builder: ReadingBuilder) -> Reading | Unreadable:
        named = device_in_topic(message.topic)
        if named is None or not named.is_mac:
            builder.heeds_device = self.trusts_payload_device
        try:
            self._require_size(message.size)
            extra = self.read(message.payload, builder)
            device = _device(named, builder)
            _require_values(builder)
            reading = self._reading(message, builder, device=device, extra=extra)
        except Unusable as why:
            own = builder.device if why.reason == "no_values" else None
            whose = quarantine_device(message.topic, own)
            return Unreadable(why.reason, why.detail, whose)
        except Exception as error:  # noqa: BLE001 - a defect in here must cost no message: quarantine keeps it
            self._log.error("message.broke", topic=message.topic, exc_info=error)
            return internal_error(message, error)
        self.misfits += builder.misfits
        return reading

    def read(self, payload: bytes, builder: ReadingBuilder) -> dict[str, JsonValue]:
        """Put the payload's values into the builder. Returns the part that `extra` keeps. Raises Unusable."""
        text = decode_text(payload)
        left = (
            self._read_shapes(text, builder)
            if self.template is None
            else self._read_by(self.template, text, builder)
        )
        return left if isinstance(left, dict) else {}

    def _require_size(self, size: int) -> None:
        if size > self.max_message_bytes:
            detail = f"the payload has {size} bytes, FORWARDER_MAX_MESSAGE_BYTES is {self.max_message_bytes}"
            raise Unusable("too_large", detail)

    def _read_shapes(self, text: str, builder: ReadingBuilder) -> JsonValue:
        document = _known_json(text)
        if not isinstance(document, Members):
            detail = (
                f"the payload is {described(document)}; without a template an object is expected"
            )
            raise Unusable("no_values", detail)
        return self._shapes.read(document, builder)

    def _read_by(self, template: Template, text: str, builder: ReadingBuilder) -> JsonValue:
        left = template.read(text, builder)
        if not builder.seen:
            raise Unusable("template_mismatch", "the payload has none of the template's variables")
        return left

    def _reading(
        self,
        message: Message,
        builder: ReadingBuilder,
        *,
        device: Device,
        extra: dict[str, JsonValue],
    ) -> Reading:
        found = builder.measured_at(zone=self.timezone, received_at=message.received_at)
        measured_at, time_source = found or (message.received_at, "received")
        is_wrong = builder.unset_clock or is_far_ahead(measured_at, received_at=message.received_at)
        # People see the trace itself, and need no log line.
        if (is_wrong or builder.unheeded) and builder.trace is None:
            self._warn_of(builder, device, rfc3339(measured_at), has_wrong_clock=is_wrong)
        return builder.reading(
            device=device,
            measured_at=measured_at,
            time_source=time_source,
            received_at=message.received_at,
            extra=merged(builder.leftover_clock(), extra),
        )

    def _warn_of(
        self, builder: ReadingBuilder, device: Device, measured_at: str, *, has_wrong_clock: bool
    ) -> None:
        if has_wrong_clock and self._is_first("clock", device):
            is_set = not builder.unset_clock
            self._log.warning(
                "clock.found_wrong", device=device, measured_at=measured_at, is_set=is_set
            )
        if builder.unheeded is not None and self._is_first("device", device):
            self._log.warning(
                "device.unheeded", device=device, in_payload=builder.unheeded, hint=_UNHEEDED
            )

    def _is_first(self, what: str, device: Device) -> bool:
        if (what, device) in self._warned or len(self._warned) >= _MOST_WARNED:
            return False
        self._warned.add((what, device))
        return True


def _known_json(text: str) -> JsonValue:
    try:
        return decode_json(text)
    except Unusable as why:
        if text.lstrip().startswith(("{", "[")):
            raise
        hint = (
            "text in a form of its own is read with its template, named by FORWARDER_TEMPLATE_FILE"
        )
        raise Unusable(why.reason, f"{why.detail}; {hint}") from None


def _require_values(builder: ReadingBuilder) -> None:
    if not builder.has_values:
        raise Unusable("no_values", "the payload holds no value that is known and present")


def internal_error(message: Message, error: Exception) -> Unreadable:
    """The outcome of a message on which the program itself broke."""
    detail = f"an error in the forwarder itself ({type(error).__name__}); replay it after an update"
    return Unreadable("internal_error", detail, quarantine_device(message.topic, None))


def _device(named: Named | None, builder: ReadingBuilder) -> Device:
    if builder.device is None:
        if named is None:
            raise Unusable("no_device", _NO_DEVICE if builder.heeds_device else _NO_DEVICE_IN_TOPIC)
        return named.device
    if builder.other_device is not None:
        raise Unusable(
            "device_mismatch",
            f"the payload names two devices, {builder.device} and {builder.other_device}",
        )
    if named is not None and named.is_mac and named.device != builder.device:
        raise Unusable(
            "device_mismatch", f"the topic names {named.device}, the payload {builder.device}"
        )
    return builder.device
