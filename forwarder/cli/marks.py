"""The marks for well and for not well, as the terminal's encoding has them."""

import sys

_SIGNS = {True: "✓", False: "✗"}
_WORDS = {True: "ok", False: "no"}


def mark(*, is_fine: bool) -> str:
    """✓ or ✗; `ok` or `no` if stdout cannot write those."""
    try:
        "".join(_SIGNS.values()).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return _WORDS[is_fine]
    return _SIGNS[is_fine]
