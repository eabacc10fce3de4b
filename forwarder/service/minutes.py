"""What each minute came to, of the line and of every endpoint: the difference between two looks at the counters."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from forwarder.metrics import Metrics
from forwarder.outbox import MOST_ROWS, KeepMinutes, Minute

LENGTH_SECONDS = 60
KEPT_MINUTES = 90
"""An hour is shown, also where looks are late."""
LINE = ""
"""The name under which the line itself is kept."""


class Minutes:
    """
    Tells each minute once it is over; the service asks every few seconds.

    A minute gets all that was counted since the last one was told. A late look moves some counts from one minute to the
    next; nothing is counted twice.
    """

    def __init__(self, metrics: Metrics, enqueued: Mapping[str, int], *, now: float) -> None:
        """`enqueued`: the deliveries put in so far, by endpoint; `now` in UNIX seconds."""
        self._metrics, self._enqueued = metrics, enqueued
        self._minute = _minute_of(now)
        self._seen: dict[str, Counter[str]] = {}
        self._latency: dict[str, float] = {}

    def over(self, now: float) -> Sequence[KeepMinutes]:
        """Operations that keep the minute that is over; none while it goes on."""
        if (minute := _minute_of(now)) == self._minute:
            return ()
        ended, self._minute = minute - LENGTH_SECONDS, minute
        told = list(self._differences(ended))
        before = minute - KEPT_MINUTES * LENGTH_SECONDS
        return [
            KeepMinutes(told[start : start + MOST_ROWS], before)
            for start in range(0, max(len(told), 1), MOST_ROWS)
        ]

    def _differences(self, at: int) -> Iterator[Minute]:
        latencies = self._metrics.delivery_latency.totals()
        for name, counts in self._counts().items():
            changed = counts - self._seen.get(name, Counter())
            latency = latencies.get(name, 0.0)
            if changed:
                yield Minute(name, at, changed, latency - self._latency.get(name, 0.0))
            self._seen[name], self._latency[name] = counts, latency

    def _counts(self) -> dict[str, Counter[str]]:
        """By endpoint the results of attempts and the outcomes of deliveries; of the line, sums."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        line = counts[LINE]
        for (outcome,), count in self._metrics.messages.counts().items():
            line[outcome] += count
        for (name, outcome), count in self._metrics.deliveries.counts().items():
            counts[name][outcome] += count
            line[outcome] += count
        for (name, result), count in self._metrics.attempts.counts().items():
            counts[name][f"answer:{result}"] += count
        line["enqueued"] = sum(self._enqueued.values())
        return dict(counts)


def _minute_of(now: float) -> int:
    """When its minute began."""
    return int(now) // LENGTH_SECONDS * LENGTH_SECONDS
