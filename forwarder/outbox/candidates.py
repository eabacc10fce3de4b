"""The endpoints that are owed the last reading of each interval, as the loop sees them, and the ends of intervals."""

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
    """The loop's side of `kept_last.py`: it holds what the routes say, and the engine holds the rows."""

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
        """By endpoint; every commit takes it along."""

    def keep_last(self, kept_last: Mapping[str, KeptLast]) -> None:
        """
        Owe these endpoints the last reading of an interval, from the next commit on.

        An endpoint that is no longer among them is owed its candidates at once, before all that is put from now on.
        """
        over, self.kept_last = self.kept_last, kept_last
        if not self._leads():
            return  # the replica that leads does it
        for name in over.keys() - kept_last.keys():
            self._end(name, over[name], opened_before=inf, most=BEYOND_ALL)

    def lead(self, totals: Sequence[EndpointTotals]) -> None:
        """Go on where another replica led before."""
        wanted, self.kept_last = self.kept_last, _of_the_time_before(totals)
        self.keep_last(wanted)

    def end_intervals(self, endpoint: str, kept: KeptLast) -> asyncio.Future[Ended]:
        """Owe the endpoint the last readings of intervals that are over, at most MOST_ROWS of them."""
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
    """Endpoints with candidates from before; those whose routes have changed since are owed theirs."""
    return {one.name: KeptLast(0.0) for one in totals if one.candidates}
