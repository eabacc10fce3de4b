"""Policies by which a `Webhooks` receiver answers."""

import asyncio
import random

from support.webhooks import OK, RESET, RESET_AFTER_TAKING, UNAVAILABLE, Answer, Policy, Post


def always(answer: Answer) -> Policy:
    return lambda _: answer


def unreliable(seed: int) -> Policy:
    """Takes most posts; it sometimes fails, hangs up, or takes a post without saying so."""
    dice = random.Random(seed)
    answers = (OK, UNAVAILABLE, RESET, RESET_AFTER_TAKING)
    return lambda _: dice.choices(answers, weights=(85, 8, 4, 3))[0]


def never() -> Policy:
    """Takes requests and does not answer."""
    return always(Answer(after=asyncio.Event()))


def refusing(number: int, answer: Answer) -> Policy:
    """Takes every reading but the one with this number."""

    def decide(post: Post) -> Answer:
        return answer if post.number == number else OK

    return decide
