import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from forwarder.routes.model import SigningKey
from forwarder.signing import signature_headers

BODY = '{"type":"meter.reading","data":{"name":"Zähler"}}'.encode()
OLD, NEW = SigningKey(b"o" * 24), SigningKey(b"n" * 64)

keys = st.binary(min_size=24, max_size=64).map(SigningKey)
webhook_ids = st.from_regex(r"(msg|batch|test)_[0-9a-f]{32}", fullmatch=True)


def signed(body: bytes, *keys: SigningKey, unix_second: int | None = None) -> dict[str, str]:
    second = int(time.time()) if unix_second is None else unix_second
    return dict(signature_headers("msg_1", unix_second=second, attempt=1, body=body, keys=keys))


def verifier(key: SigningKey) -> Webhook:
    return Webhook("whsec_" + base64.b64encode(key.secret).decode())


def test_the_published_vector_is_reproduced() -> None:
    """The vector that every library of the Standard Webhooks project tests itself with comes out to the letter."""
    key = SigningKey(base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    headers = signature_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        unix_second=1614265330,
        attempt=3,
        body=b'{"test": 2432232314}',
        keys=[key],
    )
    assert headers == [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ("webhook-attempt", "3"),
    ]


@given(webhook_id=webhook_ids, value=st.text(), key=keys)
def test_whatever_is_signed_is_verified(webhook_id: str, value: str, key: SigningKey) -> None:
    """The public verifier accepts any body under any key, and reads from it what was written."""
    body = json.dumps(value).encode()
    headers = signature_headers(
        webhook_id, unix_second=int(time.time()), attempt=1, body=body, keys=[key]
    )
    assert verifier(key).verify(body, dict(headers)) == value


@pytest.mark.parametrize("key", [OLD, NEW], ids=["the old key", "the new key"])
def test_each_key_signs_while_one_is_rotated(key: SigningKey) -> None:
    """A receiver that knows any one of the endpoint's keys can verify."""
    verifier(key).verify(BODY, signed(BODY, OLD, NEW))


def test_signatures_stand_in_the_order_of_the_keys_one_space_apart() -> None:
    """Public verifiers split at each space, so that two in a row would break them."""
    both = signed(BODY, OLD, NEW, unix_second=1)["webhook-signature"]
    alone = [signed(BODY, key, unix_second=1)["webhook-signature"] for key in (OLD, NEW)]
    assert both == " ".join(alone)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"body": BODY + b" "}, id="one more byte in the body"),
        pytest.param({"webhook_id": "msg_2"}, id="another id"),
        pytest.param({"unix_second": int(time.time()) - 1}, id="another second"),
        pytest.param({"keys": [NEW]}, id="another key"),
    ],
)
def test_everything_that_is_signed_counts(change: dict[str, object]) -> None:
    """A signature is good for one id, one second, one body and one key."""
    claimed = {"webhook_id": "msg_1", "unix_second": int(time.time()), "body": BODY, "keys": [OLD]}
    headers = dict(signature_headers(**(claimed | change), attempt=1))  # type: ignore[arg-type]  # a table of arguments
    genuine = signed(BODY, OLD, unix_second=int(str(claimed["unix_second"])))
    with pytest.raises(WebhookVerificationError):
        verifier(OLD).verify(BODY, genuine | {"webhook-signature": headers["webhook-signature"]})


@pytest.mark.parametrize("offset", [-301, 301], ids=["too old", "too new"])
def test_the_second_is_unix_time(offset: int) -> None:
    """A verifier's tolerance of five minutes is measured against the header."""
    with pytest.raises(WebhookVerificationError, match="timestamp too"):
        verifier(OLD).verify(BODY, signed(BODY, OLD, unix_second=int(time.time()) + offset))


def test_the_attempt_is_told_but_not_signed() -> None:
    """The signature of two attempts in one second is the same; only `webhook-attempt` differs."""
    first, second = (
        signature_headers("msg_1", unix_second=7, attempt=attempt, body=BODY, keys=[OLD])
        for attempt in (1, 2)
    )
    assert first[:3] == second[:3]
    assert (first[3], second[3]) == (("webhook-attempt", "1"), ("webhook-attempt", "2"))


def test_a_key_is_never_shown() -> None:
    """A key that reaches a log or a traceback says nothing."""
    assert "o" * 24 not in repr(OLD)
    assert "b'" not in repr(OLD)
