from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.cli.answer_view import ADVICE
from forwarder.delivery import (
    Accepted,
    DeadReason,
    Failed,
    Gone,
    Refused,
    classify,
)
from forwarder.statuses import REFUSALS, answer_rules, status_words


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_success(status: int) -> None:
    assert classify(status, answer=b"ok") == Accepted(status, b"ok")


@pytest.mark.parametrize("status", [400, 405, 413, 414, 415, 422, 501])
def test_these_refuse_the_reading_for_good(status: int) -> None:
    assert classify(status, answer=b"no") == Refused(status, b"no")


def test_410_pauses_the_endpoint() -> None:
    assert classify(410, answer=b"gone") == Gone(410, b"gone")


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(101, id="a switch of protocols that nobody asked for"),
        pytest.param(301, id="a redirect is not followed"),
        pytest.param(304, id="not modified"),
        pytest.param(401, id="the key may be put right"),
        pytest.param(403, id="so may the permission"),
        pytest.param(404, id="a deployment may bring it back"),
        pytest.param(408, id="request timeout"),
        pytest.param(409, id="a conflict may pass"),
        pytest.param(429, id="too many"),
        pytest.param(499, id="just under the server errors"),
        pytest.param(500, id="a server error"),
        pytest.param(599, id="the last of them"),
    ],
)
def test_everything_else_is_tried_again(status: int) -> None:
    assert classify(status) == Failed(f"http_{status}", status=status)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heeded_where_it_means_the_endpoint(status: int) -> None:
    """RFC 9110 §10.2.3 and RFC 6585 §4: on 429 and 503 it says when to come again."""
    assert classify(status, retry_after="120") == Failed(
        f"http_{status}", status=status, retry_after="120"
    )


@pytest.mark.parametrize("status", [301, 404, 500, 502])
def test_retry_after_means_nothing_elsewhere(status: int) -> None:
    assert classify(status, retry_after="120") == Failed(f"http_{status}", status=status)


@given(st.integers(100, 599), st.binary(max_size=16))
def test_each_status_has_one_meaning(status: int, answer: bytes) -> None:
    """No status is lost: success, refusal, gone or a failure, and the answer is kept with it."""
    result = classify(status, answer=answer)
    assert result.answer == answer
    assert isinstance(result, Accepted) == (200 <= status < 300)
    assert isinstance(result, Refused) == (status in REFUSALS)


def test_no_word_says_why_it_failed_and_why_it_died() -> None:
    """Both stand on one screen: a dead letter's reason, and the error of each of its attempts."""
    assert not set(ADVICE) & set(get_args(DeadReason))


@pytest.mark.parametrize(
    ("success", "refused", "status", "outcome"),
    [
        pytest.param(["2xx", "302"], None, 302, Accepted, id="what the endpoint calls taken"),
        pytest.param(["2xx", "302"], None, 204, Accepted, id="a class"),
        pytest.param(["2xx", "302"], None, 301, Failed, id="what is in no list"),
        pytest.param(["302"], None, 200, Failed, id="2xx, which the own list left out"),
        pytest.param(["2xx", "400"], None, 400, Accepted, id="own success before usual refusal"),
        pytest.param(["2xx", "410"], None, 410, Accepted, id="410 that does not pause"),
        pytest.param(None, ["409"], 409, Refused, id="what the endpoint calls refused"),
        pytest.param(None, ["409"], 400, Failed, id="400, which the own list left out"),
        pytest.param(None, ["4xx"], 410, Refused, id="a class holds 410 too"),
        pytest.param(None, ["409"], 410, Gone, id="410 otherwise"),
        pytest.param(None, ["202"], 202, Refused, id="own refusal before usual success"),
        pytest.param(None, [], 400, Failed, id="nothing is refused for good"),
        pytest.param(["2xx"], ["202"], 202, Refused, id="an exact status before a class"),
        pytest.param(["404"], ["4xx"], 404, Accepted, id="an exact success before a class"),
        pytest.param(["404"], ["4xx"], 405, Refused, id="the rest of that class"),
    ],
)
def test_endpoint_says_what_its_answers_mean(
    success: list[str] | None, refused: list[str] | None, status: int, outcome: type
) -> None:
    """An endpoint's own words come before what is usual, and an exact status before a class."""
    rules = answer_rules(success, refused)
    result = classify(status, success=rules.success, refused=rules.refused)
    assert isinstance(result, outcome)


words = st.lists(
    st.sampled_from(["2xx", "3xx", "4xx", "5xx", "200", "202", "302", "400", "404", "410", "503"]),
    unique=True,
)


@given(st.none() | words, st.none() | words)
def test_no_status_is_taken_and_refused(
    success: list[str] | None, refused: list[str] | None
) -> None:
    """Whatever the lists say, a status settles a reading in one way at most."""
    if set(success or ()) & set(refused or ()):
        with pytest.raises(ValueError, match="is in success and in refused"):
            answer_rules(success, refused)
    else:
        rules = answer_rules(success, refused)
        assert not rules.success & rules.refused


def test_statuses_are_told_as_they_are_written() -> None:
    assert status_words(answer_rules(["302", "2xx"], None).success) == "2xx, 302"
