"""The stage itself: a message as it was received becomes a reading as it is understood, or says why it cannot."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from forwarder.logs import logger
from forwarder.normalise.decoding import decode_json, decode_text
from forwarder.normalise.device import device_in_topic, quarantine_device
from forwarder.normalise.draft import Draft, Part
from forwarder.normalise.rules import described
from forwarder.normalise.shapes import known_shapes
from forwarder.normalise.template import Template
from forwarder.normalise.times import is_far_ahead
from forwarder.normalise.unusable import Unusable
from forwarder.reading import Device, JsonValue, Message, Reading, Unreadable, rfc3339

_MOST_WARNED = 10_000
"""Devices that are remembered as warned about; memory stays bounded whatever the topics are."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of a message, and which part of the payload gave which value."""

    outcome: Reading | Unreadable
    parts: tuple[Part, ...]
    """Every known place that the payload has, in the order in which it was read."""


class Normaliser:
    """Reads payloads by a template, or without one by the known shapes."""

    def __init__(
        self, *, timezone: ZoneInfo, max_message_bytes: int, template: Template | None = None
    ) -> None:
        self.misfits = 0
        """Values that stood in numeric places and were no numbers, since the start."""
        self.timezone = timezone
        self.max_message_bytes = max_message_bytes
        self.template = template
        self._shapes = known_shapes()
        self._warned: set[Device] = set()
        self._log = logger("normalise")

    def normalise(self, message: Message) -> Reading | Unreadable:
        """The reading, or the reason for the quarantine. Never raises, in bounded time, for any bytes."""
        return self._outcome(message, Draft())

    def trace(self, message: Message) -> Trace:
        """The same outcome, with the place of each value; for people."""
        parts: list[Part] = []
        outcome = self._outcome(message, Draft(parts))
        return Trace(outcome, tuple(parts))

    def _outcome(self, message: Message, draft: Draft) -> Reading | Unreadable:
        try:
            extra = self.read(message.payload, draft)
            device = _device(message.topic, draft)
            _require_values(draft)
        except Unusable as why:
            named = draft.device if why.reason == "no_values" else None
            return Unreadable(why.reason, why.detail, quarantine_device(message.topic, named))
        self.misfits += draft.misfits
        return self._reading(message, draft, device=device, extra=extra)

    def read(self, payload: bytes, draft: Draft) -> dict[str, JsonValue]:
        """Put what a payload holds into the draft, no more; returns what `extra` keeps. Raises Unusable."""
        if len(payload) > self.max_message_bytes:
            detail = f"the payload has {len(payload)} bytes, MAX_MESSAGE_BYTES is {self.max_message_bytes}"
            raise Unusable("too_large", detail)
        text = decode_text(payload)
        left = (
            self._read_shapes(text, draft)
            if self.template is None
            else self._read_by(self.template, text, draft)
        )
        return left if isinstance(left, dict) else {}

    def _read_shapes(self, text: str, draft: Draft) -> JsonValue:
        document = _known_json(text)
        if not isinstance(document, dict):
            detail = (
                f"the payload is {described(document)}; without a template an object is expected"
            )
            raise Unusable("no_values", detail)
        return self._shapes.take(document, draft)

    def _read_by(self, template: Template, text: str, draft: Draft) -> JsonValue:
        left = template.take(text, draft)
        if not draft.seen:
            raise Unusable("template_mismatch", "the payload has none of the template's variables")
        return left

    def _reading(
        self, message: Message, draft: Draft, *, device: Device, extra: dict[str, JsonValue]
    ) -> Reading:
        found = draft.measured_at(zone=self.timezone, received_at=message.received_at)
        measured_at, time_source = found or (message.received_at, "received")
        if draft.unset_clock or is_far_ahead(measured_at, received_at=message.received_at):
            self._warn(device, rfc3339(measured_at), is_set=not draft.unset_clock)
        return draft.reading(
            device=device,
            measured_at=measured_at,
            time_source=time_source,
            received_at=message.received_at,
            extra=draft.leftover_clock() | extra,
        )

    def _warn(self, device: Device, measured_at: str, *, is_set: bool) -> None:
        if device not in self._warned and len(self._warned) < _MOST_WARNED:
            self._warned.add(device)
            self._log.warning(
                "clock.found_wrong", device=device, measured_at=measured_at, is_set=is_set
            )


def _known_json(text: str) -> JsonValue:
    try:
        return decode_json(text)
    except Unusable as why:
        if text.lstrip().startswith(("{", "[")):
            raise
        hint = "text in a form of its own is read with its template, named by TEMPLATE_FILE"
        raise Unusable(why.reason, f"{why.detail}; {hint}") from None


def _require_values(draft: Draft) -> None:
    if not draft.has_values:
        raise Unusable("no_values", "the payload holds no value that is known and present")


def _device(topic: str, draft: Draft) -> Device:
    named = device_in_topic(topic)
    if draft.device is None:
        if named is None:
            raise Unusable(
                "no_device", "neither the topic's last level nor the payload names a device"
            )
        return named.device
    if draft.other_device is not None:
        raise Unusable(
            "device_mismatch",
            f"the payload names two devices, {draft.device} and {draft.other_device}",
        )
    if named is not None and named.is_mac and named.device != draft.device:
        raise Unusable(
            "device_mismatch", f"the topic names {named.device}, the payload {draft.device}"
        )
    return draft.device
