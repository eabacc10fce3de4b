"""The receivers of docs/receiving.md as real processes, against requests that our own code rendered and signed."""

import base64
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.reading import Device, Reading, rfc3339, webhook_id
from forwarder.render import Rendered, render, render_test
from forwarder.render.data import encode_data
from forwarder.routes.model import BatchLimits, Endpoint, EndpointName, SigningKey
from forwarder.signing import signature_headers

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
DEVICE = Device("ECC9FF5C7F14")
KEY, NEXT_KEY, STRANGE_KEY = (SigningKey(secrets.token_bytes(size)) for size in (24, 64, 32))
SINGLE = Endpoint(EndpointName("acme"), url="http://127.0.0.1/", keys=())
BATCHED = Endpoint(
    EndpointName("acme"), url="http://127.0.0.1/", keys=(), batch=BatchLimits(10, 1.0)
)


def whsec(key: SigningKey) -> str:
    return "whsec_" + base64.b64encode(key.secret).decode()


class Receiver:
    """One of the examples, running; it knows the secrets of `KEY` unless told otherwise."""

    def __init__(self, command: Sequence[str], store: Path) -> None:
        self._command = command
        self._store = store

    def start(self, *keys: SigningKey) -> None:
        known = {
            "WEBHOOK_SECRET": " ".join(map(whsec, keys or (KEY,))),
            "PORT": "0",
            "STORE": str(self._store),
        }
        self._process = subprocess.Popen(
            self._command, env=os.environ | known, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._url = self._process.stdout.readline().removeprefix("listening on ").strip()

    def post(
        self,
        rendered: Rendered,
        *,
        keys: Sequence[SigningKey] = (KEY,),
        attempt: int = 1,
        body: bytes | None = None,
        seconds_ago: int = 0,
    ) -> int:
        """The status that the receiver answers."""
        headers = signature_headers(
            rendered.webhook_id,
            unix_second=int(time.time()) - seconds_ago,
            attempt=attempt,
            body=rendered.body,
            keys=keys,
        )
        sent = rendered.body if body is None else body
        with httpx.Client(trust_env=False) as client:
            return client.post(self._url, content=sent, headers=headers).status_code

    def stop(self) -> list[str]:
        """The ids of the readings that it printed as new."""
        self._process.terminate()
        printed, _ = self._process.communicate(timeout=10)
        return [line.split()[0] for line in printed.splitlines()]


@pytest.fixture(scope="session")
def npm_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node example with what it needs from npm beside it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    project = tmp_path_factory.mktemp("npm")
    for name in ("receiver.mjs", "package.json"):
        shutil.copy(EXAMPLES / name, project)
    install = ["npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(install, cwd=project, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"npm could not install standardwebhooks: {done.stderr.strip()[-200:]}")
    return project


@pytest.fixture(params=["python", "node"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    """Each of the examples in turn, started by the test."""
    if request.param == "python":
        command = [sys.executable, str(EXAMPLES / "receiver.py")]
    else:
        command = ["node", str(request.getfixturevalue("npm_project") / "receiver.mjs")]
    receiver = Receiver(command, tmp_path / "store")
    yield receiver
    receiver.stop()


def delivery(number: int) -> Delivery:
    now = datetime.now(UTC)
    reading = Reading(
        DEVICE,
        now,
        "utc",
        now,
        measurements={"active_power_import_kw": 7.8497},
        system={"name": "Küche"},
    )
    reading_id = webhook_id(DEVICE, b"%d" % number)
    return Delivery(
        reading=ReadingNumber(number),
        endpoint="acme",
        device=DEVICE,
        webhook_id=reading_id,
        measured_at=rfc3339(now),
        received_at=0.0,
        age_from=0.0,
        attempts=0,
        data=encode_data(reading_id, reading),
    )


def one(number: int) -> Rendered:
    return render([delivery(number)], endpoint=SINGLE)


def batch(*numbers: int) -> Rendered:
    return render([delivery(number) for number in numbers], endpoint=BATCHED)


def ids(*numbers: int) -> list[str]:
    return [webhook_id(DEVICE, b"%d" % number) for number in numbers]


def test_a_signed_reading_is_accepted(receiver: Receiver) -> None:
    receiver.start()
    assert receiver.post(one(1)) == 204
    assert receiver.stop() == ids(1)


@pytest.mark.parametrize(
    "post",
    [
        pytest.param(lambda it: it.post(one(1), keys=[STRANGE_KEY]), id="another's key"),
        pytest.param(lambda it: it.post(one(1), body=one(2).body), id="another body"),
        pytest.param(lambda it: it.post(one(1), seconds_ago=600), id="signed ten minutes ago"),
    ],
)
def test_what_is_not_genuine_is_turned_away(
    receiver: Receiver, post: Callable[[Receiver], int]
) -> None:
    """A bad signature is answered 401, so that a wrong key costs no reading, and nothing is kept."""
    receiver.start()
    assert post(receiver) == 401
    assert receiver.post(one(3)) == 204
    assert receiver.stop() == ids(3)


def test_a_repeat_is_answered_but_kept_once(receiver: Receiver) -> None:
    """The second attempt of a reading whose first answer was lost is a success and no news."""
    receiver.start()
    assert [receiver.post(one(1), attempt=attempt) for attempt in (1, 2)] == [204, 204]
    assert receiver.stop() == ids(1)


def test_a_repeat_is_known_after_a_restart(receiver: Receiver) -> None:
    """What was answered 2xx is on disk."""
    receiver.start()
    receiver.post(one(1))
    assert receiver.stop() == ids(1)
    receiver.start()
    assert (receiver.post(one(1)), receiver.post(one(2))) == (204, 204)
    assert receiver.stop() == ids(2)


def test_batches_are_told_apart_by_their_readings(receiver: Receiver) -> None:
    """Batches that were grouped anew overlap; each reading in them is kept once."""
    receiver.start()
    assert [receiver.post(each) for each in (batch(1, 2), batch(2, 3), batch(3), one(1))] == [
        204
    ] * 4
    assert receiver.stop() == ids(1, 2, 3)


@pytest.mark.parametrize(
    ("known", "used"),
    [
        pytest.param([KEY], [KEY, NEXT_KEY], id="the forwarder signs with both"),
        pytest.param([NEXT_KEY], [KEY, NEXT_KEY], id="the receiver changed first"),
        pytest.param([KEY, NEXT_KEY], [NEXT_KEY], id="the receiver knows both"),
    ],
)
def test_a_key_is_rotated_without_a_gap(
    receiver: Receiver, known: list[SigningKey], used: list[SigningKey]
) -> None:
    """One key in common is enough."""
    receiver.start(*known)
    assert receiver.post(one(1), keys=used) == 204


def test_a_test_event_is_a_success_and_no_reading(receiver: Receiver) -> None:
    """Types that a receiver does not know are answered with success."""
    receiver.start()
    assert receiver.post(render_test(SINGLE, now=datetime.now(UTC))) == 204
    assert receiver.stop() == []


@pytest.mark.parametrize("name", ["receiver.py", "receiver.mjs"])
def test_the_page_shows_the_program_that_is_tested(name: str) -> None:
    """docs/receiving.md quotes the examples to the letter."""
    assert (EXAMPLES / name).read_text("utf-8") in (DOCS / "receiving.md").read_text("utf-8")
