"""The loop's side of `kept_last.py`: which endpoints are owed the last reading of each interval, and when."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf

from forwarder.clock import Clock
from forwarder.outbox.accounts import Accounts
from forwarder.outbox.kept_last import KeptLast
from forwarder.outbox.operations import MOST_ROWS, Ended, EndIntervals
from forwarder.outbox.records import BEYOND_ALL, EndpointTotals


class Candidates:
    """The routes' `keep: last`, and orders to end intervals; the engine keeps the candidates as rows."""

    def __init__(
        self,
        totals: Sequence[EndpointTotals],
        *,
        leads: Callable[[], bool],
        ask: Callable[[EndIntervals], asyncio.Future[Ended]],
        accounts: Accounts,
        clock: Clock,
    ) -> None:
        self._leads = leads
        self._ask = ask
        self._accounts = accounts
        self._clock = clock
        self.kept_last: Mapping[str, KeptLast] = _of_the_time_before(totals)
        """Thinned endpoints. Each commit takes the mapping along, so an edit replaces it and never changes it."""

    def keep_last(self, kept_last: Mapping[str, KeptLast]) -> None:
        """
        Owe these endpoints the last reading of each interval, from the next commit on.

        An endpoint that has left them is owed its candidates at once.
        """
        over, self.kept_last = self.kept_last, kept_last
        if not self._leads():
            return  # the leader does it
        # A commit brings operations in before puts, so the candidates keep their place in front of newer readings.
        for name in over.keys() - kept_last.keys():
            self._end(name, over[name], opened_before=inf, most=BEYOND_ALL)

    def lead(self, totals: Sequence[EndpointTotals]) -> None:
        """Take over from the last leader, and end intervals at endpoints that have left the routes since."""
        wanted, self.kept_last = self.kept_last, _of_the_time_before(totals)
        self.keep_last(wanted)

    def end_intervals(self, endpoint: str, kept: KeptLast) -> asyncio.Future[Ended]:
        """Owe the endpoint the last readings of ended intervals, at most MOST_ROWS."""
        opened_before = self._clock.unix() - kept.seconds
        return self._end(endpoint, kept, opened_before=opened_before, most=MOST_ROWS)

    def _end(
        self, endpoint: str, kept: KeptLast, *, opened_before: float, most: int
    ) -> asyncio.Future[Ended]:
        now = self._clock.unix()
        answer = self._ask(EndIntervals(endpoint, opened_before, kept.only_latest, now, most))
        answer.add_done_callback(partial(self._count, endpoint))
        return answer

    def _count(self, endpoint: str, answer: asyncio.Future[Ended]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._accounts.enqueued[endpoint] += answer.result().enqueued


def _of_the_time_before(totals: Sequence[EndpointTotals]) -> Mapping[str, KeptLast]:
    """Endpoints with candidates from before; `keep_last` ends the intervals of endpoints that have left the routes."""
    return {one.name: KeptLast(0.0) for one in totals if one.candidates}
