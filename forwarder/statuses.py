"""
HTTP statuses that mean a receiver has taken a reading, and statuses that mean it never will.

    success  2xx                                   unless the endpoint says otherwise
    refused  400, 405, 413, 414, 415, 422, 501     likewise

An endpoint's own list replaces the usual list whole. Its own words come before the usual ones, and an exact status
comes before a class: with `success: [2xx]` and `refused: [202]` a 202 is refused, and a 200 is taken.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SUCCESSES = frozenset(range(200, 300))
REFUSALS = frozenset({400, 405, 413, 414, 415, 422, 501})

PATTERN = r"^[2-5]([0-9]{2}|xx)$"
"""An exact status, or a class of a hundred. 1xx is no answer yet."""
_CLASSES = range(200, 600, 100)


class AnswerRules(NamedTuple):
    """The statuses that settle a reading; the two never overlap."""

    success: frozenset[int] = SUCCESSES
    refused: frozenset[int] = REFUSALS


def parse_status(text: str) -> frozenset[int]:
    """The statuses that `302` or `2xx` stands for. Raises ValueError."""
    if re.match(PATTERN, text) is None or text.endswith("\n"):
        raise ValueError("expected a status such as 302, or a class such as 2xx")
    if text.isdigit():
        return frozenset({int(text)})
    first = int(text[0]) * 100
    return frozenset(range(first, first + 100))


def answer_rules(success: Sequence[str] | None, refused: Sequence[str] | None) -> AnswerRules:
    """
    The rules of an endpoint that gives these lists of words for `parse_status`; None means that it gives none.

    Raises ValueError when both lists have the same word.
    """
    if both := sorted(set(success or ()) & set(refused or ())):
        raise ValueError(f"{both[0]} is in success and in refused; keep one of them")
    bad = _statuses(refused or ())
    if success is None:
        taken = SUCCESSES - bad
    else:
        taken = _statuses(success) - _statuses(word for word in refused or () if word.isdigit())
    return AnswerRules(taken, (REFUSALS if refused is None else bad) - taken)


def _statuses(words: Iterable[str]) -> frozenset[int]:
    return frozenset().union(*map(parse_status, words))


def status_words(statuses: frozenset[int]) -> str:
    """The statuses for people: `2xx, 302`."""
    whole = [first for first in _CLASSES if statuses.issuperset(range(first, first + 100))]
    single = [str(one) for one in sorted(statuses) if one // 100 * 100 not in whole]
    return ", ".join([*(f"{first // 100}xx" for first in whole), *single])
