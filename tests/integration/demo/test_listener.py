import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from forwarder.demo.listener import Answer, Listener, Received, always
from forwarder.routes.secrets import parse_signing_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
KEYS = [parse_signing_key(SECRET)]


def data(reading_id: str, device: str = "ECC9FF5C001A") -> dict[str, Any]:
    return {"id": reading_id, "device": device, "measurements": {"active_power_import_kw": 1.5}}


async def post(
    listener: Listener,
    document: Any,
    *,
    webhook_id: str = "msg_1",
    secret: str = SECRET,
    attempt: int = 1,
) -> int:
    """POST a document as the forwarder would, signed; the status that came back."""
    body, now = json.dumps(document), datetime.now(UTC)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body),
        "webhook-attempt": str(attempt),
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(listener.url, content=body, headers=headers)
    return answer.status_code


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with Listener(keys=KEYS) as running:
        yield running


async def test_signed_reading_is_accepted(listener: Listener) -> None:
    """A right signature is verified, and what came is on record."""
    assert await post(listener, {"type": "meter.reading", "data": data("msg_1")}, attempt=3) == 204
    (received,) = listener.received
    assert (received.verified, received.attempt, received.order) == (True, 3, 1)
    assert (received.device, received.reading_ids) == ("ECC9FF5C001A", ("msg_1",))


async def test_foreign_signature_is_answered_401(listener: Listener) -> None:
    """What another key signed is refused whatever the rule says, and says why."""
    assert await post(listener, {"data": data("msg_1")}, secret=OTHER_SECRET) == 401
    (received,) = listener.received
    assert (received.verified, received.verdict) == (False, "no_match")
    assert not listener.accepted


async def test_any_of_several_secrets_fits() -> None:
    """While a key is rotated, the old one still verifies."""
    async with Listener(keys=[*KEYS, parse_signing_key(OTHER_SECRET)]) as listener:
        assert await post(listener, {"data": data("msg_1")}, secret=OTHER_SECRET) == 204


async def test_without_secret_nothing_is_verified() -> None:
    """No secret is not a verified signature."""
    async with Listener() as listener:
        assert await post(listener, {"data": data("msg_1")}) == 204
        assert (listener.received[0].verdict, listener.received[0].problem) == (None, None)


async def test_repeat_is_a_duplicate_only_after_acceptance(listener: Listener) -> None:
    """A retry after a 503 brings the reading for the first time; a repeat after a 204 does not."""
    listener.answer = always(503)
    await post(listener, {"data": data("msg_1")})
    listener.answer = always(204)
    await post(listener, {"data": data("msg_1")}, attempt=2)
    await post(listener, {"data": data("msg_1")}, attempt=3)
    assert [one.is_duplicate for one in listener.received] == [False, False, True]
    assert [one.status for one in listener.received] == [503, 204, 204]
    assert listener.accepted["msg_1"].attempt == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (
            {"type": "meter.readings", "data": [data("msg_1"), data("msg_2", "B")]},
            "a standard batch",
        ),
        (
            [
                {"specversion": "1.0", "id": "msg_1", "data": data("msg_1")},
                {"specversion": "1.0", "id": "msg_2", "data": data("msg_2", "B")},
            ],
            "a CloudEvents batch",
        ),
    ],
)
async def test_batch_is_taken_apart(listener: Listener, document: Any, reason: str) -> None:
    """Each reading of a batch counts by its own id, so that a batch grouped anew brings no reading twice."""
    await post(listener, document, webhook_id="batch_1")
    await post(listener, {"data": data("msg_2", "B")}, webhook_id="msg_2")
    assert list(listener.accepted) == ["msg_1", "msg_2"], reason
    assert listener.received[1].is_duplicate


async def test_body_of_another_kind_is_on_record(listener: Listener) -> None:
    """Text that is no webhook of ours has no readings, and still one id to count by."""
    await post(listener, "just text")
    assert (listener.received[0].readings, list(listener.accepted)) == ((), ["msg_1"])


async def test_answers_follow_the_rule(listener: Listener) -> None:
    """The rule sees each request and decides status, headers and delay."""

    def rule(received: Received) -> Answer:
        status = 429 if received.attempt == 1 else 204
        return Answer(status, headers=(("retry-after", "1"),), delay_seconds=0.001)

    listener.answer = rule
    assert [await post(listener, {"data": data("msg_1")}, attempt=one) for one in (1, 2)] == [
        429,
        204,
    ]


async def test_hanging_up_is_no_answer(listener: Listener) -> None:
    """A receiver that closes the connection is a network error to the sender, and has accepted nothing."""
    listener.answer = lambda _received: Answer(204, hang_up=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await post(listener, {"data": data("msg_1")})
    assert (len(listener.received), listener.accepted) == (1, {})


async def test_stopped_listener_comes_back_on_its_port(listener: Listener) -> None:
    """An outage: connections are refused, then the same address answers again and nothing is forgotten."""
    await post(listener, {"data": data("msg_1")})
    port = listener.port
    await listener.stop()
    with pytest.raises(httpx.ConnectError):
        await post(listener, {"data": data("msg_2")})
    await listener.start()
    await post(listener, {"data": data("msg_2")}, webhook_id="msg_2")
    assert (listener.port, list(listener.accepted)) == (port, ["msg_1", "msg_2"])


async def test_until_returns_with_the_answer_that_makes_it_true(listener: Listener) -> None:
    """A test waits for a condition, not for time."""
    waiting = asyncio.create_task(
        listener.until(lambda: "msg_2" in listener.accepted, timeout_seconds=10)
    )
    for name in ("msg_1", "msg_2"):
        await post(listener, {"data": data(name)}, webhook_id=name)
    await waiting


async def test_memory_is_bounded_when_asked() -> None:
    """A listener that runs for days keeps the newest only."""
    async with Listener(remember=2) as listener:
        for name in ("msg_1", "msg_2", "msg_3"):
            await post(listener, {"data": data(name)}, webhook_id=name)
        assert [one.webhook_id for one in listener.received] == ["msg_2", "msg_3"]
        assert list(listener.accepted) == ["msg_2", "msg_3"]


async def talk(listener: Listener, wire: bytes) -> bytes:
    """What comes back on one connection for these raw bytes, until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(wire)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("wire", "statuses", "reason"),
    [
        (b"nonsense\r\n\r\n", [b"400"], "not HTTP"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", [b"405"], "not a POST"),
        (
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            [b"401"],
            "a chunked body is read",
        ),
        (
            b"GET / HTTP/1.1\r\n" + b"x: a\r\n" * 10_950,
            [b"431"],
            "a head without an end",
        ),
        (
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            [b"405", b"405"],
            "two requests on one connection",
        ),
    ],
)
async def test_any_bytes_get_a_proper_answer(
    listener: Listener, wire: bytes, statuses: list[bytes], reason: str
) -> None:
    answer = await talk(listener, wire)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == statuses, reason


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({}, b"[" * 100_000, "nested deeper than a reader goes"),
        ({}, b"9" * 10_000, "a number longer than Python reads"),
        ({"webhook-attempt": "9" * 5000}, b"{}", "an attempt that is no number of ours"),
    ],
)
async def test_hostile_requests_are_judged_like_any_other(
    listener: Listener, headers: dict[str, str], body: bytes, reason: str
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(listener.url, content=body, headers=headers)
    assert answer.status_code == 401, reason
    assert (listener.received[0].readings, listener.received[0].attempt) == ((), 0)
