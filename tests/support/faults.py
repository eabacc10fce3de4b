"""Faults in the parts that only tell: each call of logs, metrics and watch is counted, and raises if a test says so."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import structlog

from forwarder.dispatcher import Watch
from forwarder.logs import configure_logs
from forwarder.metrics import Metrics


class Mishap(Exception):  # noqa: N818 - it says what happened
    """Raised by a part that only tells."""


@dataclass
class Faults:
    """Counts calls; `raises` tells by a call's name and number, from 1, whether it is to raise."""

    raises: Callable[[str, int], bool] = lambda _name, _number: False
    calls: Counter[str] = field(default_factory=Counter)
    raised: int = 0

    def call(self, name: str) -> None:
        self.calls[name] += 1
        if self.raises(name, self.calls[name]):
            self.raised += 1
            raise Mishap(name)

    def metrics(self) -> Metrics:
        metrics = Metrics()
        for name, metric in vars(metrics).items():
            if name != "registry":
                setattr(metrics, name, Faulty(metric, self, f"metric {name}"))
        return metrics

    def watch(self, metrics: Metrics) -> Watch:
        return cast("Watch", Faulty(Watch(metrics), self, "watch"))

    @contextmanager
    def logs(self, file: Path) -> Iterator[None]:
        """Write every log line of the block to `file`, unless the line raises."""
        kept = logging.root.handlers[:], logging.root.level
        with file.open("w") as stream:
            lines = configure_logs(format="json", level="debug", stream=stream)
            structlog.get_config()["processors"].insert(0, self._on_line)
            try:
                yield
            finally:
                lines.flush()
                structlog.reset_defaults()
                logging.root.handlers[:], logging.root.level = kept

    def _on_line(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        self.call(f"log {event['event']}")
        return event


class Faulty:
    """Stands in front of `real` and of its methods' answers; each call may raise before it is passed on."""

    def __init__(self, real: object, faults: Faults, name: str) -> None:
        self._real, self._faults, self._name = real, faults, name

    def __dir__(self) -> list[str]:
        return dir(self._real)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._real, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **more: Any) -> Any:
            self._faults.call(f"{self._name}.{name}")
            answer = attribute(*arguments, **more)
            return (
                answer if answer is None else Faulty(answer, self._faults, f"{self._name}.{name}")
            )

        return call
