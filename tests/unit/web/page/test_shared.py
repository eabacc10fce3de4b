"""What open pages ask for together is made once, and leaves the line its turns."""

import asyncio
import sys
from itertools import count

from forwarder.web.page.shared import TURN_SECONDS, Shared


async def test_readers_of_one_view_share_it() -> None:
    """However many ask at the same time, it is made once; another view is another thing."""
    shared, made = Shared[int](lambda: 0.0), count()
    asked = [shared.get("/", made.__next__, is_shared=True) for _ in range(20)]
    assert await asyncio.gather(*asked) == [0] * 20
    assert await shared.get("/devices", made.__next__, is_shared=True) == 1


async def test_whoever_opens_a_view_sees_it_as_it_is_now() -> None:
    """What is kept is for pages that ask by themselves; it does not count as their cost either."""
    shared, made = Shared[int](lambda: 0.0), count()
    asked = [await shared.get("/", made.__next__, is_shared=False) for _ in range(2)]
    assert asked == [0, 1]
    assert shared.spent_seconds == 0
    assert await shared.get("/", made.__next__, is_shared=True) == 1
    assert shared.spent_seconds > 0


async def test_what_is_kept_grows_old() -> None:
    """A second later it is made anew, and nothing older is kept."""
    now = [0.0]
    shared, made = Shared[int](lambda: now[0]), count()
    assert await shared.get("/", made.__next__, is_shared=True) == 0
    now[0] = 1.5
    assert await shared.get("/devices", made.__next__, is_shared=True) == 1
    assert list(shared._kept) == ["/devices"]


async def test_what_is_told_is_seen() -> None:
    """What was made before readers were told of a change does not show it, however fresh it is."""
    shared, made = Shared[int](lambda: 0.0), count()
    assert await shared.get("/", made.__next__, is_shared=True) == 0
    shared.begin_round()
    assert await shared.get("/", made.__next__, is_shared=True) == 1
    assert await shared.get("/", made.__next__, is_shared=True) == 1


async def test_threads_change_places_often_meanwhile() -> None:
    """A delivery does not wait for Python's own five milliseconds while a view is made, and only then."""
    usual = sys.getswitchinterval()
    shared = Shared[float]()
    assert await shared.get("/", sys.getswitchinterval, is_shared=True) <= TURN_SECONDS
    assert sys.getswitchinterval() == usual
