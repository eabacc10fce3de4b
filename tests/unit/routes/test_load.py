"""Good routing files: every setting reaches its place, and relative paths start at the file's folder."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from support.certificates import Authority
from support.routing import endpoint_with, problems_of, routes_of, secret

from forwarder.body_template import compile_template
from forwarder.errors import RoutesError
from forwarder.reading import Device
from forwarder.routes import (
    AfterIntervals,
    AfterSeconds,
    BasicAuth,
    BatchLimits,
    BearerAuth,
    Endpoint,
    EndpointName,
    FirstOf,
    LastOf,
    OAuth2,
    RateLimit,
    RetrySchedule,
    SigningKey,
    load_routes,
)
from forwarder.statuses import SUCCESSES

ACME = EndpointName("acme")
PLAIN = Endpoint(name=ACME, url="https://a.example/", keys=(SigningKey(bytes(range(32))),))

LINE = compile_template("${device}", is_batched=False)

SETTINGS = [
    ("mode: latest", replace(PLAIN, mode="latest", max_age_seconds=90.0)),
    ("batch: {max_events: 100, max_wait: 2s}", replace(PLAIN, batch=BatchLimits(100, 2.0))),
    ("batch: {max_events: 1}", replace(PLAIN, batch=BatchLimits(1, 1.0))),
    ("batch: off", PLAIN),
    ("max_age: 500ms", replace(PLAIN, max_age_seconds=0.5)),
    ("max_age: 7d", replace(PLAIN, max_age_seconds=604800.0)),
    ("fields: [active_power_*, meter.id]", replace(PLAIN, fields=("active_power_*", "meter.id"))),
    ("format: cloudevents", replace(PLAIN, format="cloudevents")),
    (
        "format: template\n    template: '${device}'\n    content_type: text/x",
        replace(PLAIN, format="template", template=LINE, content_type="text/x"),
    ),
    ("timeout: 30s", replace(PLAIN, timeout_seconds=30.0)),
    ("max_concurrency: 1", replace(PLAIN, max_concurrency=1)),
    ("rate_limit: 20/s", replace(PLAIN, rate_limit=RateLimit(20, 1.0))),
    ("rate_limit: 600/m", replace(PLAIN, rate_limit=RateLimit(600, 60.0))),
    ("rate_limit: off", PLAIN),
    ("retry: {initial: 1s}", replace(PLAIN, retry=RetrySchedule(1.0, 900.0, None))),
    ("retry: {max: 1h, max_attempts: 3}", replace(PLAIN, retry=RetrySchedule(5.0, 3600.0, 3))),
    ("headers: {X-Key: env:EMPTY_NOT, X: 5}", replace(PLAIN, headers=(("X-Key", "v"), ("X", "5")))),
    ("auth: {bearer: env:EMPTY_NOT}", replace(PLAIN, auth=BearerAuth("v"))),
    ("auth: {bearer: {token: abc}}", replace(PLAIN, auth=BearerAuth("abc"))),
    ("auth: {basic: {username: u, password: 'p:w'}}", replace(PLAIN, auth=BasicAuth("u", "p:w"))),
    (
        "auth: {oauth2: {token_url: https://t.example/token, client_id: a, client_secret: env:EMPTY_NOT, scope: s}}",
        replace(PLAIN, auth=OAuth2("https://t.example/token", "a", "v", "s")),
    ),
    ("allow_http: true", PLAIN),
    ("allow_private: true", replace(PLAIN, allow_private=True)),
    ("min_interval: 5m", replace(PLAIN, min_interval=FirstOf(300.0))),
    ("min_interval: {every: 5m}", replace(PLAIN, min_interval=FirstOf(300.0))),
    ("min_interval: {every: 5m, keep: first}", replace(PLAIN, min_interval=FirstOf(300.0))),
    ("min_interval: {every: 5m, keep: last}", replace(PLAIN, min_interval=LastOf(300.0))),
    ("min_interval: off", PLAIN),
    ("success: [2xx, 302]", replace(PLAIN, success=SUCCESSES | {302})),
    ("refused: 409", replace(PLAIN, refused=frozenset({409}))),
    ("silent_after: 10m", replace(PLAIN, silent_after=AfterSeconds(600.0))),
    ("silent_after: 2.5x", replace(PLAIN, silent_after=AfterIntervals(2.5))),
    ("silent_after: 3x", PLAIN),
    ("silent_after: off", replace(PLAIN, silent_after=None)),
    ("paused: yes", replace(PLAIN, paused=True)),
    ("paused: ~", PLAIN),
    ("tls: {}", PLAIN),
]


@pytest.mark.parametrize(("setting", "expected"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_setting_reaches_its_place(setting: str, expected: Endpoint, tmp_path: Path) -> None:
    """Each setting changes what it names, and the others keep their defaults."""
    environ = {"KEY": secret(), "EMPTY_NOT": "v"}

    routes = routes_of(endpoint_with(setting), folder=tmp_path, environ=environ)

    assert routes.endpoints == {ACME: expected}


def test_every_field_of_an_endpoint_is_tested_above() -> None:
    """A new setting cannot be forgotten in the table."""
    changed = {
        field.name
        for _, endpoint in SETTINGS
        for field in fields(Endpoint)
        if getattr(endpoint, field.name) != getattr(PLAIN, field.name)
    }

    elsewhere = {"name", "url", "keys", "tls", "events"}
    assert {field.name for field in fields(Endpoint)} - changed == elsewhere


OPERATOR = "\noperator:\n  url: https://o.example/\n  secret: env:KEY\n"


def test_operator_is_an_endpoint_that_no_device_goes_to(tmp_path: Path) -> None:
    """It is served like the others, gets every notice unless told otherwise, and nothing of the defaults."""
    defaults = "defaults:\n  headers: {X-Token: for-partners}\n  timeout: 3s\n"
    routes = routes_of(defaults + endpoint_with() + OPERATOR, folder=tmp_path)

    assert routes.operator == replace(
        PLAIN, name=EndpointName("operator"), url="https://o.example/", events=("*",)
    )
    assert routes.endpoints[EndpointName("operator")] is routes.operator
    assert routes.match(Device("ECC9FF5C7AD4")) == (ACME,)
    assert routes.endpoints[ACME].timeout_seconds == 3.0


def test_operator_takes_a_form_and_events(tmp_path: Path) -> None:
    text = OPERATOR + "  format: text\n  events: ['endpoint.*', deliveries.dead]\n  timeout: 3s\n"
    operator = routes_of(endpoint_with() + text, folder=tmp_path).operator

    assert operator is not None
    assert (operator.format, operator.events) == ("text", ("endpoint.*", "deliveries.dead"))
    assert operator.timeout_seconds == 3.0


def test_without_operator_nobody_is_told(tmp_path: Path) -> None:
    assert routes_of(endpoint_with(), folder=tmp_path).operator is None


def test_defaults_stand_where_an_endpoint_says_nothing(tmp_path: Path) -> None:
    """An endpoint's own value replaces that of the defaults whole: mappings are not mixed."""
    text = "defaults: {timeout: 20s, retry: {initial: 1s, max: 2s}}\n"

    routes = routes_of(text + endpoint_with("retry: {initial: 3s}"), folder=tmp_path)

    endpoint = routes.endpoints[ACME]
    assert (endpoint.timeout_seconds, endpoint.retry) == (20.0, RetrySchedule(3.0, 900.0))


def test_default_is_undone_by_null(tmp_path: Path) -> None:
    """`~` gives the setting its own default again."""
    text = "defaults: {timeout: 20s, batch: {max_events: 5}}\n"

    routes = routes_of(text + endpoint_with("timeout: ~", "batch: ~"), folder=tmp_path)

    assert routes.endpoints[ACME] == PLAIN


def test_endpoint_that_names_groups_does_not_get_the_devices_of_the_defaults(
    tmp_path: Path,
) -> None:
    """Who says whom it wants gets them alone: a default `"*"` must not widen it."""
    text = 'groups: {zurich: [ECC9FF5C7AD4]}\ndefaults: {devices: "*"}\n'

    routes = routes_of(
        text + endpoint_with("devices:", "groups: [zurich]").replace("    devices:\n", ""),
        folder=tmp_path,
    )

    assert routes.match(Device("ECC9FF5C7AD4")) == (ACME,)
    assert routes.match(Device("001122334455")) == ()


def test_anchor_and_merge_key_share_settings(tmp_path: Path) -> None:
    """What is merged in gives way to what is written out, and is no double key."""
    text = endpoint_with("timeout: 20s").replace("acme:", "acme: &base")
    text += "  beta:\n    <<: *base\n    url: https://b.example/\n"

    routes = routes_of(text, folder=tmp_path)

    beta = routes.endpoints[EndpointName("beta")]
    assert (beta.url, beta.timeout_seconds) == ("https://b.example/", 20.0)


SPELLINGS = [
    pytest.param("123456789012", "123456789012", id="an integer to YAML"),
    pytest.param("1E2345678901", "1E2345678901", id="infinity to YAML"),
    pytest.param("001122334455", "001122334455", id="octal to YAML 1.1"),
    pytest.param("00:11:22:33:44:55", "001122334455", id="base 60 to YAML 1.1"),
    pytest.param("ec-c9-ff-5c-7a-d4", "ECC9FF5C7AD4", id="hyphens and lower case"),
    pytest.param("eCc9.fF5c.7aD4", "ECC9FF5C7AD4", id="dots and mixed case"),
    pytest.param("'EC:C9:FF:5C:7A:D4'", "ECC9FF5C7AD4", id="quoted"),
]


@pytest.mark.parametrize(("written", "device"), SPELLINGS)
def test_device_is_known_in_any_spelling(written: str, device: str, tmp_path: Path) -> None:
    """The same device is meant in a flow list, a block list and a file."""
    (tmp_path / "fleet.txt").write_text(written.strip("'") + " # ours\n")
    text = f"groups: {{a: [{written}], b: {{file: fleet.txt}}}}\n"

    routes = routes_of(text + endpoint_with(f"devices:\n      - {written}"), folder=tmp_path)

    assert routes.match(Device(device)) == (ACME,)
    assert routes.groups == {"a": {device}, "b": {device}}


def test_group_file_may_hold_comments_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    """One device a line; everything after # is for people; a byte order mark does not count."""
    content = "\ufeff# fleet\r\nECC9FF5C7AD4\r\n\r\n  001122334455  # cellar\r\n"
    (tmp_path / "fleet.txt").write_text(content, newline="")
    text = "groups: {fleet: {file: fleet.txt}}\n" + endpoint_with()

    routes = routes_of(text, folder=tmp_path)

    assert routes.groups == {"fleet": {"ECC9FF5C7AD4", "001122334455"}}


def test_device_that_is_wanted_twice_is_matched_once_in_the_order_of_the_file(
    tmp_path: Path,
) -> None:
    """By two groups and its own list: one delivery; and each endpoint comes where the file has it."""
    text = (
        "groups: {a: [ECC9FF5C7AD4], b: [ECC9FF5C7AD4]}\n"
        "defaults: {url: 'https://a.example/', secret: env:KEY}\n"
        "endpoints:\n"
        "  zeta: {devices: [ECC9FF5C7AD4], groups: [a, b, a]}\n"
        '  every: {devices: "*"}\n'
        "  alpha: {groups: [b]}\n"
    )

    routes = routes_of(text, folder=tmp_path)

    assert routes.match(Device("ECC9FF5C7AD4")) == ("zeta", "every", "alpha")
    assert routes.match(Device("001122334455")) == ("every",)


def test_reasons_say_why_an_endpoint_gets_a_device(tmp_path: Path) -> None:
    """Its own list and each group are told; no reason where it gets nothing."""
    text = "groups: {a: [ECC9FF5C7AD4], b: [001122334455]}\n"
    text += endpoint_with("devices: [ECC9FF5C7AD4]", "groups: [a, b]")

    routes = routes_of(text, folder=tmp_path)

    assert routes.reasons(Device("ECC9FF5C7AD4"), ACME) == ("its own list", "group a")
    assert routes.reasons(Device("AABBCCDDEEFF"), ACME) == ()


def test_tls_files_are_read_at_load_and_told_apart_by_content(tmp_path: Path) -> None:
    """A renewed certificate makes a changed endpoint, although its path stays the same."""
    certificate, key = Authority(tmp_path / "old").issue("a.example")
    tls = f"tls: {{cert_file: {certificate}, key_file: {key}, ca_file: old/ca.pem}}"
    before = routes_of(endpoint_with(tls), folder=tmp_path)

    Authority(tmp_path / "old").issue("a.example")

    after = routes_of(endpoint_with(tls), folder=tmp_path)
    assert before.endpoints[ACME].tls != after.endpoints[ACME].tls
    assert after.endpoints[ACME] == routes_of(endpoint_with(tls), folder=tmp_path).endpoints[ACME]


def test_all_problems_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Structure, settings, secrets, groups and files are checked together, not one after another."""
    text = (
        "groups: {fleet: {file: nowhere.txt}}\n"
        "endpoints:\n"
        "  acme: {url: 'http://a.example/', secret: env:NOWHERE, devices: [x], mode: last}\n"
        "  acme: {}\n"
        "  beta: {url: 'https://b.example/', secret: env:KEY, groups: [flete], colour: red}\n"
        "surplus: 1\n"
    )

    problems = problems_of(text, folder=tmp_path)

    places = [problem.split(": ")[0].removeprefix("routes.yaml:") for problem in problems]
    assert places == ["1:17", "3:15", "3:44", "3:67", "3:77", "4:3", "5:63", "5:71", "6:1"]


def test_load_routes_raises_every_problem(tmp_path: Path) -> None:
    """RoutesError carries the finished sentences, with the path as it was given."""
    file = tmp_path / "routes.yaml"
    file.write_text("endpoints: {}\n")

    with pytest.raises(RoutesError) as caught:
        load_routes(file, environ={})

    assert caught.value.problems == (
        f"{file}:1:1: endpoints is empty; at least one endpoint is needed",
    )


def test_thousands_of_problems_are_told_shortly(tmp_path: Path) -> None:
    """A file that is wrong throughout does not fill the log: 100 problems, and how many more."""
    text = "endpoints:\n" + "".join(f"  e{number}: 1\n" for number in range(1000))

    problems = problems_of(text, folder=tmp_path)

    assert len(problems) == 101
    assert problems[-1] == "routes.yaml: and 900 more problems like these"
