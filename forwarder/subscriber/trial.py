"""A trial session connects beside a running forwarder, to see whether its session would work."""

import random
import string
from dataclasses import replace

from forwarder.clock import SystemClock
from forwarder.logs import logger
from forwarder.settings import Broker
from forwarder.subscriber.backlog import Backlog
from forwarder.subscriber.connection import Connection
from forwarder.subscriber.diagnosis import explain_subscription, refused_topics
from forwarder.subscriber.problem import SessionFailed

_SUFFIX = string.ascii_letters + string.digits


async def try_session(broker: Broker, *, timeout_seconds: float) -> str | None:
    """
    None when a session with this broker would work, else the sentence that says what is in the way.

    The trial has a client id and a clean session of its own; it subscribes, and leaves.
    """
    suffix = "".join(random.choices(_SUFFIX, k=8))  # noqa: S311 - told apart, not kept secret
    trial = replace(broker, client_id=f"{broker.username or 'forwarder'}:{suffix}")
    clock = SystemClock()
    backlog = Backlog(logger("mqtt"), clock)
    connection = Connection(
        trial,
        clock=clock,
        backlog=backlog,
        max_message_bytes=0,
        on_arrivals=lambda arrivals: backlog.remove(len(arrivals)),
        keeps_session=False,
    )
    try:
        await connection.open(dial_seconds=timeout_seconds, answer_seconds=timeout_seconds)
        codes = await connection.subscribe(broker.topics, answer_seconds=timeout_seconds)
    except SessionFailed as failed:
        return failed.problem.sentence
    else:
        if refused := refused_topics(broker.topics, codes):
            return explain_subscription(refused, broker).sentence
        return None
    finally:
        await connection.drain(grace_seconds=0.0)
