"""A JSON template is a tree of rules, which know each variable's place among objects, arrays, keys and strings."""

import json
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from forwarder.normalise.builder import ReadingBuilder
from forwarder.normalise.rules import UNKNOWN, Leaf, Rule, described
from forwarder.normalise.template.pattern import Hole, Pattern
from forwarder.normalise.unusable import Unusable
from forwarder.normalise.values import Members, beside, by_position, carried
from forwarder.reading import JsonValue
from forwarder.template_language import BARE, HOLE, OPEN, looks_like_json, with_placeholders


class JsonTemplate(NamedTuple):
    """The rules that read the payloads of a JSON template."""

    rule: Rule
    bare: tuple[int, ...]
    """The holes that stand outside of quotes, by their number."""
    needs_number_texts: bool
    """Whether a value is built around a bare number, so that the number's characters count."""
    is_plain: bool
    """Whether each value is one variable or a constant, and no key holds a variable."""


def json_template(
    literals: Sequence[str], holes: Sequence[Hole]
) -> tuple[JsonTemplate | None, tuple[str, ...]]:
    """The tree of a template; None for a text that is no JSON. A remark tells of one that only looks like JSON."""
    if not looks_like_json(literals):
        return None, ()
    marked, quoted = with_placeholders(literals)
    try:
        document = json.loads(marked, strict=False, object_pairs_hook=Members)
    except (json.JSONDecodeError, RecursionError) as wrong:
        why = f" ({wrong.msg.lower()})" if isinstance(wrong, json.JSONDecodeError) else ""
        return None, (
            f"the template looks like JSON but is none{why}, so payloads are read as text",
        )
    for number, hole in enumerate(holes):
        hole.is_quoted = quoted[number]
    tree = _RuleTree(holes)
    rule = tree.rule(document, "")
    numbers = range(len(holes))
    bare = tuple(number for number in numbers if not quoted[number])
    return JsonTemplate(rule, bare, tree.needs_number_texts, tree.is_plain), ()


class Object:
    """An object of the template. The payload's object may have further keys."""

    __slots__ = ("_in_turn", "patterns", "place", "rules")

    def __init__(
        self,
        rules: Mapping[str, Sequence[Rule]],
        patterns: Sequence[tuple[Pattern, Rule]],
        place: str,
    ) -> None:
        self.rules = {key: some[0] for key, some in rules.items()}
        self._in_turn = {key: some for key, some in rules.items() if len(some) > 1}
        self.patterns = tuple(patterns)
        """Patterns of keys that hold variables."""
        self.place = place

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:
        if value is None:
            return None
        if not isinstance(value, Members):
            raise _mismatch("an object", self.place, value)
        left: dict[str, JsonValue] = {}
        rules = Turns(self.rules, self._in_turn) if self._in_turn else self.rules
        for key, item in value:
            rule = rules.get(key) or self._rule_by_pattern(key, builder)
            rest = rule.read(item, builder)
            if rest is not None:
                left[key] = beside(left[key], rest) if key in left else rest
        return left or None

    def _rule_by_pattern(self, key: str, builder: ReadingBuilder) -> Rule:
        for pattern, rule in self.patterns:
            if pattern.is_of(key) and not pattern.read(key, builder):
                return rule
        return UNKNOWN


class Turns:
    """The rules of one object whose template gives a key more than once. The payload has them in the same order."""

    __slots__ = ("_in_turn", "_rules")

    def __init__(self, rules: Mapping[str, Rule], in_turn: Mapping[str, Sequence[Rule]]) -> None:
        self._rules = rules
        self._in_turn = {key: deque(some) for key, some in in_turn.items()}

    def get(self, key: str) -> Rule | None:
        """The next rule of this key, or the last one again when there are no more."""
        waiting = self._in_turn.get(key)
        if waiting is None:
            return self._rules.get(key)
        return waiting.popleft() if len(waiting) > 1 else waiting[0]


class Items:
    """An array of the template. The payload's array may be longer or shorter."""

    __slots__ = ("place", "rules")

    def __init__(self, rules: Sequence[Rule], place: str) -> None:
        self.rules = tuple(rules)
        self.place = place

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:
        if value is None:
            return None
        if not isinstance(value, list):
            raise _mismatch("an array", self.place, value)
        known = [rule.read(item, builder) for rule, item in zip(self.rules, value, strict=False)]
        return by_position(known + [carried(item) for item in value[len(known) :]])


class Constant:
    """A value without variables. A payload with another value is of another template."""

    __slots__ = ("place", "value")

    def __init__(self, value: JsonValue, place: str) -> None:
        self.value = carried(value)
        self.place = place

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:  # noqa: ARG002 - the protocol's signature
        rest = carried(value)
        if rest != self.value:
            raise _mismatch(f"the constant {json.dumps(self.value)}", self.place, value)
        return rest


class Composite:
    """A string, or a bare number, with literal text beside its variables."""

    __slots__ = ("pattern", "place")

    def __init__(self, pattern: Pattern, place: str) -> None:
        self.pattern = pattern
        self.place = place

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:
        if value is None:
            return None
        if isinstance(value, Members | list | bool):
            raise _mismatch("a text", self.place, value)
        rest = self.pattern.read(str(value), builder)
        return carried(value) if rest else None


class _RuleTree:
    """Turns the decoded template, with placeholders for its variables, into rules."""

    def __init__(self, holes: Sequence[Hole]) -> None:
        self._holes = holes
        self.needs_number_texts = False
        self.is_plain = True

    def rule(self, node: JsonValue, place: str) -> Rule:
        if isinstance(node, Members):
            return self._object(node, place)
        if isinstance(node, list):
            return Items([self.rule(item, f"{place}[{n}]") for n, item in enumerate(node)], place)
        if isinstance(node, str) and OPEN in node:
            return self._value(node, place)
        return Constant(node, place)

    def _object(self, node: Members, place: str) -> Rule:
        rules: defaultdict[str, list[Rule]] = defaultdict(list)
        patterns: list[tuple[Pattern, Rule]] = []
        for key, item in node:
            rule = self.rule(item, _joined(place, self._written(key)))
            if OPEN in key:
                self.is_plain = False
                patterns.append((self._pattern(key.removeprefix(BARE), place), rule))
            else:
                rules[key].append(rule)
        return Object(rules, patterns, place)

    def _value(self, node: str, place: str) -> Rule:
        is_bare = node.startswith(BARE)
        pattern = self._pattern(node.removeprefix(BARE), place)
        is_alone = pattern.literals == ("", "")
        leaf = pattern.holes[0].leaf
        if is_bare and not (is_alone and leaf is not None and leaf.use.variable.is_numeric):
            self.needs_number_texts = True
        if not is_alone:
            self.is_plain = False
            return Composite(pattern, place)
        return leaf or UNKNOWN

    def _pattern(self, text: str, place: str) -> Pattern:
        pieces = HOLE.split(text)
        holes = [self._holes[int(number)] for number in pieces[1::2]]
        return Pattern(pieces[::2], [_placed(hole, place) for hole in holes])

    def _written(self, text: str) -> str:
        return HOLE.sub(lambda match: self._holes[int(match[1])].unresolved, text).replace(BARE, "")


def _placed(hole: Hole, place: str) -> Hole:
    return Hole(hole.name, Leaf(hole.leaf.use, place) if hole.leaf else None)


def _joined(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _mismatch(expected: str, place: str, value: JsonValue) -> Unusable:
    where = place or "the top"
    detail = f"the template has {expected} at {where}, the payload has {described(value)}"
    return Unusable("template_mismatch", detail)
