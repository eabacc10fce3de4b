"""How a receiver answers: policies for `Webhooks`."""

import asyncio
import random

from support.webhooks import OK, RESET, RESET_AFTER_TAKING, UNAVAILABLE, Answer, Policy, Post


def always(answer: Answer) -> Policy:
    return lambda _: answer


def unreliable(seed: int) -> Policy:
    """Takes most of what comes; now and then fails, hangs up, or takes it and cannot say so."""
    dice = random.Random(seed)
    answers = (OK, UNAVAILABLE, RESET, RESET_AFTER_TAKING)
    return lambda _: dice.choices(answers, weights=(85, 8, 4, 3))[0]


def never() -> Policy:
    """Takes requests and does not answer."""
    return always(Answer(after=asyncio.Event()))


def refusing(number: int, answer: Answer) -> Policy:
    """Takes everything but the reading that calls itself so."""

    def decide(post: Post) -> Answer:
        return answer if post.number == number else OK

    return decide
