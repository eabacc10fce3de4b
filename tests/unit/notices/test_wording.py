"""A notice as a row, as a body in each format, and as its schema says it."""

import json
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator
from support.clock import HandClock
from support.notices import BEGAN, HOSTILE, NOTICES

from forwarder.api.openapi import sent_schema
from forwarder.delivery import Delivery, ReadingNumber
from forwarder.notice import NOTICE_TYPES, DeviceSilent, EndpointFailing, Notice
from forwarder.notices import notice_schemas
from forwarder.notices.wording import new_notice
from forwarder.outbox import NewReading, Recipient
from forwarder.render import Rendered, render, render_test
from forwarder.render.notice import LONGEST_TEXT, chat_text
from forwarder.routes.model import Endpoint, EndpointName, NoticeFormat

SCHEMAS = notice_schemas()
SENT = sent_schema()
SLACK: dict[str, Any] = {
    "$comment": "docs.slack.dev/messaging: sending-messages-using-incoming-webhooks, formatting-message-text",
    "type": "object",
    "required": ["text"],
    "properties": {
        # & < and > act, unless written as entities; 40,000 letters, then it is cut off.
        "text": {
            "type": "string",
            "minLength": 1,
            "maxLength": 40_000,
            "pattern": r"^([^&<>]|&(amp|lt|gt);)*$",
        },
        "blocks": {"type": "array"},
        "attachments": {"type": "array"},
        "thread_ts": {"type": "string"},
        "mrkdwn": {"type": "boolean"},
        "unfurl_links": {"type": "boolean"},
        "unfurl_media": {"type": "boolean"},
        "response_type": {"type": "string"},
    },
    "additionalProperties": False,
}


def operator(form: NoticeFormat) -> Endpoint:
    return Endpoint(
        EndpointName("operator"), url="https://o.example", keys=(), format=form, events=("*",)
    )


def stored(notice: Notice) -> NewReading:
    return new_notice(notice, at=BEGAN + 1, endpoint="operator")


def rendered(notice: Notice, form: NoticeFormat) -> Rendered:
    """As it leaves after its way through the outbox."""
    row = stored(notice)
    delivery = Delivery(
        ReadingNumber(1),
        "operator",
        row.device,
        row.webhook_id,
        row.measured_at,
        BEGAN,
        BEGAN,
        0,
        row.data,
    )
    return render([delivery], endpoint=operator(form))


def test_there_is_a_notice_of_every_kind_here() -> None:
    assert {notice.TYPE for notice in NOTICES} == set(NOTICE_TYPES) == set(SCHEMAS)


@pytest.mark.parametrize("notice", NOTICES, ids=lambda one: one.TYPE)
def test_body_is_as_its_schema_says(notice: Notice) -> None:
    body = json.loads(rendered(notice, "standard").body)

    Draft202012Validator(SCHEMAS[notice.TYPE]).validate(body)
    assert body["type"] == notice.TYPE
    assert body["data"]["since"] == "2025-11-18T10:17:40.250Z"
    assert body["timestamp"] >= body["data"]["since"]


def test_printed_schema_is_one() -> None:
    Draft202012Validator.check_schema(SENT)


@pytest.mark.parametrize("form", ["standard", "text", "cloudevents"])
@pytest.mark.parametrize("notice", NOTICES, ids=lambda one: one.TYPE)
def test_printed_schema_has_every_body(notice: Notice, form: NoticeFormat) -> None:
    """`forwarder schema event` is for the operator's receiver too."""
    Draft202012Validator(SENT).validate(json.loads(rendered(notice, form).body))


@pytest.mark.parametrize("notice", NOTICES, ids=lambda one: one.TYPE)
def test_schema_of_a_cloudevent_goes_by_its_type(notice: Notice) -> None:
    """Under another type the same data does not fit."""
    body = json.loads(rendered(notice, "cloudevents").body)
    kinds = {f"ch.whatwatt.{kind}" for kind in NOTICE_TYPES} - {body["type"]}
    validator = Draft202012Validator(SENT)

    assert not [kind for kind in kinds if validator.is_valid(body | {"type": kind})]


@pytest.mark.parametrize("kind", NOTICE_TYPES)
def test_schema_is_sound_and_closed(kind: str) -> None:
    """It is one, and a member that it does not know is not let through."""
    Draft202012Validator.check_schema(SCHEMAS[kind])
    notice = next(one for one in NOTICES if kind == one.TYPE)
    body = json.loads(rendered(notice, "standard").body)
    body["data"]["more"] = 1

    assert not Draft202012Validator(SCHEMAS[kind]).is_valid(body)


@pytest.mark.parametrize("notice", NOTICES, ids=lambda one: one.TYPE)
def test_text_is_what_slack_takes(notice: Notice) -> None:
    """One sentence on one line, and nothing in it that a chat would act on."""
    request = rendered(notice, "text")
    body = json.loads(request.body)

    Draft202012Validator(SLACK).validate(body)
    assert request.content_type == "application/json"
    assert body["text"].isprintable()
    assert not set("@`*") & set(body["text"])


def test_hostile_name_is_shown_and_calls_nobody() -> None:
    text = json.loads(rendered(DeviceSilent(HOSTILE, BEGAN, 600.0), "text").body)["text"]

    assert text.startswith("‹!channel› + \"＠all\" 'rm'")


def test_long_text_is_cut() -> None:
    assert len(chat_text("x" * 5000)) == LONGEST_TEXT


@pytest.mark.parametrize("notice", NOTICES, ids=lambda one: one.TYPE)
def test_cloudevent_is_sound(notice: Notice) -> None:
    request = rendered(notice, "cloudevents")
    message = HTTPMessage(headers={"content-type": request.content_type}, body=request.body)
    event = from_http_event(message, JSONFormat())

    assert event.get_type() == f"ch.whatwatt.{notice.TYPE}"
    assert event.get_source() == "urn:whatwatt:forwarder"
    assert event.get_id() == request.webhook_id


@pytest.mark.parametrize("form", ["standard", "text", "cloudevents"])
def test_test_event_is_in_the_form_of_the_operator(form: NoticeFormat) -> None:
    body = json.loads(render_test(operator(form), now=HandClock().now()).body)

    assert "It works." in json.dumps(body)
    Draft202012Validator(SENT).validate(body)
    if form == "cloudevents":
        assert body["source"] == "urn:whatwatt:forwarder"
    if form == "text":
        Draft202012Validator(SLACK).validate(body)


def test_id_follows_from_type_subject_and_beginning() -> None:
    """Made anew after a crash, with other words, it is the same notice; another outage is another."""
    first = stored(EndpointFailing("acme", BEGAN, "http_503", 5))
    again = stored(EndpointFailing("acme", BEGAN, "timeout", 9))
    later = stored(EndpointFailing("acme", BEGAN + 1, "http_503", 5))
    other = stored(EndpointFailing("home", BEGAN, "http_503", 5))

    assert first.webhook_id == again.webhook_id
    assert len({first.webhook_id, later.webhook_id, other.webhook_id}) == 3


def test_notice_goes_to_the_operator_in_the_lane_of_its_subject() -> None:
    """So a device's notices are erased with the device."""
    row = stored(DeviceSilent("ECC9FF5C7F14", BEGAN, 600.0))

    assert (row.device, row.recipients) == ("ECC9FF5C7F14", (Recipient("operator"),))
