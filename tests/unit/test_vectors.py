"""docs/vectors.json: what it says of each request is true, by our verifier and by the public one."""

import base64
import datetime as dt
import json
from collections.abc import Iterator

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError
from support.examples import Vector, vectors

from forwarder.demo.listener import readings_in
from forwarder.routes.secrets import parse_signing_key
from forwarder.signing import verify

VECTORS = vectors()
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])


@each_vector
def test_ours_agrees(vector: Vector) -> None:
    headers = {name.lower(): value for name, value in vector.headers.items()}
    keys = [parse_signing_key(secret) for secret in vector.secret.split()]
    verdict = verify(headers, vector.body.encode(), keys=keys, now=vector.now)
    assert (verdict == "verified") == (vector.verdict == "accept")


@each_vector
def test_the_public_library_agrees(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    class Set(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Set":
            return cls.fromtimestamp(vector.now, tz)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Set)
    assert any(_accepts(secret, vector) for secret in vector.secret.split()) == (
        vector.verdict == "accept"
    )


def _accepts(secret: str, vector: Vector) -> bool:
    try:
        Webhook(secret).verify(vector.body, dict(vector.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True


@each_vector
def test_its_readings_are_those_of_the_body(vector: Vector) -> None:
    """A request that is turned away leaves none."""
    if vector.verdict == "reject":
        assert vector.readings == []
    elif "meter.reading" in vector.body:
        found = [reading["id"] for reading in readings_in(vector.body.encode())]
        assert vector.readings == found


def test_no_reading_stands_in_two_vectors() -> None:
    """So that a receiver shows which of them it has taken."""
    ids = [reading["id"] for vector in VECTORS for reading in readings_in(vector.body.encode())]
    assert len(set(ids)) == len(ids)


def _kinds() -> Iterator[str]:
    for vector in VECTORS:
        document = json.loads(vector.body)
        yield type(document).__name__
        yield from {
            event["type"] for event in (document if isinstance(document, list) else [document])
        }


def test_all_that_is_sent_is_among_them() -> None:
    """Each type in each format, with one secret and with two."""
    types = ["meter.reading", "meter.readings", "webhook.test", "ch.whatwatt.meter.reading"]
    assert {"dict", "list", "ch.whatwatt.webhook.test", *types} <= set(_kinds())
    assert {len(vector.secret.split()) for vector in VECTORS} == {1, 2}
    assert base64.b64decode(VECTORS[0].secret.removeprefix("whsec_")) == b"an example, not a secret"
