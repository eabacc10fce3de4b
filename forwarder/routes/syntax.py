"""A YAML parser's complaints, in words for the author of the file."""

import re

import yaml

from forwarder.routes.problems import Problem

_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # YAML 1.2 §5.1
)
_STAR = 'a "*" that means every device stands in quotes'
_PLAINER = {
    "mapping values are not allowed": 'a ": " stands where no key can be; is the line indented as its neighbours are?',
    "did not find expected key": "a key is expected here; is the line indented as its neighbours are?",
    "expected <block end>": "a key or list item is expected here; is the line indented as its neighbours are?",
    "did not find expected '-' indicator": "a list item is expected here; is the line indented as its neighbours are?",
    "could not find expected ':'": 'a ":" is missing after this key, or after the one before it',
    "did not find expected alphabetic or numeric character": _STAR,
    "expected alphabetic or numeric character": _STAR,
    "did not find expected ',' or ']'": 'a list that began with "[" is not closed by "]" here',
    "expected ',' or ']'": 'a list that began with "[" is not closed by "]" here',
    "did not find expected ',' or '}'": 'a mapping that began with "{" is not closed by "}" here',
    "expected ',' or '}'": 'a mapping that began with "{" is not closed by "}" here',
}
_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")
"""Text of the file that PyYAML without libyaml quotes; single characters may stay."""
_UNCLOSED = ("found unexpected end of stream", "found unexpected document indicator")


class Unparseable(Exception):  # noqa: N818 - the name states the fact
    """The text is no tree. The error carries the one problem that stopped the reading."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def explain(error: yaml.YAMLError, text: str) -> Problem:
    """The parser's complaint with its line and column, and a plainer sentence where we know one."""
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    if problem in _UNCLOSED:
        return Problem(*_place(error, "context_mark"), "the quotes that open here are never closed")
    line, column = _place(error, "problem_mark")
    tab = _tab_in_indentation(text, line, column)
    if tab is not None:
        return Problem(*tab, "a tab stands in the indentation; YAML takes only spaces there")
    for part, sentence in _PLAINER.items():
        if part in problem:
            return Problem(line, column, sentence)
    return Problem(line, column, f"this is not YAML: {_QUOTED.sub('…', problem)}")


def require_printable(text: str) -> None:
    """Raises Unparseable at the first character that YAML does not allow in a file."""
    match = _UNPRINTABLE.search(text)
    if match is None:
        return
    before = text[: match.start()]
    line, column = before.count("\n") + 1, match.start() - before.rfind("\n")
    sentence = f"the character U+{ord(match[0]):04X} is not allowed in YAML"
    raise Unparseable(Problem(line, column, sentence))


def _place(error: yaml.YAMLError, mark_name: str) -> tuple[int, int]:
    mark = getattr(error, mark_name, None)
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _tab_in_indentation(text: str, line: int, column: int) -> tuple[int, int] | None:
    """The place of a tab in the indentation of the line or the line before, or else at the complaint."""
    lines = text.splitlines()
    for number in (line, line - 1):
        content = lines[number - 1] if 0 < number <= len(lines) else ""
        indentation = content[: len(content) - len(content.lstrip())]
        if "\t" in indentation:
            return number, indentation.index("\t") + 1
    content = lines[line - 1] if 0 < line <= len(lines) else ""
    is_at_tab = content[column - 1 : column] == "\t"
    return (line, column) if is_at_tab else None
