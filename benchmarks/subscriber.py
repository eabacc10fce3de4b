"""
CPU per message of the subscriber alone: 400 bytes at QoS 1 from a real mosquitto, each acknowledged.

    .venv/bin/python benchmarks/subscriber.py [--tls] [--protocol 5]

Only the loop's thread counts; another reads mosquitto's log. A read brings about 10 messages, so most of the time is
the loop's, the kernel's, or spent waiting for Python's lock.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from forwarder.clock import SystemClock
from forwarder.settings import Broker
from forwarder.subscriber import Arrival, Subscriber

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.certificates import Authority
from support.mosquitto import Mosquitto
from support.publisher import Publisher

TOPIC = "ext/demoapp/ECC9FF5C7AD4"
PAYLOAD = b"x" * 400


def publish(broker: Broker, messages: int) -> None:
    with Publisher(broker) as device:
        device.publish_all(TOPIC, [PAYLOAD] * messages)


async def measure(broker: Broker, messages: int, commit_seconds: float) -> None:
    """Acknowledges what has come in each `commit_seconds`, as the service does once per commit; 0: in each turn."""
    waiting: list[Arrival] = []
    seen, done = 0, asyncio.Event()
    loop = asyncio.get_running_loop()

    def acknowledge() -> None:
        nonlocal seen
        seen += len(waiting)
        subscriber.acknowledge(waiting)
        waiting.clear()
        if seen >= messages:
            done.set()

    def take(arrivals: Sequence[Arrival]) -> None:
        if not waiting:
            loop.call_later(commit_seconds, acknowledge)
        waiting.extend(arrivals)

    subscriber = Subscriber(broker, clock=SystemClock(), on_arrivals=take)
    run = asyncio.create_task(subscriber.run())
    while not subscriber.state.subscribed:  # noqa: ASYNC110 - a snapshot tells nobody when it changes
        await asyncio.sleep(0.01)
    publisher = multiprocessing.get_context("spawn").Process(
        target=publish, args=(broker, messages)
    )
    publisher.start()
    started, cpu = time.perf_counter(), time.thread_time()
    await done.wait()
    cpu, seconds = time.thread_time() - cpu, time.perf_counter() - started
    print(
        f"{cpu / messages * 1e6:.1f} µs CPU a message, {messages / seconds:,.0f}/s with its publisher"
    )
    publisher.join()
    await subscriber.stop()
    await run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=1000, help="mosquitto's own default is 20")
    parser.add_argument(
        "--commit-ms", type=float, default=5, help="0 for once per turn of the loop"
    )
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--protocol", choices=["3.1.1", "5"], default="3.1.1")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        limits = [f"max_inflight_messages {arguments.in_flight}", "max_queued_messages 0"]
        with Mosquitto(
            Path(folder) / "mosquitto",
            server_files=authority.issue("localhost", "127.0.0.1") if arguments.tls else None,
            settings=limits,
        ) as mosquitto:
            broker = mosquitto.broker(protocol=arguments.protocol)
            if arguments.tls:
                broker = replace(broker, ca_file=authority.ca_file)
            uvloop.run(measure(broker, arguments.messages, arguments.commit_ms / 1000))


if __name__ == "__main__":
    main()
