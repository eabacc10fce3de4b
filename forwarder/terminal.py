"""What may be written to a terminal: text of any origin, in a form that cannot act on it."""

import json


def plain(text: str) -> str:
    r"""
    The text on one line, with everything that a terminal might act on written as its escape.

    That is every control of ASCII and C1 (ECMA-48), line breaks, and marks without a glyph, such as those that turn the
    direction of writing (Unicode TR 36): `\x1b]52;…` shows as those letters. What is plain already stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def plain_lines(text: str) -> str:
    """The same for text of several lines, which stay apart; tabs stay too."""
    return "\n".join("\t".join(map(plain, line.split("\t"))) for line in text.split("\n"))


def plain_json(text: str) -> str:
    r"""The same for JSON on one line: what a terminal might act on becomes its `\u` escape, which means the same."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
