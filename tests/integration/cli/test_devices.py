"""`forwarder devices`: who reports, who does not, and who gets them."""

from collections.abc import Callable

import pytest
from click.shell_completion import ShellComplete
from support.outbox_builder import BERN, ZURICH, OutboxBuilder, seconds_ago
from support.shell import Operator

from forwarder.cli.main import COMPLETION_VARIABLE, PROGRAM, cli
from forwarder.outbox import DeviceRecord
from forwarder.outbox.intervals import with_interval
from forwarder.reading import Device

NOBODYS = Device("ECC9FF5C0001")
ROUTES = f"""
groups:
  south: [{BERN}]
endpoints:
  acme: {{url: "https://acme.example/hook", secret: "env:A", devices: [{ZURICH}], groups: [south]}}
  home: {{url: "https://home.example/hook", secret: "env:A", devices: [{ZURICH}]}}
"""

Hear = Callable[..., None]


@pytest.fixture
def hear(built: OutboxBuilder) -> Hear:
    """Gives a device the record of one that was heard so many seconds ago, as often as it does."""
    places = iter(range(1000))

    def hear(device: Device, seconds: float, *, is_silent: bool = False) -> None:
        last_at = seconds_ago(seconds)
        record = DeviceRecord(
            device, seconds_ago(1e6), last_at, "2025-11-18T10:00:00Z", 20,
            with_interval(b"", 10.0), None, last_at if is_silent else None,
        )  # fmt: skip
        with built.store() as store:
            store.devices.record({next(places): record}, but=())

    return hear


@pytest.fixture
def operator(operator: Operator) -> Operator:
    operator.write_routes(ROUTES)
    return operator


def by_device(listed: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    return {one["device"]: one for one in listed}


def test_each_device_with_its_readings_and_recipients(operator: Operator, hear: Hear) -> None:
    """Last reading, age, usual interval, who gets it."""
    hear(ZURICH, 5)
    one = by_device(operator.json("devices"))[ZURICH]
    assert one["endpoints"] == ["acme", "home"]
    assert one["usual_interval_seconds"] == 10.0
    assert 5 <= float(str(one["age_seconds"])) < 60
    assert one["silent_since"] is None


def test_devices_that_only_the_routes_or_the_quarantine_know(
    operator: Operator, built: OutboxBuilder
) -> None:
    """Who never reported is listed as that, and who sends nothing that is understood with how much of it is kept."""
    built.quarantine(device=NOBODYS)
    built.quarantine(device=NOBODYS)
    listed = by_device(operator.json("devices"))
    assert set(listed) == {ZURICH, BERN, NOBODYS}
    assert listed[BERN]["last_reading_at"] is None
    assert (listed[NOBODYS]["quarantined"], listed[NOBODYS]["endpoints"]) == (2, [])
    said = operator.says("devices")
    assert "never" in said
    assert "3 devices: 1 unrouted, 2 never heard of" in said


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (("--silent",), "no silent devices"),
        (("--unrouted",), "no unrouted devices"),
        (("--silent", "--unrouted"), "no silent unrouted devices"),
    ],
)
def test_a_filter_that_leaves_none_says_which(
    operator: Operator, hear: Hear, filters: tuple[str, ...], said: str
) -> None:
    """There are devices; none of them is so."""
    hear(ZURICH, 5)
    assert operator.says("devices", *filters).strip() == said


@pytest.mark.parametrize(("option", "expected"), [("--silent", [BERN]), ("--unrouted", [NOBODYS])])
def test_filters(operator: Operator, hear: Hear, option: str, expected: list[str]) -> None:
    """Those that the service has found silent; those that nobody wants."""
    hear(ZURICH, 80)
    hear(BERN, 500, is_silent=True)
    hear(NOBODYS, 500)
    assert [one["device"] for one in operator.json("devices", option)] == expected


def test_list_for_people(operator: Operator, hear: Hear) -> None:
    """A line a device; what is to be noticed is counted below."""
    hear(ZURICH, 5)
    hear(BERN, 7200, is_silent=True)
    hear(NOBODYS, 5)
    lines = operator.says("devices").splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:4]}
    assert rows[ZURICH] == ["5s", "ago", "10s", "acme,", "home"]
    assert rows[BERN] == ["2h", "ago", "10s", "silent", "acme"]
    assert rows[NOBODYS] == ["5s", "ago", "10s", "unrouted", "nobody"]
    assert lines[-1] == "3 devices: 1 silent, 1 unrouted"


@pytest.mark.parametrize("columns", ["80", "60"])
def test_macs_are_never_cut(operator: Operator, hear: Hear, columns: str) -> None:
    """Less important columns leave first, and the last row says so."""
    operator.environment["COLUMNS"] = columns
    for device in (ZURICH, BERN, NOBODYS):
        hear(device, 100, is_silent=device == BERN)
    said = operator.says("devices")
    assert all(device in said for device in (ZURICH, BERN, NOBODYS))
    assert max(map(len, said.splitlines())) <= int(columns)
    assert "silent" in said


def test_one_device_in_detail(operator: Operator, built: OutboxBuilder, hear: Hear) -> None:
    """Which rules match, what became of its last reading, and what of it is in quarantine."""
    hear(BERN, 5)
    number = built.reading("acme", device=BERN)
    built.quarantine(device=BERN)
    shown = operator.json("devices", "EC:C9:FF:5C:7F:14" if BERN == "ECC9FF5C7F14" else BERN)
    assert shown["because"] == {"acme": ["group south"]}
    assert [one["id"] for one in shown["last_reading"]] == [built.id_of(number)]
    assert [one["reason"] for one in shown["quarantine"]] == ["not_json"]
    said = operator.says("devices", BERN)
    for part in ("group south", built.id_of(number), "not_json", "usual interval"):
        assert part in said


def test_one_device_that_nobody_wants(operator: Operator, hear: Hear) -> None:
    """It says so, in one sentence."""
    hear(NOBODYS, 5)
    assert "nobody gets it" in operator.says("devices", NOBODYS)


def test_only_the_newest_of_its_quarantine_are_shown(
    operator: Operator, built: OutboxBuilder
) -> None:
    """And how many there are."""
    ids = [built.quarantine(device=BERN) for _ in range(12)]
    shown = operator.json("devices", BERN)
    assert [one["id"] for one in shown["quarantine"]] == ids[2:]
    assert "the newest 10 of 12" in operator.says("devices", BERN)


def test_a_device_that_there_is_not(operator: Operator, built: OutboxBuilder) -> None:
    """A name that is no MAC and that nothing goes by is an error; a MAC that never came is an answer."""
    assert "not a device" in operator.fails("devices", "heatpump")
    assert "never" in operator.says("devices", "ECC9FF00FFFF")


def test_filters_are_for_the_list(operator: Operator, built: OutboxBuilder) -> None:
    """They make no sense beside one device."""
    assert "leave the filters away" in operator.fails("devices", BERN, "--silent")


def test_without_routes_the_devices_are_worth_seeing(operator: Operator, hear: Hear) -> None:
    """A file that cannot be used leaves open who gets them; stdout stays the answer's alone."""
    hear(BERN, 500)
    operator.write_routes("endpoints: nonsense")
    result = operator.run("devices", "--json")
    assert result.exit_code == 0
    assert '"endpoints": null' in result.stdout
    assert "is not known" in result.stderr
    assert "?" in operator.run("devices").stdout


def test_devices_complete(operator: Operator, hear: Hear) -> None:
    """Those of the routing file and those that were heard of, MACs in any case."""
    hear(NOBODYS, 5)
    assert completed("forwarder devices ecc9") == sorted([ZURICH, BERN, NOBODYS])
    assert completed("forwarder devices --si") == ["--silent"]


def completed(line: str) -> list[str]:
    _program, *words, begun = line.split(" ")
    offers = ShellComplete(cli, {}, PROGRAM, COMPLETION_VARIABLE).get_completions(words, begun)
    return [str(offer.value) for offer in offers]
