"""Payloads that nobody would send: what reads them fast reads them as the specification does, and nothing breaks."""

from collections import Counter

from support.attack import Extent, Tried
from support.fuzz import assert_read_alike, payloads
from support.line import Line, assert_told_once_in_order, topic_of

COUNTS = {"short": 1_000, "full": 10_000}
SENT = {"short": 200, "full": 3_000}
SEED = 705


def test_fast_path_reads_like_the_normaliser(extent: Extent, tried: list[Tried]) -> None:
    """Generated payloads, keys repeated at every depth: the same bytes, or the normaliser alone; nothing breaks."""
    count = COUNTS[extent]
    found = assert_read_alike(payloads(SEED, count))
    assert min(found.values()) > count // 10
    outcome = ", ".join(f"{number:,} {how}" for how, number in found.items())
    tried.append(Tried("payloads", "keys repeated, values of any kind, in process", count, outcome))


async def test_service_survives_them(line: Line, extent: Extent, tried: list[Tried]) -> None:
    """Each is acknowledged and has its outcome; none is an error of the program's own, and readings go on."""
    webhooks = await line.receiver("acme", devices=line.fleet.devices)
    await line.start()
    count = SENT[extent]
    messages = [
        (topic, payload.encode("utf-8", "replace")) for topic, payload in payloads(SEED, count)
    ]
    await line.publish_messages(messages)
    await line.publish(10)
    await webhooks.until_count(10)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    said = Counter(event["event"] for event in line.service.events)
    assert said["form.broke"] == said["message.broke"] == 0
    totals = line.service.message_totals()
    # What repeats a reading counts as a duplicate, so all there were are in the totals.
    assert sum(totals.values()) == count + 10
    tried.append(
        Tried(
            "payloads", "the same, published to the service", count, "none broke; readings went on"
        )
    )


async def test_key_that_is_given_twice_costs_no_reading(line: Line, tried: list[Tried]) -> None:
    """Payloads of one form come until it is learnt, and go on coming: each of them is delivered."""
    count = 40
    webhooks = await line.receiver("acme")
    await line.start()
    messages = [
        (
            topic_of(line.fleet.devices[0]),
            b'{"P_In":null,"power_in":%d,"P_In":%d,"timestamp":%d}' % (n, n, 1763461060 + n),
        )
        for n in range(1, count + 1)
    ]
    for message in messages:
        await line.publish_messages([message])
    await webhooks.until_count(count)
    assert line.service.message_totals() == {"accepted": count}
    tried.append(Tried("payloads", "readings that give a key twice", count, "all delivered"))
