"""The problem that keeps us from a session, as a value and as an error."""

from dataclasses import dataclass, field
from typing import Literal

from forwarder.errors import ForwarderError

Kind = Literal[
    "unknown_host",
    "unreachable",
    "timeout",
    "tls",
    "certificate",
    "client_certificate",
    "credentials",
    "client_id",
    "protocol",
    "unavailable",
    "subscription",
    "qos",
    "packet",
    "clash",
    "ended",
    "told",
    "internal",
    "unsure",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why there is no session, or not the one that was asked for."""

    kind: Kind
    sentence: str
    cause: Exception | None = field(default=None, repr=False, compare=False)
    """An error of our own, whose traceback belongs in the log."""


class SessionFailed(ForwarderError):  # noqa: N818 - the name states the fact
    """A connection could not become a subscribed session, or ceased to be one."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem
