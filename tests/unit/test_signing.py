import base64
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from forwarder.routes.model import SigningKey
from forwarder.signing import WHY, Verdict, signature_headers, verify

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


def accepts(key: SigningKey, body: bytes, headers: dict[str, str]) -> bool:
    """Whether the public library takes the request."""
    try:
        verifier(key).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


@given(webhook_id=webhook_ids, text=st.text(), key=keys)
def test_what_the_public_library_signs_is_verified(
    webhook_id: str, text: str, key: SigningKey
) -> None:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": verifier(key).sign(webhook_id, now, text),
    }
    assert verify(headers, text.encode(), keys=[key], now=now.timestamp()) == "verified"


foreign_signatures = st.sampled_from(["v1,AAAA", "v1a,c2lnbmVk", "v2,AAAA", "v1,", "v0,c2lnbmVk"])


@given(
    seconds_ago=st.sampled_from([-4000, -310, -290, 0, 290, 310, 4000]),
    signing=st.lists(keys, min_size=1, max_size=3),
    knows=st.integers(0, 5),
    body=st.sampled_from([BODY, BODY + b" ", b""]),
    claimed_id=st.sampled_from(["msg_1", "msg_2"]),
    missing=st.sampled_from(["", "webhook-id", "webhook-timestamp", "webhook-signature"]),
    around=st.lists(foreign_signatures, max_size=2),
)
def test_ours_and_the_public_verifier_agree(
    seconds_ago: int,
    signing: list[SigningKey],
    knows: int,
    body: bytes,
    claimed_id: str,
    missing: str,
    around: list[str],
) -> None:
    """The same requests pass, whatever was changed of them on the way."""
    now = int(time.time())
    headers = signed(BODY, *signing, unix_second=now - seconds_ago) | {"webhook-id": claimed_id}
    headers["webhook-signature"] = " ".join([*around, headers["webhook-signature"], *around])
    headers.pop(missing, None)
    known = signing[knows] if knows < len(signing) else SigningKey(b"stranger" * 4)
    ours = verify(headers, body, keys=[known], now=now)
    assert (ours == "verified") == accepts(known, body, headers)


@pytest.mark.parametrize(
    ("changes", "now", "verdict", "reason"),
    [
        ({}, 1000, "verified", "in the second in which it was signed"),
        ({}, 1300, "verified", "five minutes are allowed"),
        ({}, 1301, "too_old", "more are not"),
        ({}, 699, "too_new", "nor the other way"),
        ({"webhook-id": ""}, 1000, "unsigned", "an empty header is none"),
        ({"webhook-timestamp": "1e3"}, 1000, "malformed", "seconds are digits"),
        ({"webhook-timestamp": "١٠٠٠"}, 1000, "malformed", "those of ASCII"),
        ({"webhook-timestamp": "9" * 5000}, 1000, "malformed", "a few of them"),
        ({"webhook-id": "mög_1"}, 1000, "malformed", "ids are ASCII"),
        ({"webhook-signature": "v1"}, 1000, "no_match", "a signature without a comma is none"),
        ({"webhook-signature": "v1,ü \ud800"}, 1000, "no_match", "nor is one that is not base64"),
    ],
)
def test_verdict_says_why(
    changes: dict[str, str], now: float, verdict: Verdict, reason: str
) -> None:
    """Never raises: what a stranger sent is judged, and each judgement but `verified` is explained."""
    headers = signed(BODY, OLD, unix_second=1000) | changes
    assert verify(headers, BODY, keys=[OLD], now=now) == verdict, reason
    assert verdict in WHY or verdict == "verified"


@pytest.mark.parametrize("known", [[OLD, NEW], [NEW, OLD], [NEW]], ids=["both", "both", "one"])
def test_one_common_key_is_enough(known: list[SigningKey]) -> None:
    """While a key is rotated, either side may know two."""
    headers = signed(BODY, NEW, unix_second=1000)
    assert verify(headers, BODY, keys=known, now=1000) == "verified"
