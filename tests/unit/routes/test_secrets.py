"""Secrets: where they may come from, what a key must be, and that none is ever told."""

from pathlib import Path

import pytest
from support.routing import endpoint_with, problems_of, routes_of, secret

from forwarder.routes import EndpointName, SigningKey, diff

ACME = EndpointName("acme")
KEY = SigningKey(bytes(range(32)))
OTHER_KEY = SigningKey(bytes(range(40)))

WRONG = [
    pytest.param(
        "env:KEY_2",
        'the environment variable "KEY_2" is not set; did you mean "KEY"?',
        id="a variable that is not set",
    ),
    pytest.param(
        "env:ZZZZZZ",
        'the environment variable "ZZZZZZ" is not set',
        id="a variable that is nowhere near",
    ),
    pytest.param(
        "env:EMPTY", 'the environment variable "EMPTY" is empty', id="a variable that is empty"
    ),
    pytest.param(
        '"env:"',
        "expected env: and the name of an environment variable",
        id="a variable without a name",
    ),
    pytest.param(
        "env:whsec-abc",
        "expected env: and the name of an environment variable",
        id="a secret in the variable's place",
    ),
    pytest.param(
        "file:nowhere",
        "cannot read nowhere: No such file or directory",
        id="a file that is missing",
    ),
    pytest.param("file:empty", "the file empty is empty", id="a file that is empty"),
    pytest.param('"file:"', "expected file: and a path", id="a file without a name"),
    pytest.param(
        "hunter2hunter2hunter2hunter2",
        "expected whsec_… as `forwarder secret` prints it",
        id="a plain password",
    ),
    pytest.param(
        secret().removeprefix("whsec_"),
        "expected whsec_… as `forwarder secret` prints it",
        id="base64 without the prefix",
    ),
    pytest.param(
        secret(23),
        "whsec_… holds 23 bytes; expected 24 to 64, as `forwarder secret` prints it",
        id="23 bytes",
    ),
    pytest.param(
        secret(65),
        "whsec_… holds 65 bytes; expected 24 to 64, as `forwarder secret` prints it",
        id="65 bytes",
    ),
    pytest.param(
        "whsec__-__7__v_-__7__v_-__7__v_-__7__v_-__7__v_-8=",
        "whsec_… is in url-safe base64; write it in standard base64, + for - and / for _",
        id="url-safe base64",
    ),
    pytest.param(
        secret().removesuffix("="),
        "whsec_… is not standard base64 (is it complete, with its = at the end?)",
        id="base64 without its end",
    ),
    pytest.param(
        "whsec_not*base64",
        "whsec_… is not standard base64 (is it complete, with its = at the end?)",
        id="no base64 at all",
    ),
    pytest.param(
        secret().replace("whsec_", "whsk_"),
        "expected whsec_… as `forwarder secret` prints it",
        id="an Ed25519 key",
    ),
    pytest.param(
        secret().replace("whsec_", "whpk_"),
        "expected whsec_… as `forwarder secret` prints it",
        id="a public key",
    ),
    pytest.param(
        "[env:KEY, env:NONE]",
        'the environment variable "NONE" is not set',
        id="a list with one wrong key",
    ),
    pytest.param(
        "OTHER_KEY",
        "expected whsec_… as `forwarder secret` prints it; did you mean env:OTHER_KEY?",
        id="a variable's name alone",
    ),
    pytest.param(
        "${OTHER_KEY}",
        "expected whsec_… as `forwarder secret` prints it; did you mean env:OTHER_KEY?",
        id="a variable as shells write it",
    ),
    pytest.param(
        "$HUNTER2",
        "expected whsec_… as `forwarder secret` prints it; a variable is written env:NAME",
        id="a variable that is not there, or a secret that begins with a dollar",
    ),
    pytest.param("[]", "expected at least 1 in the list", id="an empty list"),
    pytest.param(
        "{env: KEY}", "expected env:NAME, file:/path, whsec_… or a list of these", id="a mapping"
    ),
]


@pytest.mark.parametrize(("written", "expected"), WRONG)
def test_unusable_secret_has_its_sentence(written: str, expected: str, tmp_path: Path) -> None:
    """What is wrong with a secret is told without any part of it."""
    (tmp_path / "empty").touch()

    (problem,) = problems_of(endpoint_with(f"secret: {written}"), folder=tmp_path)

    assert problem.partition(": ")[2] == f'endpoint "acme": secret: {expected}'


def test_key_may_stand_in_the_environment_a_file_or_the_routes_themselves(tmp_path: Path) -> None:
    """All three places give the same key; the space around it does not count."""
    (tmp_path / "acme").write_text(f"{secret()}\n")

    for written in ("env:KEY", "file:acme", f"file:{tmp_path}/acme", secret()):
        routes = routes_of(endpoint_with(f"secret: {written}"), folder=tmp_path)
        assert routes.endpoints[ACME].keys == (KEY,)


def test_list_of_keys_keeps_its_order(tmp_path: Path) -> None:
    """While a key is rotated each key signs, in the order of the file."""
    text = endpoint_with("secret: [env:OTHER_KEY, env:KEY]")

    routes = routes_of(text, folder=tmp_path)

    assert routes.endpoints[ACME].keys == (OTHER_KEY, KEY)


@pytest.mark.parametrize("length", [24, 64])
def test_shortest_and_longest_key_are_taken(length: int, tmp_path: Path) -> None:
    """Standard Webhooks 1.0.0 allows 24 to 64 bytes, both included."""
    routes = routes_of(endpoint_with(f"secret: {secret(length)}"), folder=tmp_path)

    assert routes.endpoints[ACME].keys == (SigningKey(bytes(range(length))),)


MISPLACED = [
    pytest.param(endpoint_with(f"timeout: {secret()}"), id="as a duration"),
    pytest.param(endpoint_with(f"mode: {secret()}"), id="as a mode"),
    pytest.param(endpoint_with(f"devices: [{secret()}]"), id="as a device"),
    pytest.param(endpoint_with(f"groups: [{secret()}]"), id="as a group"),
    pytest.param(endpoint_with(f"fields: [{secret()}]"), id="as a field"),
    pytest.param(endpoint_with(f"secret: env:{secret()}"), id="as a variable"),
    pytest.param(endpoint_with(f"secret: file:{secret()}"), id="as a file"),
    pytest.param(endpoint_with(f"secret: [{secret()[:-2]}]"), id="cut short"),
    pytest.param(endpoint_with(f"{secret()}: env:KEY"), id="as a setting's name"),
    pytest.param(endpoint_with(f"{secret()}"), id="without its setting"),
    pytest.param(endpoint_with(f"url: https://x:{secret()}@a.example/"), id="in a URL"),
    pytest.param(endpoint_with(f'headers: {{X-Key: "{secret()}\\nx"}}'), id="as a header"),
    pytest.param(endpoint_with(f'auth: {{bearer: "{secret()} x"}}'), id="as a token"),
    pytest.param(f"{secret()}: 1\n" + endpoint_with(), id="as a section"),
    pytest.param(f"groups: {{{secret()}: 1}}\n" + endpoint_with(), id="as a group's name"),
    pytest.param(endpoint_with(f"secret: !{secret()} x"), id="as a tag"),
    pytest.param(endpoint_with(f"secret: *{secret()[:20]}"), id="as an alias"),
]


@pytest.mark.parametrize("text", MISPLACED)
def test_secret_in_a_wrong_place_is_not_repeated(text: str, tmp_path: Path) -> None:
    """A slip of the clipboard does not print the key: neither whole nor in part."""
    problems = problems_of(text, folder=tmp_path)

    assert problems
    assert not any(secret()[6:16] in problem for problem in problems)


def test_endpoint_and_difference_do_not_show_what_is_secret(tmp_path: Path) -> None:
    """Representations and diffs name secret, url, headers and auth, and hold none of them."""
    settings = (
        "headers: {X-Key: hunter2}",
        "auth: {bearer: hunter3}",
        "url: https://a.example/?key=hunter4",
    )
    old = routes_of(endpoint_with(), folder=tmp_path)
    new = routes_of(endpoint_with("secret: env:OTHER_KEY", *settings), folder=tmp_path)

    difference = diff(old, new)

    assert difference.lines() == [
        "~ acme: url changed, secret changed, headers changed, auth changed"
    ]
    told = f"{new.endpoints} {difference} {difference.to_json()} {difference.lines()}"
    assert "hunter" not in told
    assert str(bytes(range(40)))[2:-1] not in told
