"""
Notices to the operator in each format that `operator:` takes. A notice's stored data object begins with its `type`.

    standard     {"type":"endpoint.failing","timestamp":…,"data":{"id":…,"endpoint":…,"message":…}}
    text         {"text":"one sentence"}, as the incoming webhooks of Slack, Mattermost and Google Chat take it
    cloudevents  CloudEvents 1.0 in structured mode
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from forwarder.event_data import NumberText, write_json
from forwarder.notice import OPERATOR
from forwarder.reading import Device
from forwarder.render import cloudevents, standard
from forwarder.render.event import Event, Renderer, TestEvent
from forwarder.terminal import plain

LONGEST_TEXT = 1000
"""The most letters of a sentence to a chat, far below the limit of any chat."""

TEST_TEXT = "It works. The whatwatt webhook forwarder tells here what it notices."
"""The sentence explains itself, because readers of the chat have not sent the test."""

_decode = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText).decode
# Chats act on some letters: `<!channel>` or `@all` in a device's name would call everybody.
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "&": "+", "@": "＠", "`": "'", "*": "×"})


class _Single:
    """A format of notices, which are sent one by one."""

    ENVELOPE_BYTES = 0

    def batch(self, events: Sequence[Event]) -> bytes:
        raise NotImplementedError("notices are not batched")


class _Standard(_Single):
    CONTENT_TYPE = BATCH_CONTENT_TYPE = standard.CONTENT_TYPE

    def single(self, event: Event) -> bytes:
        kind, data = _split(event)
        return standard.envelope(kind, timestamp=event.measured_at, data=write_json(data))

    def test(self, event: Event, *, is_batched: bool) -> tuple[bytes, str]:
        return standard.test(event, is_batched=is_batched)


class _Text(_Single):
    CONTENT_TYPE = BATCH_CONTENT_TYPE = "application/json"

    def single(self, event: Event) -> bytes:
        return write_json({"text": chat_text(str(_decode(event.data.decode())["message"]))})

    def test(self, event: Event, *, is_batched: bool) -> tuple[bytes, str]:  # noqa: ARG002 - the seam's
        return write_json({"text": TEST_TEXT}), self.CONTENT_TYPE


class _CloudEvents(_Single):
    CONTENT_TYPE = BATCH_CONTENT_TYPE = cloudevents.CONTENT_TYPE

    def single(self, event: Event) -> bytes:
        kind, data = _split(event)
        return cloudevents.write(
            kind, event, data=write_json(data), source=cloudevents.SERVICE_SOURCE
        )

    def test(self, event: Event, *, is_batched: bool) -> tuple[bytes, str]:  # noqa: ARG002 - the seam's
        own = TestEvent(event.webhook_id, Device(OPERATOR), event.measured_at, event.data)
        body = cloudevents.write(
            "webhook.test", own, data=own.data, source=cloudevents.SERVICE_SOURCE
        )
        return body, self.CONTENT_TYPE


NOTICE_FORMATS: Mapping[str, Renderer] = {
    "standard": _Standard(),
    "text": _Text(),
    "cloudevents": _CloudEvents(),
}
"""Each `format` of `operator:`, and its renderer."""


def _split(event: Event) -> tuple[str, dict[str, Any]]:
    data: dict[str, Any] = _decode(event.data.decode())
    return str(data.pop("type")), data


def chat_text(sentence: str) -> str:
    """The sentence as a chat shows it: on one line, without anything that a chat would act on."""
    line = plain(" ".join(sentence.translate(_HARMLESS).split()))
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
