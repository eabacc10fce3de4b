"""
A device template is turned round: the text that whatwatt fills in tells which variable each value of a payload is.

    {"p": ${1_7_0}, "at": ${timestamp}}     a JSON template is a tree of rules; key order and white space do not matter
    energy,mac=${sys.id} p=${1_7_0}         any other template is its literal text with the variables between
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from forwarder.errors import TemplateError
from forwarder.files import Unreadable, as_text, printable, read_bytes
from forwarder.normalise.builder import ReadingBuilder
from forwarder.normalise.decoding import decode_json
from forwarder.normalise.rules import Leaf
from forwarder.normalise.template.json_template import JsonTemplate, json_template
from forwarder.normalise.template.pattern import Hole, Pattern
from forwarder.normalise.unusable import Unusable
from forwarder.reading import JsonValue
from forwarder.template_language import LIMIT_BYTES, Pieces, Written, cut, even
from forwarder.variables import Kind, Variable, template_names, variable_named, variables

TEMPLATE_LIMIT = LIMIT_BYTES
_LONGEST_NAME = 60
_LONGEST_SEPARATOR = 4

_NUMBER_CHARACTERS = frozenset("0123456789+-.eE")
_TIME_CHARACTERS = frozenset("0123456789+-:TZ")
_DEVICE_CHARACTERS = frozenset("0123456789ABCDEFabcdef")
_CHARACTERS: Mapping[Kind, frozenset[str]] = {
    "text": frozenset(),
    "device": _DEVICE_CHARACTERS,
    "timestamp": frozenset("0123456789"),
    "utc": _TIME_CHARACTERS,
    "offset": _TIME_CHARACTERS,
    "local": _TIME_CHARACTERS,
}
_LINE_ENDS = "\0\r\n"
"""Characters that editors and C strings put behind the last line."""

_TIME_KINDS = ("timestamp", "utc", "offset", "local")


@dataclass(frozen=True, slots=True)
class Finding:
    """One variable of a template, as people are told about it."""

    name: str
    """The name as the template writes it."""
    variable: Variable | None
    """The variable. None: devices know none of this name, and leave `${name}` as it stands."""
    event_name: str
    line: int
    column: int

    @property
    def shown(self) -> str:
        """The name for people, short and on one line."""
        return printable(self.name[:_LONGEST_NAME])

    @property
    def sentence(self) -> str:
        """`line 2, column 11: ${1_7_0} becomes active_power_import_kw, in kW`."""
        if self.variable is None:
            return f"{_place(self)}: ${{{self.shown}}} is unknown and carried in extra if it has a value"
        unit = f", in {self.variable.unit}" if self.variable.unit else ""
        return f"{_place(self)}: ${{{self.shown}}} becomes {self.event_name}{unit}"


class Template:
    """A template that payloads can be read with."""

    __slots__ = ("_json", "_pattern", "findings", "remarks")

    def __init__(
        self,
        *,
        findings: tuple[Finding, ...],
        remarks: tuple[str, ...],
        pattern: Pattern,
        json: JsonTemplate | None,
    ) -> None:
        self.findings = findings
        """A finding for each place of a variable, in the order of the template."""
        self.remarks = remarks
        """Sentences about outcomes that the author may not expect, each with its place."""
        self._pattern = pattern
        self._json = json

    @classmethod
    def parse(cls, text: str) -> "Template":
        """
        Turn a template round.

        Raises TemplateError, with line and column, when it holds no variable, a `${` without its `}`, or two variables
        between which no payload shows where one ends and the other begins.
        """
        literals, variables = _checked(cut(even(text).rstrip(_LINE_ENDS)))
        findings = tuple(map(_finding, variables))
        holes = [_hole(finding) for finding in findings]
        pattern = Pattern(literals, holes)
        _refuse_ambiguity(pattern, findings)
        json, remark = json_template(literals, holes)
        remarks = (*remark, *_unknown(findings), *_misplaced(findings, json))
        return cls(findings=findings, remarks=remarks, pattern=pattern, json=json)

    @property
    def is_json(self) -> bool:
        """Whether payloads are read as JSON, so that the order of keys and white space do not count."""
        return self._json is not None

    @property
    def is_plain_json(self) -> bool:
        """Whether the template is JSON in which each value is one variable or a constant."""
        tree = self._json
        return tree is not None and tree.is_plain and not tree.needs_number_texts

    def lacks(self) -> tuple[Variable, ...]:
        """The variables that receivers usually want and this template does not send. `wanted` says why."""
        sent = {finding.variable for finding in self.findings if finding.variable}
        has_time = any(variable.kind in _TIME_KINDS for variable in sent)
        wanted = [variable for variable in variables() if variable.wanted and variable not in sent]
        return tuple(v for v in wanted if not (has_time and v.kind == "timestamp"))

    def read(self, text: str, builder: ReadingBuilder) -> JsonValue:
        """Read a payload into the builder. Returns the part that `extra` keeps. Raises Unusable for other payloads."""
        if self._json is None:
            return self._read_text(text, builder)
        try:
            document = decode_json(text, keep_number_texts=self._json.needs_number_texts)
        except Unusable as not_json:
            return self._read_verbatim(text, builder, not_json)
        return self._json.rule.read(document, builder)

    def _read_verbatim(self, text: str, builder: ReadingBuilder, not_json: Unusable) -> JsonValue:
        """Read a payload whose JSON a value breaks, such as a quote in a name, by the template's literals."""
        try:
            return self._read_text(text, builder)
        except Unusable:
            raise not_json from None

    def _read_text(self, text: str, builder: ReadingBuilder) -> JsonValue:
        text = even(text)
        try:
            return dict(self._pattern.read(text.rstrip(_LINE_ENDS), builder))
        except Unusable:
            # Line ends may be separators with empty values between them.
            return dict(self._pattern.read(text, builder))


def load_template(path: Path, *, read: Callable[..., bytes] = read_bytes) -> Template:
    """The template in a file. Raises TemplateError that names the file."""
    try:
        text = as_text(read(path, limit=TEMPLATE_LIMIT), path)
    except Unreadable as unreadable:
        raise TemplateError(str(unreadable)) from None
    try:
        return Template.parse(text)
    except TemplateError as invalid:
        raise TemplateError(f"{printable(path)}: {invalid}") from invalid


def _checked(pieces: Pieces) -> Pieces:
    if not pieces.variables:
        raise TemplateError(
            "it holds no variable; expected the text given to whatwatt, with ${1_7_0} and its like"
        )
    return pieces


def _hole(finding: Finding) -> Hole:
    use = variable_named(finding.name)
    place = f"${{{finding.name}}} ({finding.line}:{finding.column})"
    return Hole(finding.name, Leaf(use, place) if use else None)


def _finding(written: Written) -> Finding:
    use = variable_named(written.name)
    return Finding(
        name=written.name,
        variable=use.variable if use else None,
        event_name=use.event_name if use else "",
        line=written.line,
        column=written.column,
    )


def _refuse_ambiguity(pattern: Pattern, findings: Sequence[Finding]) -> None:
    between = pattern.literals[1:-1]
    for (left, right), literal in zip(pairwise(findings), between, strict=True):
        if not literal:
            raise TemplateError(
                f"{_place(right)}: nothing stands between ${{{left.shown}}} and ${{{right.shown}}}, so no payload "
                "shows where one ends and the other begins; put a separator between them"
            )
        if left.variable and set(literal) <= _CHARACTERS.get(
            left.variable.kind, _NUMBER_CHARACTERS
        ):
            separator = repr(literal) if len(literal) < _LONGEST_SEPARATOR else "the text"
            raise TemplateError(
                f"{_place(right)}: {separator} between ${{{left.shown}}} and ${{{right.shown}}} can be part of the "
                "first value itself; separate them by something else, such as a comma or a space"
            )


def _unknown(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.variable is None:
            close = get_close_matches(finding.name, template_names(), n=1)
            hint = f"; did you mean ${{{close[0]}}}?" if close else ""
            yield f"{_place(finding)}: devices know no variable {finding.shown} and leave it as it stands{hint}"


def _misplaced(findings: Sequence[Finding], json: JsonTemplate | None) -> Iterator[str]:
    if json is None:
        return
    for number in json.bare:
        finding = findings[number]
        if finding.variable and not finding.variable.is_numeric:
            yield (
                f"{_place(finding)}: ${{{finding.shown}}} is text, and without quotes the payload is not JSON; "
                "put quotes around it"
            )


def _place(finding: Finding) -> str:
    return f"line {finding.line}, column {finding.column}"
