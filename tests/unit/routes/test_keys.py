"""Signing keys that are not what their operator may think."""

import base64
import secrets

import pytest
from support.posting import endpoint_at

from forwarder.routes.keys import is_weak, key_remarks
from forwarder.routes.model import Endpoint, EndpointName, SigningKey

OURS, THEIRS = secrets.token_bytes(24), secrets.token_bytes(32)


def holding(name: str, *keys: bytes) -> Endpoint:
    signing = tuple(SigningKey(key) for key in keys)
    return endpoint_at("https://hooks.example/", name=EndpointName(name), keys=signing)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(bytes(24), id="zeros"),
        pytest.param(b"A" * 32, id="one letter"),
        pytest.param(b"secret" * 6, id="one word again and again"),
        pytest.param(bytes(range(24)), id="counting"),
        pytest.param(bytes(range(64, 0, -2)), id="counting down by two"),
    ],
)
def test_key_that_can_be_guessed_is_told(key: bytes) -> None:
    """By the endpoint's name, and with what to do; the key itself stays unsaid."""
    (remark,) = key_remarks([holding("acme", OURS, key), holding("home", THEIRS)])
    assert remark == (
        'endpoint "acme" has a key that can be guessed; `forwarder secret` prints a random one'
    )
    assert base64.b64encode(key).decode() not in remark


def test_random_keys_are_not_weak() -> None:
    """Nor are phrases that people make up: what can be told is the absence of any variety."""
    assert not any(is_weak(secrets.token_bytes(24)) for _ in range(10_000))
    assert not is_weak(b"signing-key-of-the-receiver-----")


def test_key_of_several_endpoints_is_told() -> None:
    """Neither URL nor endpoint is in a signature: a request recorded at one receiver passes at the other."""
    endpoints = [holding("acme", OURS), holding("home", THEIRS, OURS), holding("old", OURS, OURS)]
    (remark,) = key_remarks(endpoints)
    assert remark.startswith("endpoints acme, home, old share a key")


def test_each_its_own_key_is_nothing_to_remark_on() -> None:
    """Two keys at one endpoint are a rotation."""
    assert key_remarks([holding("acme", OURS, THEIRS)]) == []
