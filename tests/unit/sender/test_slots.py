import asyncio

import pytest

from forwarder.sender.slots import Slots


async def waiting(slots: Slots) -> asyncio.Task[None]:
    """Somebody who stands in the queue."""
    task = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    return task


def test_there_are_so_many_and_no_more() -> None:
    """What is taken is not free until it is given back."""
    slots = Slots(2)
    assert [slots.take() for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert [slots.take(), slots.take()] == [True, False]


async def test_who_waits_comes_before_who_comes_later() -> None:
    """A slot that is given back belongs to the first who waits: nobody can take it in between."""
    slots = Slots(1)
    assert slots.take()
    first, second = await waiting(slots), await waiting(slots)
    slots.give_back()
    assert not slots.take()
    await asyncio.sleep(0)
    assert (first.done(), second.done()) == (True, False)
    second.cancel()


@pytest.mark.parametrize("has_come", [False, True], ids=["before it came", "when it had come"])
async def test_who_gives_up_loses_no_slot(has_come: bool) -> None:
    """A cancelled wait leaves the slot to the next, also where the two meet."""
    slots = Slots(1)
    assert slots.take()
    first, second = await waiting(slots), await waiting(slots)
    if has_come:
        slots.give_back()
        first.cancel()
    else:
        first.cancel()
        slots.give_back()
    await asyncio.wait([first, second], timeout=1)
    assert (first.cancelled(), second.done()) == (True, True)
    slots.give_back()
    assert slots.take()
