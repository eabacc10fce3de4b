"""What is wrong with a routing file, as sentences with their place that never repeat a secret."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from forwarder.errors import RoutesError

MOST_PROBLEMS = 200
_LONGEST_QUOTE = 60
_SECRET = re.compile(r"(whsec|whsk|whpk)_[^\s\"',)\]}]*")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finished sentence, and the place it speaks of: line and column count from 1, 0 means the whole file."""

    line: int
    column: int
    text: str

    def sentence(self, file: Path) -> str:
        place = f"{file}:{self.line}:{self.column}" if self.line else f"{file}"
        return f"{place}: {self.text}"


@dataclass(slots=True)
class Problems:
    """Collects every problem of one load; each is told once, in file order, the routing file first."""

    file: Path
    _found: dict[Path, set[Problem]] = field(default_factory=dict)

    def add(self, text: str, *, line: int, column: int, file: Path | None = None) -> None:
        problem = Problem(line, column, _without_secrets(text))
        self._found.setdefault(file or self.file, set()).add(problem)

    def __bool__(self) -> bool:
        return bool(self._found)

    def sentences(self) -> tuple[str, ...]:
        files = sorted(self._found, key=lambda file: (file != self.file, str(file)))
        every = [problem.sentence(file) for file in files for problem in sorted(self._found[file])]
        if len(every) <= MOST_PROBLEMS:
            return tuple(every)
        left = len(every) - MOST_PROBLEMS
        return (*every[:MOST_PROBLEMS], f"{self.file}: and {left} more problems like these")

    def error(self) -> RoutesError:
        return RoutesError(self.sentences())


def shown(text: str) -> str:
    """The operator's own text in quotes, short, and with anything that looks like a secret left out."""
    safe = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for char in _without_secrets(text)
    )
    return f'"{safe if len(safe) <= _LONGEST_QUOTE else safe[:_LONGEST_QUOTE] + "…"}"'


def _without_secrets(text: str) -> str:
    return _CREDENTIALS.sub("//…@", _SECRET.sub(r"\1_…", text))


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "groups"?` when a known name is close to `word`, else nothing."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {shown(matches[0])}?" if matches else ""
