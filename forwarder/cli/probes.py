"""
The probes of `forwarder certify` are requests as the forwarder sends them, and forgeries of them.

A Probe has one request or several, and says whether a sound receiver takes it (2xx) or rejects it (4xx).
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import httpx

from forwarder.demo.samples import samples
from forwarder.reading import rfc3339
from forwarder.render import Rendered, render
from forwarder.routes.model import BatchLimits, Endpoint, SigningKey
from forwarder.sender.failure import TransportFailure
from forwarder.signing import signature_headers

AT_ONCE = 8
SLOW_SECONDS = 3.0
"""A receiver is slow from here on. One that answers first and works after is far quicker."""
_HOUR = 3600
_LARGE_BYTES = 64 << 10
_VERIFY = "reject what does not verify, with 401"

Expected: TypeAlias = Literal["taken", "rejected", "answered"]
_EXPECTED = {
    "taken": "a 2xx",
    "rejected": "a 4xx, best 401",
    "answered": "any answer but a 5xx",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready but for the connection."""

    body: bytes
    headers: tuple[tuple[str, str], ...]
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Probe:
    """Requests, sent one after the other or all at once, and a sound receiver's answer to the last."""

    name: str
    expected: Expected
    requests: tuple[Request, ...]
    advice: str
    is_at_once: bool = False
    is_on_new_connection: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a receiver's answers to one probe."""

    probe: Probe
    answers: tuple[str, ...]
    """The statuses, or why there was none."""
    seconds: float
    problem: str = field(default="")
    """The fault of the receiver; empty when there is none."""

    @property
    def is_passed(self) -> bool:
        return not self.problem


@dataclass(frozen=True, slots=True)
class Forge:
    """Makes requests with one endpoint's key."""

    endpoint: Endpoint
    key: SigningKey

    def event(self, kind: str = "webhook.test", **data: object) -> bytes:
        """An event in our own form, with `data` in it."""
        now = rfc3339(datetime.now(UTC))
        told = {"endpoint": "certify", "message": "It works.", **data}
        return json.dumps(
            {"type": kind, "timestamp": now, "data": told},
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()

    def signed(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        webhook_id: str = "",
        age_seconds: int = 0,
        attempt: int = 1,
        key: SigningKey | None = None,
    ) -> Request:
        headers = signature_headers(
            webhook_id or f"test_{secrets.token_hex(16)}",
            unix_second=int(time.time()) - age_seconds,
            attempt=attempt,
            body=body,
            keys=[key or self.key],
        )
        return Request(body, (("content-type", content_type), *headers))


def altered(request: Request, header: str, change: Callable[[str], str]) -> Request:
    """The request with one header changed, or taken out if the new value is empty."""
    changed = [
        (name, change(value) if name == header else value) for name, value in request.headers
    ]
    return replace(request, headers=tuple(pair for pair in changed if pair[1]))


def probes(forge: Forge, *, with_readings: bool) -> Iterator[Probe]:
    """Every probe, the plainest first."""
    yield from _repeated(forge)
    yield from _unusual(forge)
    yield from _forms(forge)
    if with_readings:
        yield from _readings(forge)
    yield from _tampered(forge)
    yield from _not_signed(forge)
    yield from _of_another_time(forge)
    yield from _of_http(forge)


def _taken(name: str, *requests: Request, advice: str) -> Probe:
    return Probe(name, "taken", requests, advice)


def _rejected(name: str, request: Request, advice: str) -> Probe:
    return Probe(name, "rejected", (request,), advice)


def _repeated(forge: Forge) -> Iterator[Probe]:
    signed, event = forge.signed, forge.event
    plain = signed(event())
    yield _taken(
        "valid",
        plain,
        advice="verify over the raw body with the whole secret, base64 after whsec_,"
        " and answer 2xx yourself, not a redirect",
    )
    yield _taken(
        "the same id twice",
        plain,
        plain,
        advice="answer 2xx to an id that you have: it is a repeat, and anything else has it sent again",
    )
    yield _taken(
        "a later attempt",
        signed(event(), attempt=2),
        advice="take no notice of webhook-attempt; a retry is as good as the first",
    )
    late, early = signed(event()), signed(event(), age_seconds=60)
    yield _taken(
        "ids reordered",
        late,
        early,
        advice="do not ask for a newer timestamp than the last; a retry may come after later events",
    )


def _unusual(forge: Forge) -> Iterator[Probe]:
    signed, event = forge.signed, forge.event
    bogus = "v1," + base64.b64encode(bytes(32)).decode()
    yield _taken(
        "two keys",
        altered(signed(event()), "webhook-signature", lambda good: f"{bogus} {good}"),
        advice="compare each signature of the header; during a rotation there are two",
    )
    yield _taken(
        "a signature of another version",
        altered(signed(event()), "webhook-signature", lambda good: f"v1a,c2lnbmVk {good}"),
        advice="pass over signatures that do not begin with v1,",
    )
    yield _taken(
        "an unknown type",
        signed(event("webhook.certify")),
        advice="answer 2xx to types that you do not know, and ignore them",
    )
    yield _taken(
        "an unknown member",
        signed(event(added_later={"x": [1, 2]})),
        advice="ignore members that you do not know",
    )


def _forms(forge: Forge) -> Iterator[Probe]:
    signed, event = forge.signed, forge.event
    odd = event(message="Zürich ✓ <&>", number=0).replace(b'"number":0', b'"number" : 7.8500')
    yield _taken(
        "bytes as they are",
        signed(odd),
        advice="verify the bytes that came, before you parse them; JSON that is written anew is another text",
    )
    yield _taken(
        "64 KiB",
        signed(event(padding="x" * _LARGE_BYTES)),
        advice="take bodies of 1 MiB; a batch has up to so many bytes",
    )
    batch = event().replace(b'"data":{', b'"data":[{')[:-1] + b"]}"
    yield _taken("a batch", signed(batch), advice="take a list in data, too")
    yield _taken(
        "a CloudEvent",
        signed(_cloud_event(), content_type="application/cloudevents+json"),
        advice="take content type application/cloudevents+json, or keep to format: standard",
    )


def _cloud_event() -> bytes:
    event = {
        "specversion": "1.0",
        "id": secrets.token_hex(8),
        "source": "urn:whatwatt:certify",
        "type": "ch.whatwatt.webhook.test",
        "datacontenttype": "application/json",
        "data": {"message": "It works."},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _readings(forge: Forge) -> Iterator[Probe]:
    now = datetime.now(UTC)
    several = list(samples(3, endpoint="certify", now=now))
    single = render(several[:1], endpoint=forge.endpoint)
    batch = render(several, endpoint=replace(forge.endpoint, batch=BatchLimits(10, 1.0)))
    cloud = render(several[:1], endpoint=replace(forge.endpoint, format="cloudevents"))
    for name, rendered in (
        ("a reading", single),
        ("a batch of readings", batch),
        ("a reading as CloudEvent", cloud),
    ):
        yield _taken(
            name,
            _of(forge, rendered),
            advice="take what docs/events.md describes; its data object has an id by which you know it",
        )


def _of(forge: Forge, rendered: Rendered) -> Request:
    return forge.signed(
        rendered.body, content_type=rendered.content_type, webhook_id=rendered.webhook_id
    )


def _tampered(forge: Forge) -> Iterator[Probe]:
    good = forge.signed(forge.event())
    yield _rejected(
        "a body tampered with",
        replace(good, body=good.body.replace(b"works", b"wOrks")),
        f"{_VERIFY}: the signature covers the body",
    )
    yield _rejected(
        "an id tampered with",
        altered(good, "webhook-id", lambda name: name + "0"),
        f"{_VERIFY}: the signature covers webhook-id",
    )
    yield _rejected(
        "a timestamp tampered with",
        altered(good, "webhook-timestamp", lambda second: str(int(second) - 1)),
        f"{_VERIFY}: the signature covers webhook-timestamp",
    )


def _not_signed(forge: Forge) -> Iterator[Probe]:
    good = forge.signed(forge.event())
    yield _rejected(
        "a wrong key",
        forge.signed(forge.event(), key=SigningKey(secrets.token_bytes(32))),
        f"{_VERIFY}, whoever signed it",
    )
    yield _rejected(
        "no signature",
        altered(good, "webhook-signature", lambda _: ""),
        f"{_VERIFY}; a request without webhook-signature does not",
    )
    yield _rejected(
        "half a signature",
        altered(good, "webhook-signature", lambda whole: whole[:20]),
        f"{_VERIFY}; compare whole signatures, in constant time",
    )
    yield _rejected(
        "a signature without its version",
        altered(good, "webhook-signature", lambda whole: whole.removeprefix("v1,")),
        f"{_VERIFY}; a signature begins with v1,",
    )


def _of_another_time(forge: Forge) -> Iterator[Probe]:
    yield _rejected(
        "an old timestamp",
        forge.signed(forge.event(), age_seconds=_HOUR),
        "reject a webhook-timestamp more than 5 minutes old, or an old request can be played again",
    )
    yield _rejected(
        "a future timestamp",
        forge.signed(forge.event(), age_seconds=-_HOUR),
        "reject a webhook-timestamp more than 5 minutes ahead, or a request can be kept for later",
    )
    yield _rejected(
        "a timestamp that is none",
        altered(forge.signed(forge.event()), "webhook-timestamp", lambda _: "soon"),
        "reject a webhook-timestamp that is no number, with 401 and not with an error",
    )


def _of_http(forge: Forge) -> Iterator[Probe]:
    signed, event = forge.signed, forge.event
    yield Probe(
        "a new connection",
        "taken",
        (signed(event()),),
        "take requests on new connections, too: kept ones are closed now and then",
        is_on_new_connection=True,
    )
    yield Probe(
        "parallel requests",
        "taken",
        tuple(signed(event()) for _ in range(AT_ONCE)),
        f"take {AT_ONCE} requests at once, or set max_concurrency",
        is_at_once=True,
    )
    for method in ("GET", "HEAD"):
        yield Probe(
            method,
            "answered",
            (Request(b"", (), method),),
            f"answer {method} with 405, not with an error",
        )
    yield _taken(
        "valid, after all that",
        signed(event()),
        advice="a rejected request must not spoil the next one",
    )


async def judge(
    probe: Probe, url: str, *, client: httpx.AsyncClient, fresh: Callable[[], httpx.AsyncClient]
) -> Verdict:
    """Send a probe's requests and judge the answers. It never raises, whatever the receiver does."""
    began = time.monotonic()
    if probe.is_on_new_connection:
        async with fresh() as another:
            answers = [await _answer(one, url, another) for one in probe.requests]
    elif probe.is_at_once:
        answers = list(await asyncio.gather(*(_answer(one, url, client) for one in probe.requests)))
    else:
        answers = [await _answer(one, url, client) for one in probe.requests]
    seconds = (time.monotonic() - began) / (1 if probe.is_at_once else len(answers))
    verdict = Verdict(probe, tuple(map(str, answers)), seconds)
    return replace(verdict, problem=_problem(probe, answers, seconds))


async def _answer(request: Request, url: str, client: httpx.AsyncClient) -> int | str:
    answering: Awaitable[httpx.Response] = client.request(
        request.method, url, headers=list(request.headers), content=request.body
    )
    try:
        return (await answering).status_code
    except TransportFailure as failure:
        return f"no answer ({failure.word}: {failure.detail})"


def _problem(probe: Probe, answers: Sequence[int | str], seconds: float) -> str:
    wrong = [one for one in answers if not _is_as_expected(one, probe.expected)]
    if wrong:
        answer = wrong[0] if isinstance(wrong[0], str) else f"answered {wrong[0]}"
        return f"{answer}, expected {_EXPECTED[probe.expected]}: {probe.advice}"
    if probe.expected == "taken" and seconds >= SLOW_SECONDS:
        return f"took {seconds:.1f} s: answer first, and do the work afterwards"
    return ""


def _is_as_expected(answer: int | str, expected: Expected) -> bool:
    if isinstance(answer, str):
        return False
    if expected == "taken":
        return 200 <= answer < 300
    # 410 would pause the endpoint, and any answer but a 4xx says that something is broken.
    if expected == "rejected":
        return 400 <= answer < 500 and answer != 410
    return answer < 500 or answer == 501
