"""The page's sentences; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from forwarder.operator import EndpointStatus, Status
from forwarder.operator.wording import is_refusing
from forwarder.units import count_of

Level: TypeAlias = Literal["well", "warning", "trouble", "rest"]
"""The level of a state. Each has a colour, a shape and a word of its own."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, and how serious it is."""

    level: Level
    text: str


def level_of(endpoint: EndpointStatus) -> Level:
    """The level of an endpoint's state."""
    match endpoint.state:
        case "removed":
            return "rest"
        case "paused":
            return "trouble" if endpoint.paused_by == "gone" else "warning"
        case "open":
            return "trouble" if endpoint.health.is_open else "warning"
    return "warning" if endpoint.health.failures or is_refusing(endpoint) else "well"


def by_level(status: Status) -> dict[Level, list[str]]:
    """The names of endpoints by the level of their state, each level in the file's order."""
    found: dict[Level, list[str]] = {}
    for name, endpoint in status.endpoints.items():
        found.setdefault(level_of(endpoint), []).append(name)
    return found


def whether_all_is_well(
    reasons: Sequence[str],
    status: Status,
    levels: Mapping[Level, Sequence[str]],
    *,
    problems: int,
) -> Said:
    """One sentence on the worst of the whole line. `levels` is `by_level(status)`."""
    if reasons:
        return Said("trouble", _sentence(reasons[0]))
    if failing := levels.get("trouble"):
        return Said("trouble", _of_failing(failing, status))
    if problems:
        return Said(
            "warning",
            f"The routing file has {count_of(problems, 'problem')}; the last good routes stay.",
        )
    if uneasy := levels.get("warning"):
        return Said(
            "warning", f"{_named(uneasy, 'needs', 'need')} a look; everything else is well."
        )
    if not status.endpoints:
        return Said("warning", "No endpoint is in the routes yet, so nothing is delivered.")
    dead = sum(one.dead_letters for one in status.endpoints.values())
    if dead:
        waits = "waits" if dead == 1 else "wait"
        return Said(
            "warning", f"The line is well; {count_of(dead, 'dead letter')} {waits} for you."
        )
    return Said("well", "All is well.")


def _of_failing(names: Sequence[str], status: Status) -> str:
    """The sentence on endpoints that fail, or have answered 410. Their readings wait."""
    if all(status.endpoints[name].state == "paused" for name in names):
        said = _named(names, "has paused itself by a 410", "have paused themselves by a 410")
    else:
        said = _named(names, "is failing", "are failing")
    return f"{said}; {'its' if len(names) == 1 else 'their'} readings wait."


def _named(names: Sequence[str], one: str, several: str) -> str:
    match names:
        case [name]:
            return f"{name} {one}"
        case [first, second]:
            return f"{first} and {second} {several}"
    return f"{names[0]} and {count_of(len(names) - 1, 'other endpoint')} {several}"


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:].rstrip('.')}."


def of_broker(mqtt: Mapping[str, object]) -> Said:
    """The sentence on the subscription."""
    if mqtt.get("problem"):
        level: Level = "warning" if mqtt.get("subscribed") else "trouble"
        return Said(level, _sentence(str(mqtt["problem"])))
    if mqtt.get("subscribed"):
        return Said("well", "Subscribed.")
    return Said("trouble", "Connecting.")


_DONE = {
    "paused": "Paused: nothing more is sent to it, and its readings are kept until their max_age.",
    "resumed": "It goes on: what waits is being sent.",
    "unchanged": "Nothing had to be changed.",
}


def what_was_done(did: str | None, count: str | None) -> str | None:
    """The sentence after an action; None for a word in the address that no action of ours has left there."""
    if did in _DONE:
        return _DONE[did]
    if count is None or not (count.isascii() and count.isdigit() and len(count) < 10):
        return None
    number = int(count)
    match did:
        case "replayed":
            goes = "goes" if number == 1 else "go"
            return f"{count_of(number, 'dead letter')} {goes} out again."
        case "discarded":
            return f"{count_of(number, 'message')} erased."
        case "understood":
            return f"{count_of(number, 'message')} understood today, and on the way."
        case "unshared":
            return "The link is revoked: whoever opens it finds nothing."
    return None
