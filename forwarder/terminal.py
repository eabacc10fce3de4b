"""Text of any origin, made safe for a terminal and folded to its width."""

import json
import os
from textwrap import wrap
from typing import TextIO

_LEAST_WIDTH = 30


def plain(text: str) -> str:
    r"""
    The text on one line, with everything that a terminal might act on written as its escape.

    Escaped are the controls of ASCII and C1 (ECMA-48), line breaks, and marks without a glyph, such as those that turn
    the direction of writing (Unicode TR 36). So `\x1b]52;…` shows as those letters. Plain text stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def plain_lines(text: str) -> str:
    """The text made plain line by line; line breaks and tabs stay."""
    return "\n".join("\t".join(map(plain, line.split("\t"))) for line in text.split("\n"))


def plain_json(text: str) -> str:
    r"""JSON on one line, with everything that a terminal might act on as its `\u` escape, which means the same."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def columns_of(stream: TextIO) -> int | None:
    """The width of the stream's terminal; None without a terminal, or if it does not know."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def folded(text: str, *, width: int | None, indent: int) -> str:
    """
    The text on lines of at most `width` columns, all but the first indented; None keeps one line.

    A line ends between words. A longer word stays whole, so that ids and paths can be copied.
    """
    if width is None or len(text) <= width:
        return text
    room = max(width, indent + _LEAST_WIDTH)
    return "\n".join(
        wrap(
            text,
            room,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
