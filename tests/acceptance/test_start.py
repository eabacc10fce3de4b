"""What keeps it from starting is one sentence and an exit code."""

from pathlib import Path

import pytest
from support.line import Line, assert_told_once_in_order

GOOD = 'endpoints: {acme: {url: "https://a.example/", secret: env:KEY, devices: "*"}}'
CASES = [
    pytest.param(
        {"FORWARDER_MQTT_URI": ""},
        "FORWARDER_MQTT_URI is not set; set it to the URI whatwatt sent, mqtts://host:8883",
        id="the environment says too little",
    ),
    pytest.param(
        {"FORWARDER_MAX_MESSAGE_BYTES": "lots"},
        "FORWARDER_MAX_MESSAGE_BYTES: expected a size such as ",
        id="a setting is malformed",
    ),
    pytest.param({}, "routes.yaml:3:5: ", id="the routing file is wrong"),
]


@pytest.mark.parametrize(("settings", "sentence"), CASES)
async def test_invalid_configuration_ends_it_at_once(
    line: Line, settings: dict[str, str], sentence: str
) -> None:
    """It exits 2 and says on stderr what is wrong and where, before it touches anything."""
    line.service.settings |= settings
    line.routes_file.write_text("endpoints:\n  acme:\n    uri: https://a.example/\n")
    await line.service.start()
    assert await line.service.ended() == 2
    assert sentence in "\n".join(line.service.complaints)
    assert not line.service.outbox.exists()


async def test_a_port_that_is_taken_is_named(line: Line) -> None:
    """It exits 2 with one sentence when it cannot listen for whoever asks after its health."""
    await line.receiver("acme")
    line.write_routes()
    line.service.settings["FORWARDER_HTTP_LISTEN"] = line.broker.address
    await line.service.start()
    assert await line.service.ended() == 2
    (sentence,) = line.service.complaints
    assert f"FORWARDER_HTTP_LISTEN: cannot listen on {line.broker.address}" in sentence


@pytest.mark.parametrize("limit", [6, 12, 24, 40])
async def test_too_few_descriptors_are_told(line: Line, limit: int) -> None:
    """It exits 1 with one sentence that says how many it needs, before it touches anything."""
    await line.receiver("acme")
    line.write_routes()
    line.service.descriptor_limit = limit
    await line.service.start()
    assert await line.service.ended() == 1
    (sentence,) = line.service.complaints
    assert "a start needs 40 free file descriptors, and " in sentence
    assert f" are free at a limit of {limit};" in sentence
    assert line.service.events == []
    assert not line.service.outbox.exists()


async def test_the_fewest_descriptors_do(line: Line) -> None:
    """With as many as a start needs everything is delivered, and an edit and a stop work as ever."""
    acme = await line.receiver("acme")
    line.service.descriptor_limit = 44
    await line.start()
    await line.publish(20)
    await acme.until_count(20)
    line.endpoints["acme"]["timeout"] = "7s"
    line.write_routes()
    await line.service.logged("routes.reloaded")
    assert await line.service.stop() == 0
    assert line.service.complaints == []


async def test_a_start_that_others_left_no_descriptor_works_when_they_let_go(
    line: Line, tmp_path: Path
) -> None:
    """It ends with a sentence while there are too few, and the start after that, of a service manager, succeeds."""
    acme = await line.receiver("acme")
    line.write_routes()
    line.service.descriptor_limit = 64
    inherited = "; ".join(f"exec {number}</dev/null" for number in range(3, 10))
    line.service.shell = f"{inherited}; ulimit -n 44"
    await line.service.start()
    assert await line.service.ended() == 1
    line.service.shell = "ulimit -n 44"
    await line.service.start_ready()
    await line.publish(1)
    await acme.until_count(1)


async def test_a_second_process_is_refused(line: Line) -> None:
    """On the same data directory it exits 1 with one sentence, and the first one goes on unharmed."""
    webhooks = await line.receiver("acme")
    await line.start()
    async with line.another_service() as second:
        await second.start()
        assert await second.ended() == 1
    (sentence,) = second.complaints
    assert sentence.startswith("forwarder: another forwarder is running on ")
    await line.publish(20)
    await webhooks.until_count(20)
    assert_told_once_in_order(webhooks, line.fleet.issued)


async def test_a_damaged_outbox_is_never_touched_unasked(line: Line) -> None:
    """It exits 1 with one sentence; with FORWARDER_OUTBOX_REPAIR the file is moved aside and a new one begun."""
    webhooks = await line.receiver("acme")
    line.write_routes()
    damaged = b"SQLite format 3\x00" + bytes(range(256)) * 64
    line.service.outbox.parent.mkdir()
    line.service.outbox.write_bytes(damaged)
    await line.service.start()
    assert await line.service.ended() == 1
    (sentence,) = line.service.complaints
    assert "FORWARDER_OUTBOX_REPAIR=true" in sentence
    assert line.service.outbox.read_bytes() == damaged
    line.service.settings["FORWARDER_OUTBOX_REPAIR"] = "true"
    await line.service.start_ready()
    await line.publish(1)
    await webhooks.until_count(1)
    assert [aside.read_bytes() for aside in moved_aside(line.service.outbox)] == [damaged]


def moved_aside(outbox: Path) -> list[Path]:
    return list(outbox.parent.glob("outbox.db.damaged-*Z"))


async def test_check_beside_the_service_finds_everything_in_order(line: Line) -> None:
    """Its own port is no port of another program, and its broker and receivers answer."""
    await line.receiver("acme")
    await line.start()
    checked = await line.service.command("check", "--connect")
    assert checked.exit_code == 0
    told = checked.stdout.splitlines()
    assert (
        f"✓ port         {line.service.address} is held by the service of this outbox"
        in "\n".join(told)
    )
    assert {line[:10] for line in told[-2:]} == {"✓ broker  ", "✓ endpoint"}
