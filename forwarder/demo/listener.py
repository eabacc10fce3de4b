"""The listener is a webhook receiver as a careful partner would write it: it verifies and de-duplicates."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from forwarder.demo.receiver import Answer, Receiver, Request
from forwarder.routes.model import SigningKey
from forwarder.signing import WHY, Verdict, verify

__all__ = ["Answer", "Listener", "Received", "always"]


@dataclass(frozen=True, slots=True)
class Received:
    """One webhook request, whatever its answer."""

    order: int
    """The place in the order of arrival at this listener, from 1."""
    received_at: datetime
    webhook_id: str
    attempt: int
    """The header `webhook-attempt`; 0 when it is missing."""
    verdict: Verdict | None
    """The verdict on the signature; None if there is no key to verify it with."""
    readings: tuple[Mapping[str, Any], ...] = field(repr=False)
    """The data objects, each with its `id` and `device`: several in a batch, none if the body is not ours."""
    body: bytes = field(repr=False)
    path: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    is_duplicate: bool = False
    """Whether every reading in it was accepted before."""
    status: int = 0
    """The status of its answer; 0 before."""

    @property
    def verified(self) -> bool:
        """Whether a signature was checked and fits."""
        return self.verdict == "verified"

    @property
    def problem(self) -> str | None:
        """A clause on why the signature does not fit; None when it does, or when nothing can be verified."""
        return WHY.get(self.verdict) if self.verdict else None

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each reading, in the body's order."""
        return tuple(str(reading.get("device", "")) for reading in self.readings)

    @property
    def device(self) -> str:
        """The device of the first reading; empty when there is none."""
        return next(iter(self.devices), "")

    @property
    def reading_ids(self) -> tuple[str, ...]:
        """The ids by which a receiver de-duplicates: those of the readings, or the request's if the body names none."""
        ids = tuple(str(reading["id"]) for reading in self.readings if "id" in reading)
        return ids or (self.webhook_id,)

    @property
    def was_accepted(self) -> bool:
        return 200 <= self.status < 300


AnswerRule = Callable[[Received], int | Answer | Awaitable[Answer]]

_ATTEMPT = re.compile(r"[0-9]{1,9}")


def always(status: int) -> AnswerRule:
    """The rule that gives every request the same answer."""
    return lambda _received: status


class Listener:
    """
    A receiver on loopback. Use it as an async context manager, or call `start` and `stop` as often as you like.

    With keys it verifies every signature, and answers 401 if one does not fit, whatever `answer` says. Without keys
    nothing is verified. `answer` may be set anew at any time; it is called once per request. The listener remembers
    everything, or only the newest `remember` requests and readings.
    """

    def __init__(
        self,
        *,
        keys: Sequence[SigningKey] = (),
        answer: AnswerRule | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        remember: int | None = None,
        on_answered: Callable[[Received], None] = lambda _received: None,
    ) -> None:
        self.answer: AnswerRule = answer or always(204)
        self.received: list[Received] = []
        """Every request in the order of its answer."""
        self.accepted: dict[str, Received] = {}
        """Each reading's id with the first request that brought it and was answered 2xx, in the order of answers."""
        self._keys = tuple(keys)
        self._remember = remember
        self._on_answered = on_answered
        self._arrivals = 0
        self._changed = asyncio.Condition()
        self._receiver = Receiver(self._respond, host=host, port=port)

    @property
    def port(self) -> int:
        """The port on which it listens. Port 0 becomes the system's choice at the start, and stays over a stop."""
        return self._receiver.port

    @property
    def url(self) -> str:
        host = self._receiver.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def verifies(self) -> bool:
        return bool(self._keys)

    async def __aenter__(self) -> "Listener":
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken or not ours."""
        await self._receiver.start()

    async def stop(self) -> None:
        """Refuse connections and drop the open ones. Received requests stay."""
        await self._receiver.stop()

    async def until(self, condition: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Return once `condition` holds, which is checked after every answer. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds), self._changed:
            await self._changed.wait_for(condition)

    async def _respond(self, request: Request) -> Answer:
        received = self._examine(request)
        if received is None:
            return Answer(405, headers=(("allow", "POST"),))
        answer = await self._decide(received)
        self._record(replace(received, status=0 if answer.hang_up else answer.status))
        async with self._changed:
            self._changed.notify_all()
        return answer

    def _examine(self, request: Request) -> Received | None:
        if request.method != "POST":
            return None
        self._arrivals += 1
        attempt = request.headers.get("webhook-attempt", "")
        received = Received(
            order=self._arrivals,
            received_at=datetime.now(UTC),
            webhook_id=request.headers.get("webhook-id", ""),
            attempt=int(attempt) if _ATTEMPT.fullmatch(attempt) else 0,
            verdict=self._judge(request),
            readings=readings_in(request.body),
            body=request.body,
            path=request.path,
            headers=request.headers,
        )
        return replace(received, is_duplicate=set(received.reading_ids) <= self.accepted.keys())

    def _judge(self, request: Request) -> Verdict | None:
        if not self._keys:
            return None
        return verify(request.headers, request.body, keys=self._keys, now=time.time())

    async def _decide(self, received: Received) -> Answer:
        if received.problem is not None:
            return Answer(401, body=received.problem.encode())
        answer = self.answer(received)
        if isinstance(answer, int):
            return Answer(answer)
        return answer if isinstance(answer, Answer) else await answer

    def _record(self, received: Received) -> None:
        self.received.append(received)
        if received.was_accepted:
            for reading_id in received.reading_ids:
                self.accepted.setdefault(reading_id, received)
        self._forget()
        self._on_answered(received)

    def _forget(self) -> None:
        if self._remember is None:
            return
        del self.received[: -self._remember]
        while len(self.accepted) > self._remember:
            del self.accepted[next(iter(self.accepted))]


def readings_in(body: bytes) -> tuple[Mapping[str, Any], ...]:
    """
    The data objects in a webhook's body, standard or CloudEvents, one or a batch; none in any other body.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    events = document if isinstance(document, list) else [document]
    found: list[Any] = []
    for event in events:
        data = event.get("data") if isinstance(event, dict) else None
        found.extend(data if isinstance(data, list) else [data])
    return tuple(data for data in found if isinstance(data, dict))
