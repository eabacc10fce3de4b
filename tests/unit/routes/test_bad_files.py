"""Files whose structure is wrong: each mistake has its sentence, with its place."""
# ruff: noqa: E501 - sentences stand here as operators see them

from pathlib import Path

import pytest
from support.routing import ENDPOINT, endpoint_with, problems_of

FLEET = "# ours\nECC9FF5C7AD4\n\nmeter-7  # what?\nec:c9:ff:5c:7a:d4\n"

MISTAKES = [
    pytest.param(
        "",
        ["routes.yaml:1:1: the file is empty; it needs endpoints: with at least one endpoint"],
        id="an empty file",
    ),
    pytest.param(
        "# nothing yet\n",
        ["routes.yaml:1:1: the file is empty; it needs endpoints: with at least one endpoint"],
        id="comments alone",
    ),
    pytest.param(
        "- a\n",
        ["routes.yaml:1:1: expected the keys groups, defaults and endpoints"],
        id="a list at the top",
    ),
    pytest.param(
        "endpoints\n",
        ["routes.yaml:1:1: expected the keys groups, defaults and endpoints"],
        id="a text at the top",
    ),
    pytest.param(
        "groups: {}\n",
        ["routes.yaml:1:1: endpoints is missing; at least one endpoint is needed"],
        id="no endpoints key",
    ),
    pytest.param(
        "endpoints:\n",
        ["routes.yaml:1:1: endpoints is empty; at least one endpoint is needed"],
        id="an empty endpoints key",
    ),
    pytest.param(
        "endpoints: {}\n",
        ["routes.yaml:1:1: endpoints is empty; at least one endpoint is needed"],
        id="endpoints as an empty mapping",
    ),
    pytest.param(
        "endpoints: [acme]\n",
        ["routes.yaml:1:12: endpoints: expected a mapping of names to settings"],
        id="endpoints as a list",
    ),
    pytest.param(
        "gruops: {}\n" + ENDPOINT,
        ['routes.yaml:1:1: unknown key "gruops"; did you mean "groups"?'],
        id="a misspelt section",
    ),
    pytest.param(
        "webhooks: {}\n" + ENDPOINT,
        [
            'routes.yaml:1:1: unknown key "webhooks"; known here: groups, defaults, endpoints, operator'
        ],
        id="a section nobody knows",
    ),
    pytest.param(
        "operator: acme\n" + ENDPOINT,
        [
            "routes.yaml:1:1: operator: secret is missing",
            "routes.yaml:1:1: operator: url is missing",
            "routes.yaml:1:11: operator: expected a mapping of names to settings",
        ],
        id="an operator's endpoint that is none",
    ),
    pytest.param(
        ENDPOINT.replace("acme", "operator"),
        [
            "routes.yaml:2:3: endpoint operator: this name is for notices about the service; operator: stands beside endpoints:"
        ],
        id="the reserved name",
    ),
    pytest.param(
        "operator: {url: 'https://o.example', secret: env:KEY, devices: '*', mode: latest, format: tex, events: [foo]}\n"
        + ENDPOINT,
        [
            "routes.yaml:1:55: operator: devices is for readings; notices have none",
            "routes.yaml:1:69: operator: mode is for readings; notices have none",
            'routes.yaml:1:91: operator: format "tex": expected standard, text, cloudevents or template; did you mean "text"?',
            (
                'routes.yaml:1:105: operator: events "foo": no event is called so; there are: endpoint.failing,'
                " endpoint.recovered, endpoint.paused, deliveries.dead, device.silent, device.resumed, devices.silent,"
                " stream.interrupted, stream.resumed, routes.rejected, outbox.nearly_full,"
                " outbox.fell_back, quarantine.growing"
            ),
        ],
        id="an operator's endpoint with settings of others",
    ),
    pytest.param(
        endpoint_with("format: text"),
        [
            'routes.yaml:6:13: endpoint "acme": format "text": expected standard, cloudevents or template'
        ],
        id="text for readings",
    ),
    pytest.param(
        "groups: [a]\n" + ENDPOINT,
        ["routes.yaml:1:9: groups: expected a mapping of names to settings"],
        id="groups as a list",
    ),
    pytest.param(
        "defaults: fast\n" + ENDPOINT,
        ["routes.yaml:1:11: defaults: expected a mapping of names to settings"],
        id="defaults as a text",
    ),
    pytest.param(
        ENDPOINT + "  acme:\n    url: https://b.example/\n",
        ['routes.yaml:6:3: "acme" is given twice, first at line 2, column 3'],
        id="a key given twice",
    ),
    pytest.param(
        ENDPOINT + "    url: https://b.example/\n",
        ['routes.yaml:6:5: "url" is given twice, first at line 3, column 5'],
        id="a setting given twice",
    ),
    pytest.param(
        "groups: {}\ngroups: {}\n" + ENDPOINT,
        ['routes.yaml:2:1: "groups" is given twice, first at line 1, column 1'],
        id="a section given twice",
    ),
    pytest.param(
        "endpoints:\n  ? [a]\n  : b\n",
        [
            "routes.yaml:1:1: endpoints is empty; at least one endpoint is needed",
            "routes.yaml:2:5: a key must be a plain text",
        ],
        id="a list as a key",
    ),
    pytest.param(
        "endpoints:\n	acme:\n",
        ["routes.yaml:2:1: a tab stands in the indentation; YAML takes only spaces there"],
        id="a tab in the indentation",
    ),
    pytest.param(
        "endpoints:\n  acme:\n  	url: x\n",
        ["routes.yaml:3:3: a tab stands in the indentation; YAML takes only spaces there"],
        id="a tab after spaces",
    ),
    pytest.param(
        "endpoints: &a\n  acme: *a\n",
        ['routes.yaml:2:9: "*a" contains itself'],
        id="an anchor inside itself",
    ),
    pytest.param(
        ENDPOINT + "---\n" + ENDPOINT,
        ['routes.yaml:6:1: a second document begins at this "---"; keep one'],
        id="two documents",
    ),
    pytest.param(
        "endpoints:\n  acme:\n    url: x\n   secret: y\n",
        ["routes.yaml:4:4: a key is expected here; is the line indented as its neighbours are?"],
        id="a line that is indented otherwise",
    ),
    pytest.param(
        "endpoints:\n  acme:\n    url https://a.example/\n    secret: env:KEY\n",
        [
            'routes.yaml:4:11: a ": " stands where no key can be; is the line indented as its neighbours are?'
        ],
        id="a colon forgotten",
    ),
    pytest.param(
        "endpoints: \n",
        ["routes.yaml:1:12: the character U+0007 is not allowed in YAML"],
        id="a control character",
    ),
    pytest.param(
        ENDPOINT + "    <<: [x]\n",
        [
            'routes.yaml:6:5: "<<" takes a mapping or a list of mappings, usually an alias such as *base'
        ],
        id="a merge of what is no mapping",
    ),
    pytest.param(
        "endpoints:\n  acme:\n",
        [
            'routes.yaml:2:3: endpoint "acme": expected a mapping with at least url, secret and devices or groups'
        ],
        id="an endpoint without settings",
    ),
    pytest.param(
        "endpoints:\n  acme: https://a.example/\n",
        [
            'routes.yaml:2:3: endpoint "acme": expected a mapping with at least url, secret and devices or groups'
        ],
        id="an endpoint that is a text",
    ),
    pytest.param(
        "endpoints:\n  acme: {}\n",
        [
            'routes.yaml:2:3: endpoint "acme": devices or groups is missing; devices: "*" means every device',
            'routes.yaml:2:3: endpoint "acme": secret is missing',
            'routes.yaml:2:3: endpoint "acme": url is missing',
        ],
        id="an endpoint without anything needed",
    ),
    pytest.param(
        'endpoints:\n  acme corp:\n    url: https://a.example/\n    secret: env:KEY\n    devices: "*"\n',
        [
            'routes.yaml:2:3: endpoint "acme corp": expected a name of letters, digits, _, . and -, at most 63'
        ],
        id="a name with a space",
    ),
    pytest.param(
        ENDPOINT + "    timeout: \n",
        [
            'routes.yaml:6:13: endpoint "acme": timeout is empty: expected a duration such as 500ms, 10s, 5m, 24h or 7d'
        ],
        id="a blank value",
    ),
    pytest.param(
        "groups: {zurich: [ECC9FF5C7AD4]}\nendpoints:\n  acme:\n    url: https://a.example/\n    secret: env:KEY\n    groups: [zurch]\n",
        ['routes.yaml:6:14: endpoint "acme": group "zurch" is not defined; did you mean "zurich"?'],
        id="a group that is not defined",
    ),
    pytest.param(
        "endpoints:\n  acme:\n    url: https://a.example/\n    secret: env:KEY\n    groups: [zurich]\n",
        ['routes.yaml:5:14: endpoint "acme": group "zurich" is not defined; defined: none'],
        id="a group where none are defined",
    ),
    pytest.param(
        "groups: {zurich: [ECC9FF5C7AD4]}\nendpoints:\n  acme:\n    url: https://a.example/\n    secret: env:KEY\n    groups: zurich\n",
        ['routes.yaml:6:13: endpoint "acme": groups "zurich": expected a list such as [a, b]'],
        id="groups of an endpoint as a text",
    ),
    pytest.param(
        "groups:\n  zurich:\n    - 00:11:22:33:44:55\n    - 001122334455\n" + ENDPOINT,
        [
            'routes.yaml:4:7: group "zurich": device 001122334455 is listed twice, first at line 3, column 7'
        ],
        id="a device listed twice in a group",
    ),
    pytest.param(
        "groups: {zurich: ECC9FF5C7AD4}\n" + ENDPOINT,
        [
            'routes.yaml:1:18: group "zurich": expected a list such as [ECC9FF5C7AD4], or {file: fleet.txt}'
        ],
        id="a group that is a text",
    ),
    pytest.param(
        "groups: {fleet: {file: nowhere.txt}}\n" + ENDPOINT,
        ['routes.yaml:1:17: group "fleet": cannot read nowhere.txt: No such file or directory'],
        id="a group file that is missing",
    ),
    pytest.param(
        endpoint_with("secret: !secret acme"),
        [
            'routes.yaml:4:13: endpoint "acme": secret: expected whsec_… as `forwarder secret` prints it',
            'routes.yaml:4:13: tags are not supported; a secret is env:NAME or file:/path, a text with "!" in front is quoted',
        ],
        id="a tag from another tool",
    ),
    pytest.param(
        "groups: {fleet: {file: folder}}\n" + ENDPOINT,
        ['routes.yaml:1:17: group "fleet": folder is a directory; expected a regular file'],
        id="a group file that is a folder",
    ),
    pytest.param(
        "groups: {fleet: {file: fleet.txt}}\n" + ENDPOINT,
        [
            "fleet.txt:4:1: 7 characters that are no device: expected a MAC of 12 hexadecimal digits such as ECC9FF5C7AD4, one a line",
            "fleet.txt:5:1: this device is listed twice, first at line 2",
        ],
        id="a group file with mistakes",
    ),
    pytest.param(
        "groups: {fleet: {path: fleet.txt}}\n" + ENDPOINT,
        [
            'routes.yaml:1:17: group "fleet": expected a list such as [ECC9FF5C7AD4], or {file: fleet.txt}'
        ],
        id="a group with a key nobody knows",
    ),
    pytest.param(
        "defaults: {timeout: soon, colour: red}\n" + ENDPOINT,
        [
            'routes.yaml:1:21: defaults: timeout "soon": expected a duration such as 500ms, 10s, 5m, 24h or 7d',
            'routes.yaml:1:27: defaults: unknown setting "colour"; known here: url, secret, devices, groups, mode, batch, max_age, min_interval, fields, format, template, escape, content_type, timeout, max_concurrency, rate_limit, retry, success, refused, headers, auth, tls, allow_http, allow_private, silent_after, paused',
        ],
        id="defaults that are wrong",
    ),
    pytest.param(
        'defaults: {secret: env:NOWHERE}\nendpoints:\n  acme:\n    url: https://a.example/\n    devices: "*"\n  beta:\n    url: https://a.example/\n    devices: "*"\n',
        [
            'routes.yaml:1:20: defaults: secret: the environment variable "NOWHERE" is not set; did you mean "OTHER_KEY"?'
        ],
        id="a default secret that is not set",
    ),
    pytest.param(
        "endpoints:\n  acme:\n    url: https://a.example/\n    secret: env:KEY\n    devices: *\n",
        ['routes.yaml:5:15: a "*" that means every device stands in quotes'],
        id="an unquoted star",
    ),
    pytest.param(
        "endpoints:\n  acme:\n    url: https://a.example/\n    secret: env:KEY\n    devices: [*]\n",
        ['routes.yaml:5:16: a "*" that means every device stands in quotes'],
        id="an unquoted star in a list",
    ),
    pytest.param(
        "endpoints:\n  acme:\n    url: https://a.example/\n    secret: env:KEY\n    devices: *all\n",
        [
            'routes.yaml:5:14: this alias names no anchor; a "*" that means every device, or begins a text, stands in quotes'
        ],
        id="an alias without its anchor",
    ),
    pytest.param(
        'endpoints:\n  acme:\n    url: \'https://a.example/\n    secret: env:KEY\n    devices: "*"\n',
        ["routes.yaml:3:10: the quotes that open here are never closed"],
        id="quotes that never close",
    ),
    pytest.param(
        "endpoints:\n  acme:\n    url: https://a.example/\n    secret: env:KEY\n    devices: [ECC9FF5C7AD4\n",
        ['routes.yaml:6:1: a list that began with "[" is not closed by "]" here'],
        id="a bracket that never closes",
    ),
    pytest.param(
        'endpoints:\n  acme:\n    url: https: //a.example/\n    secret: env:KEY\n    devices: "*"\n',
        [
            'routes.yaml:3:15: a ": " stands where no key can be; is the line indented as its neighbours are?'
        ],
        id="a colon too many",
    ),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistake_has_its_sentence(text: str, expected: list[str], tmp_path: Path) -> None:
    """Each mistake is told with line and column, and nothing else is told."""
    (tmp_path / "fleet.txt").write_text(FLEET)
    (tmp_path / "folder").mkdir()

    problems = problems_of(text, folder=tmp_path)

    assert problems == expected
