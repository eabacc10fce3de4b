"""Hostile text that would act on a terminal."""

import re

HOSTILE = {
    "the clipboard, ended by BEL": "\x1b]52;c;cHduZWQ=\x07",
    "the clipboard, ended by ST": "\x1b]52;c;cHduZWQ=\x1b\\",
    "the clipboard, in C1 controls": "\x9d52;c;cHduZWQ=\x9c",
    "a title": "\x1b]0;forged\x07",
    "a cleared screen": "\x1b[2J\x1b[H",
    "a cleared screen, in C1 controls": "\x9b2J\x9bH",
    "a device control string": "\x1bP$q\"p\x1b\\",
    "a reset": "\x1bc",
    "bells": "\x07\x07",
    "text turned round": "\u202egnp.exe\u2066",
    "a line over this one": "\rforged: verified",
    "lines of their own": "\nforged\x0bforged\x0cforged\x85forged\u2028forged",
    "erased letters": "verified\x08\x08\x7f",
    "half a character": "\ud800",
}  # fmt: skip
"""The effect of each text, and the text (ECMA-48; xterm's control sequences; Unicode TR 36)."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def acts(output: str) -> set[str]:
    """The letters in an output that a terminal may act on, without our own colours and line ends."""
    text = _COLOURS.sub("", output).replace("\r\n", "\n")
    return {letter for letter in text if not (letter.isprintable() or letter == "\n")}
