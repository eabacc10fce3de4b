"""`format: template` writes a body by the endpoint's own template."""

from collections.abc import Sequence
from dataclasses import dataclass

from forwarder.body_template import BodyTemplate, NothingToSay, View
from forwarder.event_data import utf8
from forwarder.render.event import Event, Unrenderable, newest

READING, NOTICE = "meter.reading", "notice"
"""The types of single events; the data of a notice names its kind."""
_READINGS, _TEST = "meter.readings", "webhook.test"


@dataclass(frozen=True, slots=True)
class Templated:
    """One endpoint's renderer."""

    template: BodyTemplate
    endpoint: str
    content_type: str | None
    kind: str = READING

    @property
    def CONTENT_TYPE(self) -> str:  # noqa: N802 - as the modules have it
        return self.content_type or self.template.content_type

    @property
    def BATCH_CONTENT_TYPE(self) -> str:  # noqa: N802
        return self.CONTENT_TYPE

    @property
    def ENVELOPE_BYTES(self) -> int:  # noqa: N802
        return self.template.size

    def single(self, event: Event) -> bytes:
        """Raises Unrenderable."""
        return utf8(self._of_one(event, self.kind))

    def batch(self, events: Sequence[Event]) -> bytes:
        """Raises Unrenderable with every event of which the template makes nothing."""
        if self.template.takes_all:
            return utf8(self._of_all(events))
        texts: list[str] = []
        silent = {}
        for event in events:
            try:
                texts.append(self._of_one(event, self.kind))
            except Unrenderable as nothing:
                silent[event.webhook_id] = str(nothing)
        if silent:
            raise Unrenderable("; ".join(sorted(set(silent.values()))), silent)
        return self.template.join(texts)

    def test(self, event: Event, *, is_batched: bool) -> tuple[bytes, str]:
        """Raises Unrenderable."""
        text = self._of_one(event, _TEST)
        is_joined = is_batched and not self.template.takes_all
        return self.template.join([text]) if is_joined else utf8(text), self.CONTENT_TYPE

    def _of_one(self, event: Event, event_type: str) -> str:
        try:
            return self._write(event.data, event_type, event.measured_at)
        except NothingToSay as nothing:
            raise Unrenderable(str(nothing), [event.webhook_id]) from None

    def _of_all(self, events: Sequence[Event]) -> str:
        data = b"[" + b",".join([event.data for event in events]) + b"]"
        try:
            return self._write(data, _READINGS, newest(events))
        except NothingToSay as nothing:
            raise Unrenderable(str(nothing), [event.webhook_id for event in events]) from None

    def _write(self, data: bytes, event_type: str, timestamp: str) -> str:
        view = View(data, event_type=event_type, timestamp=timestamp, endpoint=self.endpoint)
        return self.template.write(view)
