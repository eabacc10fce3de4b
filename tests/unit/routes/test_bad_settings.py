"""Settings that cannot be used: each has its sentence, with its place, what stands there and what was expected."""
# ruff: noqa: E501 - sentences stand here as operators see them

from pathlib import Path

import pytest
from support.routing import endpoint_with, problems_of

SETTINGS = [
    pytest.param(
        "timeuot: 3s",
        ['6:5: unknown setting "timeuot"; did you mean "timeout"?'],
        id="a misspelt setting",
    ),
    pytest.param(
        "colour: red",
        [
            '6:5: unknown setting "colour"; known here: url, secret, devices, groups, mode, batch, max_age, min_interval, fields, format, template, escape, content_type, timeout, max_concurrency, rate_limit, retry, success, refused, headers, auth, tls, allow_http, allow_private, silent_after, paused'
        ],
        id="a setting nobody knows",
    ),
    pytest.param(
        "max_attempts: 3",
        ['6:5: unknown setting "max_attempts"; it stands in retry: {max_attempts: …}'],
        id="a setting of retry",
    ),
    pytest.param(
        "username: us",
        ['6:5: unknown setting "username"; it stands in auth.basic: {username: …}'],
        id="a setting two levels down",
    ),
    pytest.param(
        "retry: {timeout: 5s}",
        ['6:13: unknown setting "timeout" in retry; it stands in the endpoint itself'],
        id="a setting one level up",
    ),
    pytest.param(
        "min_interval: soon",
        ['6:19: min_interval "soon": expected a duration such as 500ms, 10s, 5m, 24h or 7d'],
        id="min_interval, which is no time",
    ),
    pytest.param(
        "min_interval: {every: 5m, keep: best}",
        ["6:19: min_interval: expected a duration such as 5m, or {every: 5m, keep: last}"],
        id="min_interval that keeps what nobody knows",
    ),
    pytest.param(
        "auth: {oauth2: {}}",
        [
            "6:12: auth.oauth2.client_id is missing",
            "6:12: auth.oauth2.client_secret is missing",
            "6:12: auth.oauth2.token_url is missing",
        ],
        id="oauth2 without anything",
    ),
    pytest.param(
        "auth: {oauth2: {token_url: 'http://10.0.0.1/{device}', client_id: a, client_secret: env:NONE}}",
        [
            "6:32: auth.oauth2.token_url: 10.0.0.1 is a private or loopback address; set allow_private: true if it is meant",
            '6:89: auth.oauth2.client_secret: the environment variable "NONE" is not set',
        ],
        id="oauth2 in a private network",
    ),
    pytest.param(
        "auth: {oauth2: {token_url: 'https://t.example/{device}', client_id: a, client_secret: b}}",
        ["6:32: auth.oauth2.token_url: {device} cannot stand in it"],
        id="oauth2 by device",
    ),
    pytest.param(
        "mode: lastest",
        ['6:11: mode "lastest": expected every or latest; did you mean "latest"?'],
        id="a misspelt mode",
    ),
    pytest.param(
        "format: xml",
        ['6:13: format "xml": expected standard, cloudevents or template'],
        id="a format nobody knows",
    ),
    pytest.param(
        "format: template",
        ["6:13: format: format: template needs template: file:NAME, or the text itself"],
        id="a format that needs a template",
    ),
    pytest.param(
        "template: ${device}",
        ["6:15: template: it goes with format: template alone"],
        id="a template without its format",
    ),
    pytest.param(
        "content_type: text/csv",
        ["6:19: content_type: it goes with format: template alone"],
        id="a content type without a template",
    ),
    pytest.param(
        "format: template\n    template: file:none.json",
        ["7:15: template: cannot read none.json: No such file or directory"],
        id="a template's file that is missing",
    ),
    pytest.param(
        "format: template\n    template: '${devic}, ${metre.id}'",
        [
            "7:15: template: line 1, column 11: ${metre.id}: no event has a value of that name; did you mean ${meter.id}?",
            "7:15: template: line 1, column 1: ${devic}: no event has a value of that name; did you mean ${device}?",
        ],
        id="names that no event has",
    ),
    pytest.param(
        "format: template\n    template: '${device}'\n    content_type: text",
        [
            "8:19: content_type: expected a media type such as application/json or text/csv; charset=utf-8"
        ],
        id="a content type that is none",
    ),
    pytest.param(
        "success: [2xx, OK]",
        ['6:20: success "OK": expected a status such as 302, or a class such as 2xx'],
        id="a status that is none",
    ),
    pytest.param(
        "success: [100]",
        ['6:15: success "100": expected a status such as 302, or a class such as 2xx'],
        id="a status that is no answer yet",
    ),
    pytest.param(
        "success: []",
        ["6:14: success: expected at least 1 in the list"],
        id="an endpoint that never succeeds",
    ),
    pytest.param(
        "success: [2xx]\n    refused: [2xx, 409]",
        ["7:14: refused: 2xx is in success and in refused; keep one of them"],
        id="an answer that is taken and refused",
    ),
    pytest.param(
        "silent_after: 3 times",
        [
            '6:19: silent_after "3 times": expected a multiple of the device\'s own interval such as 3x, a duration such as 10m, or off'
        ],
        id="a silence that is neither",
    ),
    pytest.param(
        "silent_after: 30s",
        ['6:19: silent_after "30s": expected a duration from 90s to 366d'],
        id="a silence that is too short",
    ),
    pytest.param(
        "silent_after: 1x",
        ['6:19: silent_after "1x": expected 2x to 1000x: devices are late now and then'],
        id="a silence that comes with each delay",
    ),
    pytest.param(
        "timeout: 10",
        ['6:14: timeout "10": expected a duration such as 500ms, 10s, 5m, 24h or 7d'],
        id="a duration without its unit",
    ),
    pytest.param(
        "timeout: 2h",
        ['6:14: timeout "2h": expected a duration from 10ms to 10m'],
        id="a duration out of bounds",
    ),
    pytest.param(
        "max_age: -5m",
        ['6:14: max_age "-5m": expected a duration such as 500ms, 10s, 5m, 24h or 7d'],
        id="a negative max_age",
    ),
    pytest.param(
        "timeout: [10s]",
        ["6:14: timeout: expected a duration such as 500ms, 10s, 5m, 24h or 7d"],
        id="a list where a duration is expected",
    ),
    pytest.param(
        "paused: maybe",
        ['6:13: paused "maybe": expected true or false'],
        id="a word where true or false is expected",
    ),
    pytest.param(
        "max_concurrency: 1.5",
        ['6:22: max_concurrency "1.5": expected a whole number'],
        id="a fraction where a count is expected",
    ),
    pytest.param(
        "max_concurrency: 0",
        ['6:22: max_concurrency "0": expected at least 1'],
        id="a count below its least",
    ),
    pytest.param(
        "batch: {max_events: 5000, max_wait: 2s}",
        ['6:25: batch.max_events "5000": expected at most 1000'],
        id="a batch that is too large",
    ),
    pytest.param(
        "batch: {max_wait: 2s}", ["6:5: batch.max_events is missing"], id="a batch without its size"
    ),
    pytest.param(
        "batch: 100",
        ['6:12: batch "100": expected a mapping of settings'],
        id="a batch that is a number",
    ),
    pytest.param(
        "batch: {max_event: 5}",
        [
            "6:5: batch.max_events is missing",
            '6:13: unknown setting "max_event" in batch; did you mean "max_events"?',
        ],
        id="a misspelt batch setting",
    ),
    pytest.param(
        "rate_limit: 20",
        ['6:17: rate_limit "20": expected a rate such as 20/s or 600/m'],
        id="a rate without its period",
    ),
    pytest.param(
        "rate_limit: 0/s",
        ['6:17: rate_limit "0/s": expected a rate such as 20/s or 600/m'],
        id="a rate of nothing",
    ),
    pytest.param(
        "retry: {initial: 1h, max: 5m}",
        ["6:12: retry: initial is longer than max"],
        id="a retry that shrinks",
    ),
    pytest.param(
        "retry: {jitter: true}",
        ['6:13: unknown setting "jitter" in retry; known here: initial, max, max_attempts'],
        id="a retry setting nobody knows",
    ),
    pytest.param(
        "fields: meter.id",
        ['6:13: fields "meter.id": expected a list such as [a, b]'],
        id="fields that are one text",
    ),
    pytest.param(
        'fields: ["active power"]',
        [
            '6:14: fields "active power": expected a name or glob such as active_power_*, meter.id or network.*'
        ],
        id="a field that cannot be one",
    ),
    pytest.param(
        "fields: [meter.id, active_powr, foo_*]",
        [
            '6:24: fields "active_powr": no event has such a name; did you mean "active_power_*"?',
            '6:37: fields "foo_*": no event has such a name; `forwarder schema event` lists them',
        ],
        id="fields that name nothing",
    ),
    pytest.param(
        "fields: []", ["6:13: fields: expected at least 1 in the list"], id="no fields at all"
    ),
    pytest.param(
        "devices: ECC9FF5C7AD4",
        ['5:14: devices "ECC9FF5C7AD4": expected "*" in quotes, or a list such as [ECC9FF5C7AD4]'],
        id="devices as a text",
    ),
    pytest.param(
        "devices: [ECC9FF5C7AD4, meter-7]",
        [
            '5:29: devices: "meter-7" is not a device: expected a MAC of 12 hexadecimal digits such as ECC9FF5C7AD4'
        ],
        id="a device that is no MAC",
    ),
    pytest.param(
        "devices: [ECC9FF5C7AD]",
        [
            '5:15: devices: "ECC9FF5C7AD" is not a device: expected a MAC of 12 hexadecimal digits such as ECC9FF5C7AD4'
        ],
        id="a MAC one digit short",
    ),
    pytest.param(
        'devices: ["*", ECC9FF5C7AD4]',
        ['5:15: devices: "*" already means every device; keep it alone, or keep the others'],
        id="a star among devices",
    ),
    pytest.param(
        'devices: [ECC9FF5C7AD4, "ec:c9:ff:5c:7a:d4"]',
        ["5:29: devices: device ECC9FF5C7AD4 is listed twice, first at line 5, column 15"],
        id="a device listed twice",
    ),
    pytest.param(
        "devices: [[ECC9FF5C7AD4]]",
        ["5:15: devices: expected a text"],
        id="a device that is a list",
    ),
]
HEADERS = [
    pytest.param(
        "headers: {Content-Type: text/plain}",
        [
            "6:15: headers.Content-Type: this header is set for each request and cannot be given here"
        ],
        id="a header of ours",
    ),
    pytest.param(
        "headers: {webhook-id: x}",
        ["6:15: headers.webhook-id: this header is set for each request and cannot be given here"],
        id="a header of the signature",
    ),
    pytest.param(
        "headers: {Transfer-Encoding: chunked}",
        [
            "6:15: headers.Transfer-Encoding: this header belongs to the connection and cannot be given here"
        ],
        id="a header of the connection",
    ),
    pytest.param(
        "headers: {Proxy-Authorization: x}",
        [
            "6:15: headers.Proxy-Authorization: this header belongs to the connection and cannot be given here"
        ],
        id="a header of a proxy",
    ),
    pytest.param(
        "headers: {X Key: x}",
        ['6:15: headers."X Key": expected a header name of letters, digits and -'],
        id="a name with a space",
    ),
    pytest.param(
        'headers: {X-Key: "a\\r\\nHost: b"}',
        [
            "6:22: headers.X-Key: its value holds a line break, a control character or a letter outside ASCII"
        ],
        id="a value that ends the header",
    ),
    pytest.param(
        "headers: {X-Key: Zürich}",
        [
            "6:22: headers.X-Key: its value holds a line break, a control character or a letter outside ASCII"
        ],
        id="a value outside ASCII",
    ),
    pytest.param(
        "headers: {X-Key: a, x-key: b}",
        ["6:25: headers.x-key: this header is given twice, or by auth as well; keep one of them"],
        id="a header given twice",
    ),
    pytest.param(
        "headers: {X-Key: env:NOWHERE}",
        [
            '6:22: headers.X-Key: the environment variable "NOWHERE" is not set; did you mean "OTHER_KEY"?'
        ],
        id="a variable that is not set",
    ),
    pytest.param(
        "headers: [X-Key]",
        ["6:14: headers: expected a mapping of names to values"],
        id="a list of headers",
    ),
    pytest.param(
        "headers: {X-Key: [a]}",
        ["6:22: headers.X-Key: expected a text"],
        id="a value that is a list",
    ),
]
AUTH = [
    pytest.param(
        "auth: {}", ["6:11: auth: expected one of basic, bearer and oauth2"], id="neither"
    ),
    pytest.param(
        "auth: {bearer: a, basic: {username: u, password: p}}",
        ["6:11: auth: expected one of basic, bearer and oauth2"],
        id="both",
    ),
    pytest.param("auth: hunter2", ["6:11: auth: expected a mapping of settings"], id="a text"),
    pytest.param(
        'auth: {bearer: "hunter2 x"}',
        ["6:20: auth.bearer: expected a token without spaces, in ASCII"],
        id="a token with a space",
    ),
    pytest.param(
        "auth: {basic: {username: u}}",
        ["6:12: auth.basic.password is missing"],
        id="a basic without its password",
    ),
    pytest.param(
        "auth: {basic: {username: 'u:hunter2', password: p}}",
        ["6:30: auth.basic.username: a username cannot hold a colon (RFC 7617)"],
        id="a username with a colon",
    ),
    pytest.param(
        'auth: {basic: {username: u, password: "hunter2\\n\\nx"}}',
        ["6:43: auth.basic.password: it holds a line break or a control character"],
        id="a password with a line break",
    ),
    pytest.param(
        "auth: {basic: {username: u, password: env:NOWHERE}}",
        [
            '6:43: auth.basic.password: the environment variable "NOWHERE" is not set; did you mean "OTHER_KEY"?'
        ],
        id="a password that is not set",
    ),
    pytest.param(
        "auth: {baisc: {}}",
        ['6:12: unknown setting "baisc" in auth; did you mean "basic"?'],
        id="a misspelt setting",
    ),
]
TLS = [
    pytest.param(
        "tls: {ca_file: nowhere.pem}",
        ["6:10: tls: cannot read nowhere.pem: No such file or directory"],
        id="a file that is missing",
    ),
    pytest.param(
        "tls: {ca_file: fleet.txt}",
        ["6:10: tls: fleet.txt holds no certificate in PEM form"],
        id="a CA file that holds none",
    ),
    pytest.param(
        "tls: {key_file: fleet.txt}", ["6:10: tls: key_file needs its cert_file"], id="a key alone"
    ),
    pytest.param(
        "tls: {cert_file: fleet.txt}",
        [
            "6:10: tls: fleet.txt: expected a PEM certificate and its key, which must not be encrypted"
        ],
        id="a certificate that is none",
    ),
    pytest.param(
        "tls: {cert_file: fleet.txt, key_file: other}",
        [
            "6:10: tls: fleet.txt and other: expected a PEM certificate and its key, which must not be encrypted"
        ],
        id="a certificate and a key that are none",
    ),
    pytest.param(
        "tls: {cert_file: fleet.txt, key_file: empty}",
        ["6:10: tls: the file empty is empty"],
        id="a key file that is empty",
    ),
    pytest.param(
        "tls: {verify: false}",
        ['6:11: unknown setting "verify" in tls; known here: ca_file, cert_file, key_file'],
        id="a setting nobody knows",
    ),
]


@pytest.mark.parametrize(("setting", "expected"), [*SETTINGS, *HEADERS, *AUTH, *TLS])
def test_mistake_has_its_sentence(setting: str, expected: list[str], tmp_path: Path) -> None:
    """Each mistake in an endpoint is told with line and column, and nothing else is told."""
    (tmp_path / "empty").touch()
    (tmp_path / "other").write_text("none")
    (tmp_path / "fleet.txt").write_text("ECC9FF5C7AD4\n")

    problems = problems_of(endpoint_with(setting), folder=tmp_path)

    shortened = [problem.removeprefix("routes.yaml:") for problem in problems]
    assert shortened == [line.replace(": ", ': endpoint "acme": ', 1) for line in expected]
