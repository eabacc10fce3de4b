"""The counts of each minute, of the line and of every endpoint: the difference between two looks at the counters."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from forwarder.metrics import Metrics
from forwarder.outbox import MOST_ROWS, KeepMinutes, Minute

LENGTH_SECONDS = 60
KEPT_MINUTES = 90
"""More than the hour that is shown, because looks may be late."""
LINE = ""
"""The name under which the line itself is kept."""


class Minutes:
    """
    Tells each minute once it is over; the service asks every few seconds.

    A minute gets all counts since the last minute was told. A late look moves some counts to the next minute. Nothing
    is counted twice.
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
        """The results of attempts and the outcomes of deliveries by endpoint, and sums for the line."""
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
    """The beginning of the minute, in UNIX seconds."""
    return int(now) // LENGTH_SECONDS * LENGTH_SECONDS
