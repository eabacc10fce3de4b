"""A name of another kind: what it is stands in the sentence, because the operator knows it well and means something."""

from pathlib import Path

import pytest
from support.outbox_builder import OutboxBuilder
from support.routing import problems_of
from support.shell import Operator

ROUTES = """\
groups:
  zurich: [ECC9FF5C7AD4, ECC9FF5C7F14]
  fleet: [ECC9FF5C0001, ECC9FF5C0002, ECC9FF5C0003, ECC9FF5C0004, ECC9FF5C0005, ECC9FF5C0006]
endpoints:
  acme:
    url: https://a.example/
    secret: env:KEY
    groups: [zurich]
"""
MAC = "expected a MAC of 12 hexadecimal digits such as ECC9FF5C7AD4"
GROUP = "'zurich' is a group, and no device; its devices: ECC9FF5C7AD4, ECC9FF5C7F14"
UNKNOWN = ", and nothing in the outbox goes by that name"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["routes", "show", "zurich"], GROUP),
        (["routes", "show", "acme"], f"'acme' is an endpoint, and no device: {MAC}"),
        (["deliveries", "list", "--device", "zurich"], GROUP + UNKNOWN),
        (["deliveries", "list", "--device", "fleet"], "ECC9FF5C0005 and 1 more" + UNKNOWN),
        (["dead-letters", "list", "--device", "acme"], "'acme' is an endpoint, and no device"),
        (["quarantine", "list", "--device", "zurich"], GROUP + UNKNOWN),
        (
            ["deliveries", "list", "--endpoint", "zurich"],
            "'zurich' is a group, and no endpoint; it goes to: acme",
        ),
        (
            ["dead-letters", "list", "--endpoint", "ec:c9:ff:5c:7a:d4"],
            "'ec:c9:ff:5c:7a:d4' is a device, and no endpoint; it goes to: acme",
        ),
        (
            ["dead-letters", "replay", "--all", "--to", "fleet"],
            "'fleet' is a group, and no endpoint; it goes to: nobody",
        ),
        (
            ["endpoints", "pause", "operator"],
            "names nobody to be told; `operator:` beside `endpoints:` does",
        ),
        (["endpoints", "pause", "zurich"], "'zurich' is a group, and no endpoint"),
        (["endpoints", "resume", "zurich"], "'zurich' is a group, and no endpoint"),
    ],
)
def test_a_command_says_what_the_name_is(
    arguments: list[str], sentence: str, operator: Operator, built: OutboxBuilder
) -> None:
    """A group where a device belongs, a device where an endpoint does, and so on."""
    operator.write_routes(ROUTES)
    built.delivery("acme", "dead")

    assert sentence in operator.fails(*arguments)


@pytest.mark.parametrize(
    ("wanted", "place", "sentence"),
    [
        ("devices: zurich", "8:14", 'devices: "zurich" is a group, and stands in groups: [zurich]'),
        (
            "devices: [ECC9FF5C0001, zurich]",
            "8:29",
            'devices: "zurich" is a group, and stands in groups: [zurich]',
        ),
        (
            'groups: ["ec:c9:ff:5c:7a:d4"]',
            "8:14",
            '"ec:c9:ff:5c:7a:d4" is a device, and stands in devices: [ECC9FF5C7AD4]',
        ),
    ],
)
def test_the_routing_file_says_where_it_stands(
    wanted: str, place: str, sentence: str, tmp_path: Path
) -> None:
    """Devices and groups are told apart by the lists that they stand in."""
    text = ROUTES.replace("groups: [zurich]", wanted)

    assert problems_of(text, folder=tmp_path) == [
        f'routes.yaml:{place}: endpoint "acme": {sentence}'
    ]
