import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.payloads import PAYLOADS, TOPIC

from forwarder.cli.decode import command
from forwarder.errors import TemplateError


@pytest.fixture(autouse=True)
def _clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine that runs the tests, and no `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORWARDER_TEMPLATE_FILE", raising=False)
    monkeypatch.setenv("COLUMNS", "160")


def decode(*arguments: str | Path, payload: bytes = b"") -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], input=payload)


def test_decode_prints_the_data_object_for_programs() -> None:
    """`--json` is the very object that a receiver gets."""
    result = decode("--json", "--topic", TOPIC, PAYLOADS / "live.json")
    reading = json.loads(result.output)["reading"]

    assert result.exit_code == 0
    assert reading["device"] == "ECC9FF5C7AD4"
    assert reading["measurements"]["active_energy_import_kwh"] == 47.251
    assert reading["id"].startswith("msg_")


def test_decode_prints_the_reason_for_programs() -> None:
    """The answer is on stdout, whichever it is."""
    result = decode("--json", payload=b"offline")

    assert (result.exit_code, json.loads(result.output)) == (0, {"quarantine": "not_json"})


def test_decode_gives_people_the_reason_and_their_shells_an_exit_code() -> None:
    """A payload that would go to quarantine ends a script; programs that ask for JSON have their answer."""
    result = decode(payload=b"offline")

    assert (result.exit_code, result.output.splitlines()[0]) == (1, "quarantine: not_json")


def test_decode_shows_which_part_gave_which_value() -> None:
    """For people: place, what was sent, what it is, and what is absent or not understood."""
    lines = decode(payload=b'{"P_In":1.50,"PF":null,"E_In":"x","site":"Basel"}').output.splitlines()

    assert lines[0].startswith("device unknown (named by the topic), measured at ")
    assert [line.split() for line in lines[2:5]] == [
        ["P_In", "1.5", "active_power_import_kw", "kW"],
        ["PF", "null", "power_factor", "absent"],
        ["E_In", '"x"', "active_energy_import_kwh", "kWh", "not", "understood,", "carried", "in", "extra"],
    ]  # fmt: skip
    assert lines[5] == 'carried in extra: {"E_In": "x", "site": "Basel"}'


@pytest.mark.parametrize(
    ("topic", "trusted", "headline"),
    [
        pytest.param((), "auto", "device ECC9FF5C7F14 (named by the payload)", id="no topic"),
        pytest.param(
            ("--topic", "ext/partner/ECC9FF5C7F14"),
            "true",
            "device ECC9FF5C7F14 (named by the topic)",
            id="both say the same",
        ),
        pytest.param(
            ("--topic", "lab/one"), "auto", "device one (named by the topic)", id="not trusted"
        ),
        pytest.param(
            ("--topic", "lab/one"),
            "true",
            "device ECC9FF5C7F14 (named by the payload)",
            id="trusted",
        ),
    ],
)
def test_decode_says_which_of_the_two_named_the_device(
    topic: tuple[str, ...], trusted: str, headline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By today's settings; without a topic nothing gainsays the payload."""
    monkeypatch.setenv("FORWARDER_TRUST_PAYLOAD_DEVICE", trusted)
    output = decode(*topic, payload=b'{"P_In":1,"sys.id":"ECC9FF5C7F14"}').output
    assert output.startswith(headline)
    assert ("does not count under this topic, carried in extra" in output) == ("one" in headline)


def test_decode_prints_nothing_beside_the_object() -> None:
    """What the running service would warn of is no part of the answer."""
    payload = b'{"P_In":1,"timestamp":4000000000,"sys.id":"ECC9FF5C7F14"}'
    output = decode("--json", "--topic", "lab/one", payload=payload).output
    assert json.loads(output)["reading"]["extra"] == {"sys.id": "ECC9FF5C7F14"}


def test_decode_shows_the_reason_and_what_was_read() -> None:
    """The reason, its sentence, and the places that were recognised all the same."""
    output = decode("--topic", TOPIC, payload=b'{"P_In":1,"sys.id":"ECC9FF5C7F14"}').output

    assert output.startswith(
        "quarantine: device_mismatch\nthe topic names ECC9FF5C7AD4, the payload"
    )
    assert "active_power_import_kw" in output


def test_decode_reads_by_the_given_template() -> None:
    """`--template` stands in for FORWARDER_TEMPLATE_FILE."""
    template, payload = PAYLOADS / "template-influx.txt", PAYLOADS / "template-influx.message.txt"
    output = decode("--template", template, payload).output

    assert "from: timestamp" in output
    assert "${1_7_0} (1:45)" in output


def test_decode_reads_by_the_template_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--template` a payload is read as the service reads it."""
    monkeypatch.setenv("FORWARDER_TEMPLATE_FILE", str(PAYLOADS / "template-influx.txt"))

    assert "from: timestamp" in decode(PAYLOADS / "template-influx.message.txt").output


def test_decode_of_a_broken_template_fails_with_its_place(tmp_path: Path) -> None:
    """The command line turns this error into one sentence and exit code 2."""
    broken = tmp_path / "broken.txt"
    broken.write_text("${1_7_0}${2_7_0}")
    result = decode("--template", broken, payload=b"{}")

    assert isinstance(result.exception, TemplateError)
    assert result.exception.exit_code == 2


def test_decode_never_lets_a_payload_steer_the_terminal() -> None:
    """Escape sequences are shown, not sent."""
    output = decode(payload='{"P_In":1,"meter_id":"\\u001b[2J\x9b2J","a\x9b":1}'.encode()).output

    assert "\x1b" not in output
    assert "\x9b" not in output
