"""`forwarder certify`: sound receivers pass, and each that is wrong is told where."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support import wrong_receivers as receivers
from support.command import finish, start
from support.examples import RECEIVERS, Example
from support.wrong_receivers import SECRET, Sound, receiving

from forwarder.cli.main import cli
from forwarder.errors import ConfigurationError

WRONG: list[tuple[type[Sound], set[str]]] = [
    (receivers.TakesEverything, {
        "a body tampered with", "an id tampered with", "a timestamp tampered with", "a wrong key", "no signature",
        "half a signature", "a signature without its version", "an old timestamp", "a future timestamp",
        "a timestamp that is none",
    }),
    (receivers.WritesJsonAnew, {"bytes as they are"}),
    (receivers.HasNoClock, {"an old timestamp", "a future timestamp"}),
    (receivers.LooksOnlyBack, {"a future timestamp"}),
    (receivers.KnowsOneSignature, {"two keys", "a signature of another version"}),
    (receivers.SignsWithoutTheId, {"an id tampered with"}),
    (receivers.ComparesBeginnings, {"half a signature"}),
    (receivers.TakesSignaturesWithoutVersion, {"a signature without its version"}),
    (receivers.RejectsRepeats, {"the same id twice"}),
    (receivers.WantsOrder, {"ids reordered"}),
    (receivers.KnowsItsTypes, {"an unknown type"}),
    (receivers.HasLittleRoom, {"64 KiB"}),
    (receivers.DoesOneThingAtATime, {"parallel requests"}),
    (receivers.IsSlow, {"valid"}),
    (receivers.KnowsNoLists, {"a batch"}),
]  # fmt: skip
"""Each with the probes that find it."""


def certify(url: str, *options: str, secret: str = SECRET) -> Result:
    environment = {"CERTIFIED_SECRET": secret}
    arguments = ["certify", url, "--secret", "env:CERTIFIED_SECRET", *options]
    return CliRunner(env=environment).invoke(cli, arguments)


def failed_of(result: Result) -> set[str]:
    told = json.loads(result.output)
    return {one["name"] for one in told["probes"] if not one["passed"]}


@pytest.mark.parametrize(("wrong", "found"), WRONG, ids=[one.__name__ for one, _ in WRONG])
def test_wrong_receiver_is_found_out(wrong: type[Sound], found: set[str]) -> None:
    """What is wrong is named, and nothing else is."""
    with receiving(wrong) as url:
        result = certify(url, "--json")
    assert failed_of(result) == found
    assert result.exit_code == 1


@pytest.mark.parametrize(
    "wrong", [receivers.BreaksInsteadOfRejecting, receivers.PausesInsteadOfRejecting]
)
def test_forgeries_are_rejected_with_a_4xx(wrong: type[Sound]) -> None:
    """A 5xx says that something is broken, and a 410 that nothing more is wanted."""
    with receiving(wrong) as url:
        assert len(failed_of(certify(url, "--json"))) == 10


def test_redirect_takes_nothing() -> None:
    with receiving(receivers.Redirects) as url:
        assert "valid" in failed_of(certify(url, "--json"))


def test_sound_receiver_passes() -> None:
    """With readings too, and in words."""
    with receiving(Sound) as url:
        result = certify(url, "--with-readings")
    assert result.exit_code == 0, result.output
    assert "✗" not in result.output
    assert result.output.rstrip().endswith("passes: 30 probes")


def test_what_to_change_is_said() -> None:
    with receiving(receivers.RejectsRepeats) as url:
        result = certify(url)
    assert "✗ the same id twice" in result.output
    assert "answer 2xx to an id that you have" in result.output
    assert "falls short in 1 of 27 probes" in result.output
    assert SECRET.removeprefix("whsec_") not in result.output


def test_receiver_that_is_not_there_falls_short() -> None:
    result = certify("http://127.0.0.1:1/hook", "--json")
    assert result.exit_code == 1
    assert len(failed_of(result)) == 27


def test_missing_answer_is_told_as_one() -> None:
    """Nobody answered, so the sentence below says so."""
    result = certify("http://127.0.0.1:1/hook")
    assert "\n    no answer (connect_refused: " in result.output
    assert "answered no answer" not in result.output


def test_secret_that_is_none_is_an_error() -> None:
    assert isinstance(
        certify("http://127.0.0.1:1/", secret="nothing").exception, ConfigurationError
    )


@pytest.mark.parametrize("name", RECEIVERS)
def test_example_passes(name: str, tmp_path: Path) -> None:
    """Whoever begins with a receiver of docs/examples has one that passes, within a minute."""
    example = Example(name, tmp_path)
    with example.running(SECRET) as receiver, set_to_now(receiver.clock):
        result = certify(receiver.url, "--with-readings", "--json")
    assert failed_of(result) == set(), result.output
    assert result.exit_code == 0


async def test_our_own_receiver_passes(tmp_path: Path) -> None:
    """`forwarder listen` keeps to what it asks of others."""
    listener = await start(
        *["listen", "--port", "0", "--secret", "env:CERTIFIED_SECRET"],
        folder=tmp_path,
        CERTIFIED_SECRET=SECRET,
    )
    try:
        assert listener.stdout is not None
        url = (await listener.stdout.readline()).decode().split()[2]
        result = await asyncio.to_thread(certify, url, "--with-readings", "--json")
    finally:
        listener.send_signal(signal.SIGINT)
        await finish(listener)
    assert failed_of(result) == set(), result.output


@contextmanager
def set_to_now(clock: Path) -> Iterator[None]:
    clock.write_text(str(int(time.time())))
    yield
