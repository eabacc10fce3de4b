"""What the judge of the chaos suite makes of requests that a replica sends when it wakes after others took over."""

import pytest

from chaos.judge import Evidence, Verdict, judge
from chaos.oracle import Oracle
from chaos.receiver import Receiver


def verdict(*, mode: str, strays: int) -> Verdict:
    """Of a receiver that has taken the second reading of a device before the first."""
    oracle = Oracle(size=1)
    for _ in range(2):
        oracle.take(oracle.issue().number)
    receiver = Receiver("home", settings={"mode": mode})
    receiver.accepted = dict.fromkeys((2, 1))
    return judge(oracle, [receiver], Evidence(endpoints={}, strays=strays))


@pytest.mark.parametrize(
    ("mode", "strays", "inversions"),
    [
        pytest.param(
            "latest", 1, 0, id="where only the latest counts, a stray may bring an older one"
        ),
        pytest.param("latest", 0, 1, id="but not where nobody stood still"),
        pytest.param(
            "all", 1, 1, id="and nowhere else: a reading that is delivered keeps its place"
        ),
    ],
)
def test_stray_is_excused_where_its_reading_had_given_way(
    mode: str, strays: int, inversions: int
) -> None:
    """The newer reading had superseded it, so no home sends it any more; the one that woke up does."""
    found = verdict(mode=mode, strays=strays)

    assert (found.inversions, found.strays) == (inversions, 1 - inversions)
