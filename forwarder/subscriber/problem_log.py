"""The problem log keeps the problem in the way of the session for /readyz, and says it once in the log."""

from forwarder.clock import Clock
from forwarder.logs import Log
from forwarder.subscriber.problem import Problem


class ProblemLog:
    """
    The present problem, if any.

    A sentence is a warning when it first appears, and again every `repeat_seconds` while it lasts. In between it is
    logged at `debug`. The end of the problem is logged once.
    """

    def __init__(self, log: Log, clock: Clock, *, repeat_seconds: float) -> None:
        self.problem: Problem | None = None
        self._log = log
        self._clock = clock
        self._repeat_seconds = repeat_seconds
        self._said_at: dict[str, float] = {}

    def report(self, problem: Problem, **fields: object) -> None:
        self.problem = problem
        now = self._clock.monotonic()
        said_at = self._said_at.get(problem.sentence)
        is_news = said_at is None or now - said_at >= self._repeat_seconds
        if is_news:
            self._said_at[problem.sentence] = now
        (self._log.warning if is_news else self._log.debug)(
            "mqtt.failed",
            reason=problem.kind,
            problem=problem.sentence,
            exc_info=problem.cause if is_news else None,
            **fields,
        )

    def note(self, problem: Problem) -> None:
        """Keep a problem that another log line has said."""
        self.problem = problem

    def clear(self) -> None:
        if self._said_at:
            self._log.info("mqtt.recovered", was=self.problem.kind if self.problem else None)
        self.problem = None
        self._said_at.clear()
