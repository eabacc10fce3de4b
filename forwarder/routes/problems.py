"""The problems of a routing file, as sentences that tell their place and never repeat a secret."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from forwarder.files import printable
from forwarder.units import count_of

MOST_PROBLEMS = 100
"""Most problems that are told, with the number of the others, which come up when these are mended."""
PLENTY = 1000
"""Most problems of one file that are kept. All of a file that is something else altogether is wrong."""

_MOST_NAMES = 500  # a misspelt name is compared with so many: each takes microseconds
_PLAIN_STEP = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LONGEST_QUOTE = 60
_SECRET = re.compile(r"(whsec|whsk|whpk)_[^\s\"',)\]}]*")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finished sentence and its place. Line and column count from 1; 0 means the whole file."""

    line: int
    column: int
    text: str

    def sentence(self, file: Path) -> str:
        return f"{self.place(file)}: {self.text}"

    def place(self, file: Path) -> str:
        name = printable(file)
        return f"{name}:{self.line}:{self.column}" if self.line else name


@dataclass(frozen=True, slots=True)
class Rejection:
    """The reasons why a routing file is not used: at least one problem."""

    sentences: tuple[str, ...]
    """Finished, with their places, in file order. If there are very many, the last one tells how many were left out."""
    count: int
    place: str
    """The place of the first problem: `routes.yaml:12:5`, or the file alone if it cannot be read."""

    @classmethod
    def of_file(cls, file: Path, sentence: str) -> "Rejection":
        return cls((sentence,), 1, printable(file))


@dataclass(slots=True)
class Problems:
    """Collects every problem of one load; each is told once, in file order, the routing file first."""

    file: Path
    _found: dict[Path, set[Problem]] = field(default_factory=dict)
    _left_out: int = 0

    @property
    def are_plenty(self) -> bool:
        """Whether the routing file is so wrong that its other endpoints are not worth a look."""
        return len(self._found.get(self.file, ())) >= PLENTY

    def add(self, text: str, *, line: int, column: int, file: Path | None = None) -> None:
        found = self._found.setdefault(file or self.file, set())
        if len(found) < PLENTY:
            found.add(Problem(line, column, printable(_without_secrets(text))))
        else:
            self._left_out += 1

    def __bool__(self) -> bool:
        return bool(self._found)

    def rejection(self) -> Rejection:
        """The rejection for all problems. There has to be one."""
        files = sorted(self._found, key=lambda file: (file != self.file, str(file)))
        every = [(file, problem) for file in files for problem in sorted(self._found[file])]
        told = [problem.sentence(file) for file, problem in every[:MOST_PROBLEMS]]
        count = len(every) + self._left_out
        if count > len(told):
            told.append(
                f"{printable(self.file)}: and {count_of(count - len(told), 'more problem')} like these"
            )
        file, first = every[0]
        return Rejection(tuple(told), count, first.place(file))


def shown(text: str) -> str:
    """The operator's own text in quotes, short, on one line, and without anything that looks like a secret."""
    safe = printable(_without_secrets(text))
    return f'"{safe if len(safe) <= _LONGEST_QUOTE else safe[:_LONGEST_QUOTE] + "…"}"'


def dotted(steps: Iterable[str | int]) -> str:
    """A setting's name as people write it: `auth.basic.password`. A step that is no plain name stands in quotes."""
    names = [step for step in steps if isinstance(step, str)]
    return ".".join(name if _PLAIN_STEP.fullmatch(name) else shown(name) for name in names)


def _without_secrets(text: str) -> str:
    return _CREDENTIALS.sub("//…@", _SECRET.sub(r"\1_…", text))


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "groups"?` when a known name is close to `word`, else nothing."""
    matches = difflib.get_close_matches(word, list(islice(known, _MOST_NAMES)), n=1, cutoff=0.6)
    return f"; did you mean {shown(matches[0])}?" if matches else ""
