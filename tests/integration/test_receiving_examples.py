"""The receivers of docs/examples as real processes, against the requests of docs/vectors.json and our own."""

import base64
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest
from support.examples import EXAMPLES, RECEIVERS, ROOT, Example, Running, Vector, vectors

from forwarder.delivery import Delivery
from forwarder.demo.samples import samples
from forwarder.render import Rendered, render
from forwarder.routes.model import BatchLimits, Endpoint, EndpointName, Format, SigningKey
from forwarder.signing import signature_headers

NOW = 1763461065
KEY = SigningKey(b"k" * 32)
SECRET = "whsec_" + base64.b64encode(KEY.secret).decode()
PAGE = (ROOT / "docs" / "receiving.md").read_text("utf-8")


@pytest.fixture(params=RECEIVERS)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Example:
    """Each of the receivers in turn."""
    return Example(request.param, tmp_path)


def test_every_vector_gets_its_verdict(example: Example) -> None:
    """What is genuine is answered 2xx and kept, reading by reading; what is not 401, in a sentence, and nothing is."""
    verdicts, statuses, sentences = {}, {}, []
    for secret, several in groupby(sorted(vectors(), key=by_secret), by_secret):
        with example.running(secret) as receiver:
            for vector in several:
                answer = receiver.post(vector.headers, vector.body.encode(), now=vector.now)
                statuses[vector.name] = answer.status_code
                verdicts[vector.name] = 204 if vector.verdict == "accept" else 401
                sentences += [answer.text] if answer.status_code == 401 else []
    assert statuses == verdicts
    assert sorted(example.kept) == sorted(id_ for vector in vectors() for id_ in vector.readings)
    assert all(sentence.strip() and "\n" not in sentence.strip() for sentence in sentences)


def by_secret(vector: Vector) -> str:
    return vector.secret


def rendered(deliveries: list[Delivery], form: Format = "standard", *, batched: bool) -> Rendered:
    batch = BatchLimits(10, 1.0) if batched else None
    endpoint = Endpoint(EndpointName("acme"), url="", keys=(), batch=batch, format=form)
    return render(deliveries, endpoint=endpoint)


def post(receiver: Running, request: Rendered, *, attempt: int = 1) -> int:
    headers = signature_headers(
        request.webhook_id, unix_second=NOW, attempt=attempt, body=request.body, keys=[KEY]
    )
    fields = {"content-type": request.content_type, **dict(headers)}
    return receiver.post(fields, request.body, now=NOW).status_code


def test_each_reading_is_kept_once(example: Example) -> None:
    """Repeats, batches that were grouped anew, the other format, a restart: all answered 2xx, and no news."""
    readings = list(samples(4, endpoint="acme", now=datetime.fromtimestamp(NOW, UTC)))
    first, second, third, _ = readings
    with example.running(SECRET) as receiver:
        for attempt in (1, 2):
            assert post(receiver, rendered([first], batched=False), attempt=attempt) == 204
        assert post(receiver, rendered([first, second], batched=True)) == 204
        assert post(receiver, rendered([third, second], "cloudevents", batched=True)) == 204
    with example.running(SECRET) as receiver:
        assert post(receiver, rendered([first], "cloudevents", batched=False)) == 204
        assert post(receiver, rendered(readings, batched=True)) == 204
    assert example.kept == [one.webhook_id for one in readings]


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("", id="none"),
        pytest.param("ACME_SECRET", id="its name"),
        pytest.param("whsec_c2hvcnQ=", id="too short"),
        pytest.param(SECRET[:-3], id="cut off"),
        pytest.param(f"{SECRET} whpk_{SECRET[6:]}", id="one of two is another kind"),
    ],
)
def test_a_wrong_secret_is_one_sentence(example: Example, secret: str) -> None:
    """At the start; PHP has none, so there it is each answer, a 500, after which readings come again."""
    sentence = "WEBHOOK_SECRET has to be the whsec_… that the forwarder signs with"
    if example.name == "receiver.php":
        with example.running(secret) as receiver:
            answer = receiver.post({}, b"{}", now=NOW)
        assert (answer.status_code, answer.text) == (500, sentence)
        return
    process = example.start(secret)
    output, errors = process.communicate(timeout=30)
    assert (output, errors) == ("", sentence + "\n")
    assert process.returncode == 1


def test_blanks_around_a_secret_do_no_harm(example: Example) -> None:
    """Files and settings end in a line break more often than not."""
    with example.running(f" {SECRET} \n") as receiver:
        (reading,) = samples(1, endpoint="acme", now=datetime.fromtimestamp(NOW, UTC))
        assert post(receiver, rendered([reading], batched=False)) == 204


@pytest.mark.parametrize("name", RECEIVERS)
def test_the_page_leads_to_each_receiver(name: str) -> None:
    assert f"](examples/{name})" in PAGE


def test_every_program_among_the_examples_is_tested() -> None:
    programs = {path.name for path in EXAMPLES.iterdir() if path.suffix != ".json"}
    assert programs == set(RECEIVERS)


def test_the_first_receiver_stands_on_the_page() -> None:
    """docs/receiving.md quotes it to the letter, and begins with it."""
    program = (EXAMPLES / "receiver.py").read_text("utf-8")
    assert program in PAGE
    assert len(PAGE.split(program)[0].splitlines()) < 20
