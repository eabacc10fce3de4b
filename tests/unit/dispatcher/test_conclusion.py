"""What follows from an attempt, for every kind of batch and answer."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readings import delivery, endpoint

from forwarder.delivery import (
    Accepted,
    Attempt,
    AttemptResult,
    Delivery,
    Failed,
    Refused,
    RetryAt,
    classify,
)
from forwarder.dispatcher.batch import Batch, shape_of
from forwarder.dispatcher.conclusion import (
    PUT_OFF_SECONDS,
    Conclusion,
    Ended,
    GoesOn,
    conclude,
    unsent,
)
from forwarder.outbox import Claim
from forwarder.reading import Device
from forwarder.retry import Circumstances
from forwarder.routes import BatchLimits, Endpoint

NOW = 1763461060.0
DEVICES = [Device(f"ECC9FF5C000{number}") for number in range(4)]
SINGLE, BATCHED = endpoint(), endpoint(batch=BatchLimits(100, 1.0))
ANSWERS: list[AttemptResult] = [
    Accepted(204), Refused(400), Refused(413), Refused(422), Failed("timeout"), classify(503), classify(410),
]  # fmt: skip


class Untouched:
    """A token of which nothing else changes what is pending, and behind which nothing waits."""

    is_changed, is_claimed = False, True

    def has_newer(self, _: Delivery) -> bool:
        return False


def claims(*sizes: int) -> list[Claim]:
    """One claim a device, with so many deliveries each."""
    numbers = iter(range(1, 1 + sum(sizes)))
    return [
        Claim(tuple(delivery(next(numbers), device) for _ in range(size)), Untouched())
        for device, size in zip(DEVICES, sizes, strict=False)
    ]


def batch_of(at: Endpoint, *sizes: int) -> Batch:
    return Batch.of(claims(*sizes), shape_of(at))


def concluded(batch: Batch, result: AttemptResult, at: Endpoint = BATCHED) -> Conclusion:
    attempt = Attempt(batch.head[0].attempts + 1, NOW, 1.0, None, "")
    return conclude(
        batch, result, attempt, endpoint=at, circumstances=Circumstances(NOW, spread=0.0)
    )


def following(batch: Batch, result: AttemptResult) -> Sequence[Batch]:
    conclusion = concluded(batch, result)
    assert isinstance(conclusion, GoesOn)
    return conclusion.batches


def sizes(batches: Sequence[Batch]) -> list[tuple[int, int]]:
    """Of each batch, how many deliveries are in its next POST, and how many in all."""
    return [(len(one.head), len(one.deliveries)) for one in batches]


def test_single_reading_ends_with_its_attempt() -> None:
    """Its lane waits for the next attempt, so that nothing is kept for it."""
    conclusion = concluded(batch_of(SINGLE, 1), Failed("timeout"), SINGLE)
    assert isinstance(conclusion, Ended)
    assert [one.decision for one in conclusion.settlements] == [RetryAt(NOW + 5)]


@pytest.mark.parametrize(
    ("claimed", "result", "expected"),
    [
        pytest.param((2, 2), Refused(413), [(2, 2), (2, 2)], id="too large: halves"),
        pytest.param((4,), Refused(413), [(2, 4)], id="too large, one lane: halves in order"),
        pytest.param((2, 1), Refused(400), [(1, 2), (1, 1)], id="refused: one by one"),
        pytest.param((2, 2), Failed("timeout"), [(4, 4)], id="failed: together"),
    ],
)
def test_what_is_sent_next(
    claimed: tuple[int, ...], result: AttemptResult, expected: list[tuple[int, int]]
) -> None:
    assert sizes(following(batch_of(BATCHED, *claimed), result)) == expected


def test_batch_that_failed_three_times_is_halved() -> None:
    """One reading in it may be what the receiver chokes on."""
    (batch,) = following(batch_of(BATCHED, 2, 2), Failed("timeout"))
    (batch,) = following(batch, Failed("timeout"))
    assert sizes(following(batch, Failed("timeout"))) == [(2, 2), (2, 2)]


def test_second_half_begins_with_no_failures() -> None:
    """What was held against the first half says nothing about the second."""
    (halves,) = following(batch_of(BATCHED, 4), Refused(413))
    (failed,) = following(halves, Failed("timeout"))
    (rest,) = following(failed, Accepted(204))
    assert (failed.failures, rest.failures) == (1, 0)


def test_single_reading_that_was_not_sent_leaves_its_place() -> None:
    """Its lane waits, and no attempt is counted."""
    conclusion = unsent(batch_of(SINGLE, 1), endpoint=SINGLE, now=NOW)
    assert isinstance(conclusion, Ended)
    (settlement,) = conclusion.settlements
    assert (settlement.decision, settlement.attempt) == (RetryAt(NOW + PUT_OFF_SECONDS), None)


@pytest.mark.parametrize(
    "claimed", [pytest.param((2,), id="of one lane"), pytest.param((1, 1), id="of two lanes")]
)
def test_batch_that_was_not_sent_is_kept_as_it_is(claimed: tuple[int, ...]) -> None:
    batch = batch_of(BATCHED, *claimed)
    assert unsent(batch, endpoint=BATCHED, now=NOW) == GoesOn((), [batch], PUT_OFF_SECONDS)


def test_rest_of_a_batch_goes_on_at_an_endpoint_that_takes_single_readings_now() -> None:
    """It was edited meanwhile: with readings behind the head, or of several lanes, nothing is over."""
    (halves,) = following(batch_of(BATCHED, 4), Refused(413))
    for batch in (halves, batch_of(BATCHED, 1, 1)):
        assert isinstance(unsent(batch, endpoint=SINGLE, now=NOW), GoesOn)
        assert isinstance(concluded(batch, Accepted(204), SINGLE), GoesOn)


@given(
    at=st.sampled_from([SINGLE, BATCHED]),
    claimed=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=12),
)
def test_no_delivery_is_lost_or_sent_twice(
    at: Endpoint, claimed: list[int], answers: list[AttemptResult]
) -> None:
    """Whatever is answered, each delivery is settled for good once, or goes on in one batch, in order."""
    first = batch_of(at, *([1] if at is SINGLE else claimed))
    owed = Counter(one.reading for one in first.deliveries)
    open_batches, ended = [first], Counter[int]()
    for answer in answers:
        if not open_batches:
            break
        conclusion = concluded(open_batches.pop(0), answer, at)
        ended.update(
            delivery.reading
            for one in conclusion.settlements
            for delivery in one.deliveries
            if not isinstance(one.decision, RetryAt) or isinstance(conclusion, Ended)
        )
        if isinstance(conclusion, GoesOn):
            open_batches = [one for one in conclusion.batches if one.deliveries] + open_batches
        going_on = Counter(one.reading for batch in open_batches for one in batch.deliveries)
        assert ended + going_on == owed
        assert all(is_in_order(batch.deliveries) for batch in open_batches)


def is_in_order(deliveries: Sequence[Delivery]) -> bool:
    """Of each device, in the order of arrival."""
    lanes: dict[Device, list[int]] = {}
    for one in deliveries:
        lanes.setdefault(one.device, []).append(one.reading)
    return all(numbers == sorted(numbers) for numbers in lanes.values())
