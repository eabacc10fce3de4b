"""The state of an endpoint in a few words, for status and page."""

from forwarder.delivery import in_words
from forwarder.operator.status import EndpointStatus
from forwarder.units import age, count_of, time_left

_PAUSED = {
    "operator": "paused by operator",
    "gone": "paused by its 410",
    "routes": "paused in routes",
}
_NOTED_SECONDS = 1.0
"""Successes in a row are noted at most once in so many seconds."""


def describe(endpoint: EndpointStatus, now: float) -> str:
    """The state in a few words, with its beginning."""
    health = endpoint.health
    failing = f" for {age(now - health.failing_since)}" if health.failing_since else ""
    match endpoint.state:
        case "paused":
            return _PAUSED[endpoint.paused_by or "operator"]
        case "removed":
            return "not in routes.yaml"
        case "open" if health.is_open:
            return f"failing{failing}"
        case "open":
            return f"held back for {time_left((health.open_until or now) - now)}"
    if health.failures:
        return f"well, {count_of(health.failures, 'failure')}"
    return "refusing" if is_refusing(endpoint) else "well"


def is_refusing(endpoint: EndpointStatus) -> bool:
    """Whether the endpoint answers, but has taken nothing since it last refused a reading for good."""
    health = endpoint.health
    if health.last_error_at is None or health.last_error is None:
        return False
    if health.last_error_at <= (health.last_success_at or 0.0) + _NOTED_SECONDS:
        return False
    return health.last_error in {f"http_{status}" for status in endpoint.refused}


def last_answer(endpoint: EndpointStatus, now: float) -> str:
    """The endpoint's last answer, and its age."""
    health = endpoint.health
    success, error = health.last_success_at or 0.0, health.last_error_at or 0.0
    if success == error == 0.0:
        return "nothing sent yet"
    if success >= error:
        return f"delivered {age(now - success)} ago"
    return f"{in_words(health.last_error or '')} {age(now - error)} ago"
